//! The tab "Why it works": curvature of both losses at one hidden state of the current models.

use eframe::egui::Ui;
use egui_plot::{HLine, Line, PlotPoints};

use super::curves::number;
use super::figure::figure;
use super::geometry::log_plot;
use super::known::Known;
use super::look::{self, Look};
use super::theme::{class_color, lane_color};
use crate::protocol::Lane;

/// Smaller curvatures are not shown: they are rounding errors.
const FLOOR: f64 = 1e-10;

/// A direction with less curvature counts as flat.
const FLAT: f64 = 1e-4;

/// The tab.
pub fn show(ui: &mut Ui, look: &mut Look, known: &Known) {
    ui.label(
        "The next-token loss depends on a hidden state only through the logits. In directions that hardly \
         change the logits, the loss is flat: a hidden state may drift there, and different states may \
         become alike. The NITP loss depends on the same hidden state, and adds curvature in flat directions.",
    );
    look::text_field(ui, look, known);
    let narrow = ui.available_width() < 560.0;
    let lanes: Vec<Lane> = known.histories.keys().copied().collect();
    let columns = if narrow { 1 } else { lanes.len().max(1) };
    for row in lanes.chunks(columns) {
        ui.columns(columns, |uis| {
            for (ui, &lane) in uis.iter_mut().zip(row) {
                let name = format!("Curvature of {}", lane.name());
                let header = |ui: &mut Ui| drop(ui.strong(&name));
                figure(ui, &name, header, |ui| one(ui, lane, look, known));
            }
        });
    }
    ui.add_space(6.0);
    ui.small(
        "Each place on the x axis is a direction in which the hidden state h of the chosen token can move. \
         Directions are sorted by the curvature of the next-token loss, the blue line: the eigenvalues of \
         W^T (diag p - p p^T) W. Where the blue line falls, the loss is flat; Theorem 3.2 of the paper calls \
         these directions unconstrained. The orange line is the sum with NITP's curvature in the same \
         directions, computed through NITP's head. The thin orange line has the eigenvalues of NITP's own \
         Hessian. The dashed line is \u{3bb}s/r\u{b2} of Lemma 3.1: the curvature that NITP adds, in the \
         space of the prediction, in every direction orthogonal to the prediction. A log scale can't show \
         negative curvatures.",
    );
}

fn one(ui: &mut Ui, lane: Lane, look: &mut Look, known: &Known) {
    let dark = ui.visuals().dark_mode;
    let Some(seen) = known.inspected.get(&lane) else {
        ui.weak(look::waiting(known));
        return;
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        let chosen = seen.curvature.as_ref().map(|it| it.0);
        for (index, token) in seen.tokens.iter().enumerate() {
            let text = if token.trim().is_empty() { "·" } else { token };
            if ui.selectable_label(chosen == Some(index), text).clicked() {
                look.position = Some(index);
                look.due = true;
            }
        }
    });
    let Some((_, curvature)) = &seen.curvature else {
        ui.weak(look::waiting(known));
        return;
    };
    let points = |values: &[f64]| -> PlotPoints<'static> {
        let some = values.iter().enumerate().filter(|(_, value)| **value > FLOOR);
        some.map(|(i, value)| [i as f64 + 1.0, value.log10()]).collect::<Vec<_>>().into()
    };
    let nitp = lane_color(Lane::Nitp, dark);
    // The legend is outside of the plot, because lines cover all of it.
    ui.horizontal_wrapped(|ui| {
        ui.colored_label(lane_color(Lane::Ntp, dark), "next token alone");
        if curvature.nitp.is_some() {
            ui.colored_label(nitp, "with NITP");
            ui.colored_label(nitp.gamma_multiply(0.6), "NITP's own");
            ui.colored_label(class_color(2), "λs/r²");
        }
    });
    log_plot(&format!("curvature {}", lane.name()), "direction").show(ui, |plot| {
        let line = Line::new("next token alone", points(&curvature.cross_entropy));
        plot.line(line.color(lane_color(Lane::Ntp, dark)).width(1.8));
        if let Some(lift) = &curvature.nitp {
            let line = Line::new("NITP's own", points(&lift.eigenvalues));
            plot.line(line.color(nitp.gamma_multiply(0.6)).width(1.0));
            let line = Line::new("with NITP", points(&lift.lifted));
            plot.line(line.color(nitp).width(1.8));
            if lift.tangential > FLOOR {
                let line = HLine::new("λs/r²", lift.tangential.log10());
                let line = line.style(egui_plot::LineStyle::dashed_loose());
                plot.hline(line.color(class_color(2)));
            }
        }
    });
    ui.label(flat(&curvature.cross_entropy, "next-token curvature"));
    match &curvature.nitp {
        Some(lift) => {
            ui.label(flat(&lift.lifted, "curvature with NITP"));
            ui.label(format!(
                "NITP's prediction has cosine s = {} with the target and length r = {}.",
                number(lift.cosine),
                number(lift.norm)
            ));
        }
        None if lane == Lane::Ntp => {
            ui.label("This model trains without NITP, so that no other loss adds curvature.");
        }
        None => {
            ui.label(
                "NITP's curvature is shown for the cosine loss at the post-norm state, and for a token that \
                 has a next token.",
            );
        }
    }
}

/// A sentence about the number of flat directions of a loss.
fn flat(curvatures: &[f64], name: &str) -> String {
    let flat = curvatures.iter().filter(|&&it| it < FLAT).count();
    let all = curvatures.len();
    format!("{flat} of {all} directions have a {name} below {FLAT:e}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_flat_directions_is_a_sentence() {
        assert_eq!(
            flat(&[1.0, 2e-5, -1.0, 0.5], "curvature with NITP"),
            "2 of 4 directions have a curvature with NITP below 1e-4."
        );
    }
}
