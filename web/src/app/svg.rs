//! Conversion of egui's shapes to an SVG document, with lines as paths and text as text.

use eframe::egui::epaint::{self, ClippedShape, ColorMode, Mesh, TextShape};
use eframe::egui::{Color32, FontFamily, Pos2, Rect, Shape, Stroke};
use svg::Document;
use svg::node::element::{Circle, ClipPath, Definitions, Ellipse, Group, Path, Rectangle, Text};

/// The shapes in `frame`, in points, moved to the origin.
pub fn document<'a>(frame: Rect, shapes: impl Iterator<Item = &'a ClippedShape>) -> String {
    let (width, height) = (frame.width(), frame.height());
    let mut clips: Vec<Rect> = Vec::new();
    let mut all = Group::new();
    for ClippedShape { clip_rect, shape, .. } in shapes {
        let clip = clip_rect.intersect(frame);
        if !clip.is_positive() {
            continue;
        }
        let mut group = Group::new();
        if clip != frame {
            let known = clips.iter().position(|it| *it == clip);
            let index = known.unwrap_or_else(|| {
                clips.push(clip);
                clips.len() - 1
            });
            group = group.set("clip-path", format!("url(#c{index})"));
        }
        all = all.add(add(group, shape));
    }
    let mut definitions = Definitions::new();
    for (index, clip) in clips.iter().enumerate() {
        let path = ClipPath::new().set("id", format!("c{index}"));
        definitions = definitions.add(path.add(rectangle(*clip)));
    }
    let view = (frame.left(), frame.top(), width, height);
    let document = Document::new().set("width", width).set("height", height).set("viewBox", view);
    document.add(definitions).add(all).to_string()
}

fn add(group: Group, shape: &Shape) -> Group {
    match shape {
        Shape::Noop | Shape::Callback(_) => group,
        Shape::Vec(shapes) => shapes.iter().fold(group, add),
        Shape::Circle(it) => {
            let circle = Circle::new().set("cx", it.center.x).set("cy", it.center.y);
            group.add(outlined(painted(circle.set("r", it.radius), it.fill), it.stroke))
        }
        Shape::Ellipse(it) => {
            let ellipse = Ellipse::new().set("cx", it.center.x).set("cy", it.center.y);
            let ellipse = ellipse.set("rx", it.radius.x).set("ry", it.radius.y);
            group.add(outlined(painted(ellipse, it.fill), it.stroke))
        }
        Shape::LineSegment { points, stroke } => {
            let path = Path::new().set("d", path(points, false)).set("fill", "none");
            group.add(outlined(path, *stroke))
        }
        Shape::Path(it) => {
            let color = match &it.stroke.color {
                ColorMode::Solid(color) => *color,
                ColorMode::UV(of) => it
                    .points
                    .first()
                    .map_or(Color32::TRANSPARENT, |&at| of(Rect::from_points(&it.points), at)),
            };
            let path = Path::new().set("d", path(&it.points, it.closed));
            group.add(outlined(painted(path, it.fill), Stroke::new(it.stroke.width, color)))
        }
        Shape::Rect(it) => {
            let rect = rectangle(it.rect).set("rx", it.corner_radius.nw);
            group.add(outlined(painted(rect, it.fill), it.stroke))
        }
        Shape::Text(it) => words(group, it),
        Shape::Mesh(it) => triangles(group, it),
        Shape::Band(_) | Shape::QuadraticBezier(_) | Shape::CubicBezier(_) => {
            // The app has no such shapes.
            group
        }
    }
}

fn rectangle(rect: Rect) -> Rectangle {
    let place = Rectangle::new().set("x", rect.left()).set("y", rect.top());
    place.set("width", rect.width()).set("height", rect.height())
}

fn path(points: &[Pos2], closed: bool) -> String {
    let mut text = String::new();
    for (index, point) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        text += &format!("{command}{:.2} {:.2}", point.x, point.y);
    }
    if closed {
        text.push('Z');
    }
    text
}

/// `#rrggbb` and an opacity.
fn color(color: Color32) -> (String, f32) {
    let [r, g, b, a] = color.to_srgba_unmultiplied();
    (format!("#{r:02x}{g:02x}{b:02x}"), f32::from(a) / 255.0)
}

fn painted<N: svg::Node>(mut node: N, fill: Color32) -> N {
    if fill.a() == 0 {
        node.assign("fill", "none");
        return node;
    }
    let (name, opacity) = color(fill);
    node.assign("fill", name);
    if opacity < 1.0 {
        node.assign("fill-opacity", opacity);
    }
    node
}

fn outlined<N: svg::Node>(mut node: N, stroke: Stroke) -> N {
    if !stroke.is_empty() {
        let (name, opacity) = color(stroke.color);
        node.assign("stroke", name);
        node.assign("stroke-width", stroke.width);
        if opacity < 1.0 {
            node.assign("stroke-opacity", opacity);
        }
    }
    node
}

fn words(mut group: Group, shape: &TextShape) -> Group {
    let Some(section) = shape.galley.job.sections.first() else { return group };
    let format = &section.format;
    let own = shape.override_text_color.unwrap_or(format.color);
    let own = if own == Color32::PLACEHOLDER { shape.fallback_color } else { own };
    let own = own.gamma_multiply(shape.opacity_factor);
    let family = match format.font_id.family {
        FontFamily::Monospace => "Hack, monospace",
        _ => "Ubuntu, sans-serif",
    };
    for placed in &shape.galley.rows {
        let glyphs = &placed.row.glyphs;
        let (Some(first), Some(last)) = (glyphs.first(), glyphs.last()) else { continue };
        let line: String = glyphs.iter().map(|it| it.chr).collect();
        if line.trim().is_empty() {
            continue;
        }
        let at = shape.pos + placed.pos.to_vec2() + first.pos.to_vec2();
        let mut text = painted(Text::new(line), own)
            .set("x", at.x)
            .set("y", at.y)
            .set("font-family", family)
            .set("font-size", format.font_id.size)
            // Fixed lengths, so that text keeps its place with any font.
            .set("textLength", last.pos.x + last.advance_width - first.pos.x);
        if shape.angle != 0.0 {
            let Pos2 { x, y } = shape.pos;
            text = text.set("transform", format!("rotate({} {x} {y})", shape.angle.to_degrees()));
        }
        group = group.add(text);
    }
    group
}

fn triangles(group: Group, mesh: &Mesh) -> Group {
    mesh.triangles().fold(group, |group, corners| {
        let corners = corners.map(|index| &mesh.vertices[index as usize]);
        let points = corners.map(|it: &epaint::Vertex| it.pos);
        let node = Path::new().set("d", path(&points, true));
        group.add(painted(node, corners[0].color))
    })
}
