//! Lines with bands, as SVG.

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use super::lines::{Line, range};

/// Axes of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// Label below the chart.
    pub x: &'a str,
    /// Label above the chart.
    pub y: &'a str,
    /// Whether the vertical axis is logarithmic.
    pub log: bool,
}

/// Largest number of lines that can be distinguished.
pub const MOST_LINES: usize = 8;

/// Eight colours that colour-blind readers can distinguish (Okabe and Ito 2008), black first.
pub fn colour(index: usize) -> &'static str {
    const COLOURS: [&str; MOST_LINES] =
        ["#555555", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f"];
    COLOURS[index % COLOURS.len()]
}

const SIZE: (u32, u32) = (640, 360);

/// The chart as an SVG element.
///
/// # Errors
/// Errors of the plotting library.
pub fn chart(axes: Axes<'_>, lines: &[Line]) -> Result<String> {
    let mut svg = String::new();
    let points = || lines.iter().flat_map(|line| &line.points);
    let (Some([left, right]), Some([low, high])) =
        (range(points().map(|it| it[0])), range(points().flat_map(|it| [it[2], it[3]])))
    else {
        return Ok(svg);
    };
    let right = if right > left { right } else { left + 1.0 };
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut builder = ChartBuilder::on(&root);
        builder
            .caption(axes.y, ("sans-serif", 21).into_font())
            .margin(8)
            .x_label_area_size(48)
            .y_label_area_size(70);
        if axes.log {
            let low = low.max(high * 1e-8).max(f64::MIN_POSITIVE);
            let cartesian = builder
                .build_cartesian_2d(left..right, (low..high.max(2.0 * low)).log_scale())
                .map_err(failed)?;
            draw(cartesian, axes, lines, |y| format!("{y:.0e}"))?;
        } else {
            let pad = if high > low { 0.05 * (high - low) } else { 0.5 };
            let cartesian =
                builder.build_cartesian_2d(left..right, low - pad..high + pad).map_err(failed)?;
            draw(cartesian, axes, lines, |y| format!("{y}"))?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

const SQUARE: (u32, u32) = (400, 400);

/// Points in the square from `-reach` to `reach`, with axes and the circle of radius 1.
///
/// # Errors
/// Errors of the plotting library.
pub fn scatter(colour: usize, points: &[[f64; 2]], reach: f64) -> Result<String> {
    const CIRCLE: usize = 72;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SQUARE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(4)
            .build_cartesian_2d(-reach..reach, -reach..reach)
            .map_err(failed)?;
        let line = BLACK.mix(0.15);
        let axes = [[(-reach, 0.0), (reach, 0.0)], [(0.0, -reach), (0.0, reach)]];
        let axes = axes.map(|ends| PathElement::new(ends, line));
        chart.draw_series(axes).map_err(failed)?;
        let angles = (0..=CIRCLE).map(|i| std::f64::consts::TAU * i as f64 / CIRCLE as f64);
        let circle = angles.map(|angle| (angle.cos(), angle.sin()));
        chart.draw_series(LineSeries::new(circle, BLACK.mix(0.3))).map_err(failed)?;
        let ink = rgb(self::colour(colour)).mix(0.45).filled();
        let dots = points.iter().map(|&[x, y]| Circle::new((x, y), 3, ink));
        chart.draw_series(dots).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

fn draw<Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
    mut chart: ChartContext<
        '_,
        SVGBackend<'_>,
        Cartesian2d<plotters::coord::types::RangedCoordf64, Y>,
    >,
    axes: Axes<'_>,
    lines: &[Line],
    y_label: impl Fn(&f64) -> String,
) -> Result<()> {
    let x_label = |x: &f64| match *x {
        x if x.abs() >= 1e5 => format!("{x:.0e}"),
        x => format!("{x}"),
    };
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(axes.x)
        .x_labels(5)
        .y_labels(6)
        .x_label_formatter(&x_label)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", 18));
    if axes.log {
        mesh.y_label_formatter(&y_label);
    }
    mesh.draw().map_err(failed)?;
    for line in lines {
        let colour = rgb(colour(line.colour));
        let is_band = line.points.iter().any(|point| point[2] < point[3]);
        if is_band {
            let upper = line.points.iter().map(|point| (point[0], point[3]));
            let lower = line.points.iter().rev().map(|point| (point[0], point[2]));
            let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
            chart
                .draw_series([Polygon::new(outline, colour.mix(0.16).filled())])
                .map_err(failed)?;
        }
        let mean = line.points.iter().map(|point| (point[0], point[1]));
        chart.draw_series(LineSeries::new(mean, colour.stroke_width(2))).map_err(failed)?;
    }
    Ok(())
}

fn rgb(hex: &str) -> RGBColor {
    let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or(0);
    RGBColor(part(1), part(3), part(5))
}

fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("drawing a chart: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scatter_has_its_points() {
        let svg = scatter(1, &[[0.0, 0.5], [-1.0, 2.0]], 2.5).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        assert!(svg.contains("#D55E00") && svg.contains("<polyline"), "{svg}");
    }

    #[test]
    fn a_chart_has_its_lines_and_bands_and_may_be_empty() {
        let axes = Axes { x: "steps", y: "loss", log: false };
        let line = Line { colour: 0, points: vec![[0.0, 3.0, 2.9, 3.1], [10.0, 2.0, 1.9, 2.1]] };
        for log in [false, true] {
            let svg = chart(Axes { log, ..axes }, std::slice::from_ref(&line)).unwrap();
            assert!(svg.contains("<polyline") && svg.contains("<polygon"), "{svg}");
            assert!(svg.contains("steps") && svg.contains("viewBox"), "{svg}");
        }
        assert_eq!(chart(axes, &[]).unwrap(), "");
        let one = Line { points: vec![[0.0, 1.0, 1.0, 1.0]], ..line };
        assert!(!chart(axes, &[one]).unwrap().contains("NaN"));
    }
}
