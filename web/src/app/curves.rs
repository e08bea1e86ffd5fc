//! Curves of the training, one plot per metric with both runs.

use eframe::egui::{self, Ui};
use egui_plot::{Legend, Line, PlotPoints};
use nitp_core::train::StepEvent;

use super::figure::figure;
use super::geometry::quiet_plot;
use super::known::Known;
use super::theme::lane_color;
use crate::engine::History;
use crate::protocol::Lane;

/// A metric over steps.
struct Curve {
    title: &'static str,
    about: &'static str,
    of: fn(&History) -> Vec<[f64; 2]>,
}

fn steps(history: &History, of: impl Fn(&StepEvent) -> f64) -> Vec<[f64; 2]> {
    history.steps().iter().map(|it| [it.step as f64, of(it)]).collect()
}

const CURVES: [Curve; 8] = [
    Curve {
        title: "Loss",
        about: "Cross-entropy of the next token on each step's batch, in nats. Both runs see the \
                same batches.",
        of: |it| steps(it, |step| step.ntp_loss),
    },
    Curve {
        title: "Held-out loss",
        about: "Cross-entropy on held-out text, in nats a token.",
        of: |it| it.evaluations().iter().map(|it| [it.step as f64, it.val_loss]).collect(),
    },
    Curve {
        title: "Effective rank",
        about: "The number of directions over which the last hidden states spread: the exponential of \
                the entropy of their covariance's spectrum (Roy & Vetterli 2007).",
        of: |it| {
            let points = it.snapshots().iter();
            points.map(|(step, it)| [*step as f64, it.geometry.effective_rank]).collect()
        },
    },
    Curve {
        title: "Mean cosine",
        about: "Mean cosine of pairs of last hidden states: 0 for random directions, 1 if all point \
                the same way.",
        of: |it| {
            let points = it.snapshots().iter();
            points.map(|(step, it)| [*step as f64, it.geometry.mean_cosine]).collect()
        },
    },
    Curve {
        title: "NITP loss",
        about: "1 - cosine between the prediction from the last hidden state and the next token's \
                shallow state (or the loss chosen in the settings).",
        of: |it| {
            let points = steps(it, |step| step.nitp_loss);
            if points.iter().all(|point| point[1] == 0.0) { Vec::new() } else { points }
        },
    },
    Curve {
        title: "Gradient norm",
        about: "Norm of all gradients before clipping.",
        of: |it| steps(it, |step| step.grad_norm),
    },
    Curve {
        title: "Learning rate",
        about: "The schedule, the same for both runs.",
        of: |it| steps(it, |step| step.learning_rate),
    },
    Curve {
        title: "Tokens a second",
        about: "Training tokens per second of each run. On a GPU the two runs share one queue, and \
                this is their sum.",
        of: |it| {
            let steps = it.steps().iter();
            steps.filter_map(|it| Some([it.step as f64, it.tokens_per_second?])).collect()
        },
    },
];

/// All curves; `others` are runs from the list for comparison.
pub fn show(ui: &mut Ui, known: &Known, others: &[(String, &History)]) {
    let width = ui.available_width();
    let columns = if width < 560.0 { 1 } else { 2 };
    let dark = ui.visuals().dark_mode;
    for row in CURVES.chunks(columns) {
        ui.columns(columns, |uis| {
            for (ui, curve) in uis.iter_mut().zip(row) {
                let header = |ui: &mut Ui| last_values(ui, curve, known, dark);
                figure(ui, curve.title, header, |ui| plot(ui, curve, known, others, dark));
            }
        });
        ui.add_space(2.0);
    }
}

fn last_values(ui: &mut Ui, curve: &Curve, known: &Known, dark: bool) {
    ui.strong(curve.title).on_hover_text(curve.about);
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
        for (&lane, history) in known.histories.iter().rev() {
            if let Some([_, last]) = (curve.of)(history).last() {
                let text = format!("{} {}", lane.name(), number(*last));
                ui.colored_label(lane_color(lane, dark), text);
            }
        }
    });
}

fn plot(ui: &mut Ui, curve: &Curve, known: &Known, others: &[(String, &History)], dark: bool) {
    let mut frame =
        quiet_plot(curve.title, 150.0).include_x(0.0).include_x(known.steps().max(1) as f64);
    // The values above the plot identify the two runs by their colours. Other runs need a legend.
    if !others.is_empty() {
        frame = frame.legend(Legend::default());
    }
    frame.show(ui, |plot| {
        for (index, (name, history)) in others.iter().enumerate() {
            let color = super::theme::class_color(index + 2).gamma_multiply(0.7);
            let line = Line::new(name.clone(), PlotPoints::from((curve.of)(history)));
            plot.line(line.color(color).width(1.0));
        }
        for lane in Lane::ALL {
            let Some(history) = known.histories.get(&lane) else { continue };
            let line = Line::new(lane.name(), PlotPoints::from((curve.of)(history)));
            plot.line(line.color(lane_color(lane, dark)).width(1.8));
        }
    });
}

/// A number with few digits.
pub fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        a if a < 1e-3 => format!("{x:.1e}"),
        a if a < 10.0 => format!("{x:.3}"),
        a if a < 1000.0 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    }
}
