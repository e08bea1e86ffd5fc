//! The shape of the hidden states: clouds, spectrum, cosines.

use eframe::egui::{self, Ui};
use egui_plot::{Bar, BarChart, Legend, Line, Plot, PlotPoints};

use super::cloud::{self, ColorBy, View};
use super::curves::number;
use super::figure::figure;
use super::known::Known;
use super::theme::lane_color;
use crate::protocol::{Lane, Snapshot};

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub struct Geometry {
    view: View,
    /// The step whose states are shown; none for the newest.
    at: Option<usize>,
}

/// The tab.
pub fn show(ui: &mut Ui, geometry: &mut Geometry, known: &Known) {
    let Some((prepared, _)) = &known.prepared else {
        ui.label("Press Start: the hidden states of the same held-out tokens appear here.");
        return;
    };
    controls(ui, geometry, known);
    let dark = ui.visuals().dark_mode;
    let narrow = ui.available_width() < 560.0;
    // Both runs at the same step, even if one is ahead.
    let step = geometry.at.or(known.snapshot()).unwrap_or(usize::MAX);
    let at = |lane: Lane| -> Option<&Snapshot> {
        let snapshots = known.histories.get(&lane)?.snapshots();
        snapshots.iter().rfind(|(of, _)| *of <= step).map(|(_, it)| it)
    };
    let lanes: Vec<Lane> = known.histories.keys().copied().collect();
    let columns = if narrow { 1 } else { lanes.len().max(1) };
    let height = if narrow { 260.0 } else { 320.0 };
    let mut view = geometry.view.clone();
    view.hovered = None;
    for row in lanes.chunks(columns) {
        ui.columns(columns, |uis| {
            for (ui, &lane) in uis.iter_mut().zip(row) {
                let snapshot = at(lane);
                let name = format!("Hidden states of {}", lane.name());
                let header = |ui: &mut Ui| {
                    let name = egui::RichText::new(lane.name()).strong();
                    ui.colored_label(lane_color(lane, dark), name);
                    if let Some(it) = snapshot {
                        ui.label(format!(
                            "step {}, rank {}, cosine {}",
                            it.geometry.step,
                            number(it.geometry.effective_rank),
                            number(it.geometry.mean_cosine)
                        ))
                        .on_hover_text("Effective rank and mean cosine of these states");
                    }
                };
                figure(ui, &name, header, |ui| {
                    cloud::show(ui, lane.name(), &mut view, snapshot, prepared, height);
                });
            }
        });
    }
    // A point hovered in one cloud is ringed in the other from the next frame on.
    if view.hovered != geometry.view.hovered {
        ui.ctx().request_repaint();
    }
    geometry.view = view;
    ui.horizontal_wrapped(|ui| cloud::legend(ui, geometry.view.color_by, &prepared.points));
    ui.add_space(4.0);
    let shown: Vec<(Lane, &Snapshot)> =
        lanes.iter().filter_map(|&lane| Some((lane, at(lane)?))).collect();
    let columns = if narrow { 1 } else { 2 };
    ui.columns(columns, |uis| {
        spectrum(&mut uis[0], &shown, dark);
        cosines(&mut uis[columns - 1], &shown, dark);
    });
}

fn controls(ui: &mut Ui, geometry: &mut Geometry, known: &Known) {
    let Some((prepared, _)) = &known.prepared else { return };
    ui.horizontal_wrapped(|ui| {
        let name = |by: ColorBy| match by {
            ColorBy::Position => "position",
            ColorBy::Token => "token",
            ColorBy::Label(index) => {
                prepared.points.labels.get(index).map_or("", |label| label.name.as_str())
            }
        };
        let label = ui.label("Colour by");
        egui::ComboBox::from_id_salt("color")
            .selected_text(name(geometry.view.color_by))
            .show_ui(ui, |ui| {
                let labels = (0..prepared.points.labels.len()).map(ColorBy::Label);
                for by in [ColorBy::Position, ColorBy::Token].into_iter().chain(labels) {
                    ui.selectable_value(&mut geometry.view.color_by, by, name(by));
                }
            })
            .response
            .labelled_by(label.id);
        let first = known.histories.values().next();
        let steps: Vec<usize> =
            first.map_or(Vec::new(), |it| it.snapshots().iter().map(|(step, _)| *step).collect());
        let last = steps.len().saturating_sub(1);
        let mut place = match geometry.at {
            Some(step) => steps.partition_point(|&it| it <= step).saturating_sub(1),
            None => last,
        };
        let label = ui.label("Time");
        let slider = egui::Slider::new(&mut place, 0..=last).show_value(false);
        let about = "Earlier steps; the right end follows the training";
        if ui.add_enabled(last > 0, slider).labelled_by(label.id).on_hover_text(about).changed() {
            geometry.at = steps.get(place).copied().filter(|_| place < last);
        }
        ui.weak("drag to turn, scroll to zoom, hover for the token");
    });
}

fn spectrum(ui: &mut Ui, shown: &[(Lane, &Snapshot)], dark: bool) {
    figure(
        ui,
        "Spectrum",
        |ui| drop(ui.strong("Spectrum")),
        |ui| {
            ui.small("Share of the variance along each principal axis, on a log scale. A steep fall means that few directions hold most of the variance.");
            log_plot("spectrum", "axis").legend(Legend::default()).show(ui, |plot| {
                for (lane, it) in shown {
                    let total: f32 = it.geometry.spectrum.iter().sum();
                    let share = |(i, &e): (usize, &f32)| {
                        [i as f64 + 1.0, f64::from(e / total.max(1e-20)).max(1e-9).log10()]
                    };
                    let points: Vec<[f64; 2]> =
                        it.geometry.spectrum.iter().enumerate().map(share).collect();
                    let line = Line::new(lane.name(), PlotPoints::from(points));
                    plot.line(line.color(lane_color(*lane, dark)).width(1.8));
                }
            });
        },
    );
}

fn cosines(ui: &mut Ui, shown: &[(Lane, &Snapshot)], dark: bool) {
    figure(
        ui,
        "Cosines of pairs",
        |ui| drop(ui.strong("Cosines of pairs")),
        |ui| {
            ui.small("Cosine similarity of hidden states, over all pairs of the shown tokens: -1 for opposite directions, 0 for orthogonal ones, 1 for the same direction.");
            quiet_plot("cosines", 190.0)
                .legend(Legend::default())
                .include_x(-1.0)
                .include_x(1.0)
                .show(ui, |plot| {
                    for (lane, it) in shown {
                        let bins = it.cosines.len().max(1) as f64;
                        let total = f64::from(it.cosines.iter().sum::<u32>().max(1));
                        let bar = |(i, &count): (usize, &u32)| {
                            let middle = -1.0 + 2.0 * (i as f64 + 0.5) / bins;
                            Bar::new(middle, f64::from(count) / total).width(2.0 / bins)
                        };
                        let color = lane_color(*lane, dark).gamma_multiply(0.55);
                        let bars = it.cosines.iter().enumerate().map(bar).collect();
                        plot.bar_chart(BarChart::new(lane.name(), bars).color(color));
                    }
                });
        },
    );
}

/// A plot that ignores scrolling and dragging.
pub fn quiet_plot<'a>(name: &str, height: f32) -> Plot<'a> {
    Plot::new(name.to_owned())
        .height(height)
        .show_background(false)
        .grid_color(egui::Color32::from_gray(128).gamma_multiply(0.45))
        .grid_fade(0.6)
        .allow_scroll(false)
        .allow_zoom(false)
        .allow_boxed_zoom(false)
        .allow_drag(false)
        .y_axis_min_width(38.0)
        .set_margin_fraction(egui::vec2(0.01, 0.07))
}

/// A plot whose y values are exponents of ten.
pub fn log_plot(name: &str, x: &str) -> Plot<'static> {
    quiet_plot(name, 190.0).x_axis_label(x.to_owned()).y_axis_formatter(|mark, _| {
        let whole = (mark.value - mark.value.round()).abs() < 1e-6;
        if whole { format!("1e{:.0}", mark.value) } else { String::new() }
    })
}
