//! What the window shows.

use eframe::egui;
use nitp_core::config::{parameter_counts, preset, preset_names};

/// The app's state.
pub struct App {
    preset: &'static str,
}

impl Default for App {
    fn default() -> Self {
        Self { preset: "tiny" }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        egui::CentralPanel::default().show(ui, |ui| {
            ui.heading("Next Implicit Token Prediction");
            ui.label(
                "A language model's last hidden state predicts the next token and, by cosine, the \
                 shallow-layer state of that token.",
            );
            ui.add_space(12.0);
            egui::ComboBox::from_label("preset").selected_text(self.preset).show_ui(ui, |ui| {
                for &(name, about) in preset_names() {
                    ui.selectable_value(&mut self.preset, name, name).on_hover_text(about);
                }
            });
            match preset(self.preset) {
                Ok(config) => counts(ui, &parameter_counts(&config.model, &config.nitp)),
                Err(error) => {
                    ui.colored_label(ui.visuals().error_fg_color, error.to_string());
                }
            }
        });
    }
}

fn counts(ui: &mut egui::Ui, counts: &nitp_core::config::ParameterCounts) {
    egui::Grid::new("counts").num_columns(2).spacing([24.0, 4.0]).show(ui, |ui| {
        for (name, count) in [
            ("parameters", counts.total),
            ("active for a token", counts.active),
            ("embedding", counts.embedding),
            ("attention", counts.attention),
            ("dense FFN", counts.dense_ffn),
            ("routed experts", counts.experts_routed),
            ("shared experts", counts.experts_shared),
            ("unembedding", counts.lm_head),
            ("NITP projector (training only)", counts.projector),
        ] {
            ui.label(name);
            ui.monospace(format!("{count:>16}"));
            ui.end_row();
        }
    });
}
