//! `cargo xtask figure`: runs side by side as an SVG, from their metrics.jsonl.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use plotters::prelude::*;
use serde_json::Value;

/// Okabe and Ito's blue and orange, which colour-blind people can also distinguish.
const COLOURS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];

const INK: RGBColor = RGBColor(60, 60, 60);

/// Keys of metrics.jsonl with the titles of their panels.
const PANELS: [(&str, &str); 4] = [
    ("val_loss", "held-out loss, nats a token"),
    ("nitp_loss", "NITP loss on held-out text"),
    ("effective_rank", "effective rank of the last hidden states"),
    ("mean_cosine", "mean cosine of the last hidden states"),
];

/// A run's name and its events.
struct Run {
    name: String,
    events: Vec<Value>,
}

impl Run {
    /// Reads a run from an argument `NAME=RUN`.
    fn read(argument: &str) -> Result<Self> {
        let (name, path) = argument.split_once('=').context("a run is given as NAME=RUN")?;
        let path = Path::new(path).join("metrics.jsonl");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let events = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), events })
    }

    /// Values of `key` in evaluations and measurements of geometry, by step.
    fn curve(&self, key: &str) -> Vec<(f64, f64)> {
        let told = |event: &&Value| event["event"] == "evaluation" || event["event"] == "geometry";
        let points = self.events.iter().filter(told);
        points.filter_map(|event| Some((event["step"].as_f64()?, event[key].as_f64()?))).collect()
    }
}

/// At most two digits after the point, without trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Draws the runs, at most two, into the file `out`.
pub fn run(runs: &[String], out: &PathBuf) -> Result<()> {
    let runs: Vec<Run> = runs.iter().map(|run| Run::read(run)).collect::<Result<_>>()?;
    ensure!((1..=COLOURS.len()).contains(&runs.len()), "give one or two runs");
    let root = SVGBackend::new(out, (860, 540)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (key, title)) in root.split_evenly((2, 2)).iter().zip(PANELS) {
        let curves: Vec<_> = runs.iter().map(|run| (run, run.curve(key))).collect();
        let drawn = |curve: &[(f64, f64)]| curve.iter().any(|&(_, y)| y != 0.0);
        let points = || curves.iter().flat_map(|(_, curve)| curve).copied();
        let last = points().map(|(x, _)| x).fold(1.0, f64::max);
        let top = points().map(|(_, y)| y).fold(f64::MIN_POSITIVE, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 15).into_font().color(&INK))
            .margin(12)
            .margin_right(28)
            .x_label_area_size(40)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..last, 0.0..1.08 * top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .axis_desc_style(("sans-serif", 12).into_font().color(&INK))
            .x_labels(5)
            .y_labels(5)
            .x_label_formatter(&|step| format!("{step}"))
            .x_desc("step")
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        // A loss that is off is not drawn as a curve at 0.
        let shown = curves.iter().zip(COLOURS).filter(|((_, curve), _)| drawn(curve));
        for ((run, curve), colour) in shown {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.iter().copied(), style))?
                .label(run.name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        if key != PANELS[0].0 {
            continue;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 12).into_font().color(&INK))
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    println!("{}", out.display());
    Ok(())
}
