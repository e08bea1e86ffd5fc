//! Hidden states in three dimensions.

use eframe::egui::{self, Color32, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, pos2, vec2};

use super::theme::{class_color, ramp};
use crate::protocol::{Points, Prepared, Snapshot};

/// The meaning of a point's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorBy {
    /// Its position in the row.
    Position,
    /// Its token.
    Token,
    /// The n-th label of its text.
    Label(usize),
}

/// The view of both clouds.
#[derive(Clone, Debug)]
pub struct View {
    yaw: f32,
    pitch: f32,
    zoom: f32,
    /// The meaning of colours.
    pub color_by: ColorBy,
    /// The point under the pointer, in either cloud.
    pub hovered: Option<usize>,
}

impl Default for View {
    fn default() -> Self {
        Self { yaw: 0.6, pitch: 0.35, zoom: 1.0, color_by: ColorBy::Position, hovered: None }
    }
}

impl View {
    /// Rotates a point for the view: x to the right, y up, depth towards the eye.
    fn turn(&self, [x, y, z]: [f32; 3]) -> [f32; 3] {
        let (sin, cos) = self.yaw.sin_cos();
        let (x, z) = (cos * x + sin * z, cos * z - sin * x);
        let (sin, cos) = self.pitch.sin_cos();
        [x, cos * y - sin * z, cos * z + sin * y]
    }
}

/// One cloud; the view is shared, so both turn together.
pub fn show(
    ui: &mut Ui,
    name: &str,
    view: &mut View,
    snapshot: Option<&Snapshot>,
    prepared: &Prepared,
    height: f32,
) {
    let size = vec2(ui.available_width(), height);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 6.0, ui.visuals().extreme_bg_color);
    response.widget_info(|| {
        let words = format!("Hidden states of {name}: drag or use the arrow keys to turn");
        egui::WidgetInfo::labeled(egui::Role::Image, true, words)
    });
    turn_by_input(ui, &response, view);
    let Some(snapshot) = snapshot.filter(|it| !it.positions.is_empty()) else {
        let color = ui.visuals().weak_text_color();
        let font = egui::TextStyle::Body.resolve(ui.style());
        let words = "The first measurement is not done yet.";
        painter.text(rect.center(), egui::Align2::CENTER_CENTER, words, font, color);
        return;
    };
    let scale = 0.23 * rect.width().min(rect.height()) * view.zoom;
    let eye = view.clone();
    let place = move |point: [f32; 3]| -> (Pos2, f32) {
        let [x, y, depth] = eye.turn(point);
        // Weak perspective.
        let nearness = 1.0 / (1.0 - 0.12 * depth.clamp(-4.0, 4.0));
        (rect.center() + Vec2::new(x, -y) * scale * nearness, depth)
    };
    axes(ui, &painter, &place);
    let mut order: Vec<(usize, Pos2, f32)> = snapshot
        .positions
        .iter()
        .enumerate()
        .map(|(index, &point)| {
            let (at, depth) = place(point);
            (index, at, depth)
        })
        .collect();
    if let Some(pointer) = response.hover_pos() {
        let nearest = order
            .iter()
            .min_by(|a, b| a.1.distance_sq(pointer).total_cmp(&b.1.distance_sq(pointer)));
        view.hovered = nearest.filter(|it| it.1.distance(pointer) < 12.0).map(|it| it.0);
    }
    order.sort_by(|a, b| a.2.total_cmp(&b.2));
    let colors = colors(view.color_by, &prepared.points);
    for (index, at, depth) in order {
        let near = (0.5 + 0.22 * depth).clamp(0.25, 1.0);
        let color = colors.get(index).copied().unwrap_or(Color32::GRAY);
        painter.add(Shape::circle_filled(
            at,
            1.8 + 1.4 * near,
            color.gamma_multiply(0.35 + 0.6 * near),
        ));
    }
    if let Some(index) = view.hovered.filter(|&index| index < snapshot.positions.len()) {
        let (at, _) = place(snapshot.positions[index]);
        let stroke = Stroke::new(2.0, ui.visuals().strong_text_color());
        painter.circle_stroke(at, 6.0, stroke);
        if response.hovered() {
            response.on_hover_ui_at_pointer(|ui| describe(ui, index, snapshot, prepared));
        }
    }
}

fn turn_by_input(ui: &Ui, response: &egui::Response, view: &mut View) {
    if response.dragged() {
        view.yaw += 0.01 * response.drag_delta().x;
        view.pitch = (view.pitch + 0.01 * response.drag_delta().y).clamp(-1.5, 1.5);
    }
    if response.hovered() {
        // The mouse wheel works only on the cloud while the pointer is over it.
        let (scroll, pinch) = ui.input_mut(|input| {
            (std::mem::take(&mut input.smooth_scroll_delta).y, input.zoom_delta())
        });
        view.zoom = (view.zoom * pinch * (0.002 * scroll).exp()).clamp(0.3, 6.0);
    }
    if response.has_focus() {
        let arrows = egui::EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..Default::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        if ui.input(|input| !input.keys_down.is_empty()) {
            ui.ctx().request_repaint();
        }
        let held = |key| ui.input(|input| input.key_down(key));
        let turn = |less, more| f32::from(u8::from(held(more))) - f32::from(u8::from(held(less)));
        view.yaw += 0.03 * turn(egui::Key::ArrowLeft, egui::Key::ArrowRight);
        view.pitch =
            (view.pitch + 0.03 * turn(egui::Key::ArrowDown, egui::Key::ArrowUp)).clamp(-1.5, 1.5);
        view.zoom =
            (view.zoom * (1.0 + 0.02 * turn(egui::Key::Minus, egui::Key::Plus))).clamp(0.3, 6.0);
    }
    if response.double_clicked() {
        let fresh = View::default();
        (view.yaw, view.pitch, view.zoom) = (fresh.yaw, fresh.pitch, fresh.zoom);
    }
}

fn axes(ui: &Ui, painter: &egui::Painter, place: &impl Fn([f32; 3]) -> (Pos2, f32)) {
    let color = ui.visuals().weak_text_color().gamma_multiply(0.5);
    let font = egui::TextStyle::Small.resolve(ui.style());
    for axis in 0..3 {
        let mut ends = [[0.0; 3]; 2];
        (ends[0][axis], ends[1][axis]) = (-1.9, 1.9);
        let [from, to] = ends.map(|end| place(end).0);
        painter.line_segment([from, to], Stroke::new(1.0, color));
        let name = format!("PC {}", axis + 1);
        painter.text(to, egui::Align2::CENTER_CENTER, name, font.clone(), color);
    }
}

/// A colour for each point.
fn colors(by: ColorBy, points: &Points) -> Vec<Color32> {
    let context = points.context.max(1);
    let of = |(index, token): (usize, &u32)| match by {
        ColorBy::Position => ramp((index % context) as f32 / context as f32),
        ColorBy::Token => class_color((*token as usize * 7919) % 997 + 8),
        ColorBy::Label(label) => points.labels.get(label).map_or(Color32::GRAY, |label| {
            class_color(label.of.get(index).map_or(0, |&it| it as usize))
        }),
    };
    points.tokens.iter().enumerate().map(of).collect()
}

/// Describes the point under the pointer: its context, its labels, and the likeliest next tokens.
fn describe(ui: &mut Ui, index: usize, snapshot: &Snapshot, prepared: &Prepared) {
    const BEFORE: usize = 12;
    let points = &prepared.points;
    let word = |index: usize| {
        let id = points.tokens.get(index).copied().unwrap_or_default() as usize;
        prepared.vocabulary.get(id).map_or("", String::as_str)
    };
    let row = index / points.context.max(1) * points.context.max(1);
    let before: String = (row.max(index.saturating_sub(BEFORE))..index).map(word).collect();
    ui.set_max_width(300.0);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.label(format!("…{before}"));
        ui.strong(word(index));
    });
    if let Some(next) = snapshot.next.get(index) {
        let mut words = "then ".to_owned();
        for (id, probability) in next {
            let name = prepared.vocabulary.get(*id as usize).map_or("", String::as_str);
            words += &format!("“{name}” {:.0} %  ", 100.0 * probability);
        }
        ui.label(words);
    }
    for label in &points.labels {
        let value = label.of.get(index).and_then(|&it| label.values.get(it as usize));
        if let Some(value) = value {
            ui.small(format!("{}: {value}", label.name));
        }
    }
}

/// The legend of colours.
pub fn legend(ui: &mut Ui, by: ColorBy, points: &Points) {
    match by {
        ColorBy::Position => {
            ui.small("start of the row");
            let (rect, _) = ui.allocate_exact_size(vec2(90.0, 10.0), Sense::hover());
            for i in 0..30 {
                let x = rect.left() + 3.0 * i as f32;
                let cell = Rect::from_min_size(pos2(x, rect.top()), vec2(3.0, 10.0));
                ui.painter().rect_filled(cell, 0.0, ramp(i as f32 / 29.0));
            }
            ui.small("its end");
        }
        ColorBy::Token => {
            ui.small("equal tokens have equal colours");
        }
        ColorBy::Label(label) => {
            let Some(label) = points.labels.get(label) else { return };
            for (index, value) in label.values.iter().enumerate() {
                if label.of.iter().any(|&it| it as usize == index) {
                    ui.colored_label(class_color(index), format!("● {value}"));
                }
            }
        }
    }
}
