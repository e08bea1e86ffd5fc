//! The bar at the top: start, step, save and progress; and the messages below it.

use eframe::egui::{self, RichText, Ui};

use super::{App, theme};
use crate::link::Choice;
use crate::protocol::{Command, Format, Lane, Phase};

impl App {
    pub(super) fn top(&mut self, ui: &mut Ui, narrow: bool) {
        ui.add_space(6.0);
        ui.horizontal(|ui| {
            ui.heading("NITP");
            if !narrow {
                ui.weak(
                    "Two small language models train here, on this machine: one predicts the next \
                     token, the other also predicts its hidden state.",
                );
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                theme::choice(ui);
                if ui.button("Tour").on_hover_text("A tour of NITP in five steps (T)").clicked() {
                    self.go_on_tour(Some(0));
                }
            });
        });
        ui.horizontal_wrapped(|ui| {
            let (words, about) = match self.known.phase {
                _ if self.preparing => ("Preparing…", "Reading the text and making the models"),
                Phase::Empty => ("▶ Start", "Train both models (Space)"),
                Phase::Finished => ("▶ Restart", "Train both models from the beginning"),
                Phase::Paused => ("▶ Continue", "Continue both (Space)"),
                Phase::Running => ("Pause", "Pause both (Space)"),
            };
            let button = egui::Button::new(RichText::new(words).strong());
            let size = egui::vec2(120.0, 30.0);
            let button = ui.add_enabled(!self.preparing, button.min_size(size));
            if button.on_hover_text(about).clicked() {
                self.toggle();
            }
            let still = matches!(self.known.phase, Phase::Empty | Phase::Paused);
            let step = ui.add_enabled(still, egui::Button::new("Step"));
            if step.on_hover_text("One step of both (N)").clicked() {
                self.one_step();
            }
            if matches!(self.known.phase, Phase::Paused | Phase::Running) {
                let about = "From step 0, with the current settings";
                if ui.button("Restart").on_hover_text(about).clicked() {
                    self.start(usize::MAX);
                }
            }
            self.files_menu(ui);
            self.progress(ui);
        });
        if self.has_changed() && !self.preparing {
            ui.colored_label(
                ui.visuals().warn_fg_color,
                "The settings differ from those of the runs shown: \"Restart\" applies them, \
                 \"Continue\" keeps the old ones.",
            );
        }
        ui.add_space(2.0);
    }

    fn files_menu(&mut self, ui: &mut Ui) {
        ui.menu_button("Save and open", |ui| {
            for lane in Lane::ALL {
                let has = self.known.histories.contains_key(&lane) && self.known.saved.is_some();
                let words = format!("Save the {} run for `nitp`…", lane.name());
                let button = ui.add_enabled(has, egui::Button::new(words));
                let about = "A zip for the program `nitp`: unpack it, then run nitp eval FOLDER. Pause \
                             first to save the latest step. (Ctrl+S saves the NITP run.)";
                if button.on_hover_text(about).clicked() {
                    self.link.send(Command::Export(lane, Format::Run));
                }
                let words = format!("Save the {} model for transformers…", lane.name());
                let button = ui.add_enabled(has, egui::Button::new(words));
                let about = "A zip in Hugging Face's format: unpack it, then give the folder to \
                             AutoModelForCausalLM.from_pretrained or to nitp import";
                if button.on_hover_text(about).clicked() {
                    self.link.send(Command::Export(lane, Format::Model));
                }
            }
            let about = "A run of `nitp train`, or a small model in Hugging Face's format: both runs \
                         then begin from its weights";
            if ui.button("Open a folder…").on_hover_text(about).clicked() {
                self.host.choose(Choice::Run);
            }
            if ui.button("Open a zip…").on_hover_text(about).clicked() {
                self.host.choose(Choice::Zip);
            }
            let about = "The link holds the settings, but not a text of your own.";
            if ui.button("Copy a link to these settings").on_hover_text(about).clicked() {
                ui.ctx().copy_text(self.host.link(&self.query()));
            }
            let forget = "Delete the run saved in this browser";
            if self.known.kept.is_some() && ui.button(forget).clicked() {
                self.link.send(Command::Forget);
            }
        });
    }

    fn progress(&self, ui: &mut Ui) {
        let known = &self.known;
        if known.steps() > 0 {
            let share = known.step() as f32 / known.steps() as f32;
            let words = format!("step {} of {}", known.step(), known.steps());
            ui.add(egui::ProgressBar::new(share).desired_width(170.0).text(words));
        }
        if !known.device.is_empty() {
            let device = ui.weak(format!("on {}", known.device));
            if known.memory != [0; 2] {
                device.on_hover_text(known.memory_words());
            }
        }
        if let Some(step) = known.kept {
            ui.weak(format!("kept: step {step}"))
                .on_hover_text("Saved in this browser: a reload continues from this step");
        }
    }

    pub(super) fn messages(&mut self, ui: &mut Ui) {
        let error = ui.visuals().error_fg_color;
        let warning = ui.visuals().warn_fg_color;
        let mut put_away =
            |color, text: Option<&String>| text.is_some_and(|text| message(ui, color, text));
        if put_away(error, self.known.error.as_ref()) {
            self.known.error = None;
        }
        if put_away(warning, self.known.notices.back()) {
            self.known.notices.pop_back();
        }
    }
}

/// Shows a message with a button to close it. Returns whether it was closed.
fn message(ui: &mut Ui, color: egui::Color32, text: &str) -> bool {
    let frame = egui::Frame::new()
        .fill(color.gamma_multiply(0.12))
        .corner_radius(egui::CornerRadius::same(6))
        .inner_margin(8.0);
    frame
        .show(ui, |ui| {
            ui.horizontal_top(|ui| {
                let close =
                    ui.button("×").accessible_name("Close").on_hover_text("Close").clicked();
                ui.add(egui::Label::new(RichText::new(text).color(color)).wrap());
                close
            })
            .inner
        })
        .inner
}
