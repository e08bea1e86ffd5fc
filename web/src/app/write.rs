//! Text from both models, and the likeliest tokens after the prompt.

use eframe::egui::{self, Ui};

use super::known::Known;
use super::theme::{card, lane_color};
use crate::protocol::{Command, Phase, Writing};

/// The prompt and the settings of generation.
pub struct Write {
    wanted: Writing,
}

impl Default for Write {
    fn default() -> Self {
        let prompt = "The old gardener".to_owned();
        Self { wanted: Writing { prompt, max_tokens: 60, temperature: 0.8, seed: 0 } }
    }
}

/// The tab; returns a command when text is requested.
pub fn show(ui: &mut Ui, write: &mut Write, known: &Known) -> Option<Command> {
    let mut command = None;
    let wanted = &mut write.wanted;
    let label = ui.label("Prompt");
    let field =
        egui::TextEdit::multiline(&mut wanted.prompt).desired_rows(2).desired_width(f32::INFINITY);
    ui.add(field).labelled_by(label.id);
    ui.horizontal_wrapped(|ui| {
        let ready = known.phase != Phase::Empty;
        let button = egui::Button::new("Continue the text");
        let about = "Samples from the likeliest tokens that together reach 95 %. During training the \
                     weights change between tokens: pause first for the text of one step.";
        if ui.add_enabled(ready, button).on_hover_text(about).clicked() {
            command = Some(Command::Write(wanted.clone()));
        }
        let label = ui.label("temperature");
        let about = "0 always takes the likeliest token; higher values vary more";
        ui.add(egui::DragValue::new(&mut wanted.temperature).speed(0.02).range(0.0..=2.0))
            .labelled_by(label.id)
            .on_hover_text(about);
        let label = ui.label("tokens");
        ui.add(egui::DragValue::new(&mut wanted.max_tokens).range(1..=300)).labelled_by(label.id);
        let label = ui.label("seed");
        ui.add(egui::DragValue::new(&mut wanted.seed)).labelled_by(label.id);
        if !ready {
            ui.weak("Press Start first.");
        }
    });
    let dark = ui.visuals().dark_mode;
    let columns = if ui.available_width() < 560.0 { 1 } else { known.histories.len().max(1) };
    let lanes: Vec<_> = known.histories.keys().copied().collect();
    for row in lanes.chunks(columns) {
        ui.columns(columns, |uis| {
            for (ui, lane) in uis.iter_mut().zip(row) {
                card(ui, "", |ui| {
                    let name = egui::RichText::new(lane.name()).strong();
                    ui.colored_label(lane_color(*lane, dark), name);
                    let Some(written) = known.written.get(lane) else {
                        ui.weak("Nothing yet.");
                        return;
                    };
                    let more = if written.done { "" } else { " …" };
                    ui.label(format!("{}{more}", written.text));
                    ui.add_space(4.0);
                    ui.small("Likeliest tokens after the prompt:");
                    for (token, probability) in &written.next {
                        ui.horizontal(|ui| {
                            let bar = egui::ProgressBar::new(*probability)
                                .desired_width(110.0)
                                .fill(lane_color(*lane, dark).gamma_multiply(0.6));
                            ui.add(bar.text(format!("{:.1} %", 100.0 * probability)));
                            ui.monospace(format!("{token:?}"));
                        });
                    }
                });
            }
        });
    }
    command
}
