//! The experiment's settings, with explanations.

use eframe::egui::{self, Ui};
use nitp_core::config::{
    BYTE_TOKENIZER, Config, DataConfig, MAX_HEAD_DIM, MoeConfig, NitpLoss, Projector, Regularizer,
    Schedule, Shift, Source, parameter_counts, preset, preset_names,
};

use super::query::{FIRST_PRESET, nearest_preset};
use crate::link::{Choice, Host};
use crate::protocol::{Experiment, File, Lane, Text};

/// Presets that a browser can hold.
const OFFERED: [&str; 6] = ["nano", "mini", "tiny", "tiny-moe", "small", "small-moe"];

/// The settings for the next start.
pub struct Setup {
    /// The chosen preset.
    pub preset: String,
    /// The run with NITP.
    pub config: Config,
    /// The training text.
    pub text: Text,
    /// Name of [`Text::Same`].
    same: String,
    /// Text in the field for pasting.
    pasted: String,
}

impl Setup {
    /// Settings from a preset's name and a configuration.
    pub fn new(preset: String, config: Config) -> Self {
        Self { preset, config, text: Text::Demo, same: String::new(), pasted: String::new() }
    }

    /// The experiment for the engine.
    pub fn experiment(&self) -> Experiment {
        Experiment {
            config: self.config.to_toml(),
            text: self.text.clone(),
            tokenizer: None,
            // Without NITP there is only one run.
            lanes: if self.config.nitp.enabled { Lane::ALL.to_vec() } else { vec![Lane::Ntp] },
        }
    }

    /// Shows the settings of the engine's experiment, whose text has this name.
    pub fn follow(&mut self, config: &Config, text: &str) {
        self.preset = nearest_preset(config);
        self.config = config.clone();
        (self.text, self.same) = (Text::Same, text.to_owned());
    }

    /// The form.
    pub fn show(&mut self, ui: &mut Ui, host: &mut dyn Host) {
        self.presets(ui);
        let problem = self.config.validate().err();
        if let Some(problem) = &problem {
            ui.colored_label(ui.visuals().error_fg_color, problem.to_string());
        } else {
            let counts = parameter_counts(&self.config);
            let words = format!(
                "{} parameters, {} for a token; NITP's head has {} more while it trains.",
                short(counts.total),
                short(counts.active),
                short(counts.projector)
            );
            ui.small(words);
        }
        ui.add_space(4.0);
        section(ui, "NITP", true, |ui| self.nitp(ui));
        section(ui, "Training", true, |ui| self.training(ui));
        section(ui, "Model", false, |ui| self.model(ui));
        section(ui, "Training text", false, |ui| self.texts(ui, host));
    }

    fn presets(&mut self, ui: &mut Ui) {
        let about = |name: &str| {
            preset_names().iter().find(|(known, _)| *known == name).map_or("", |it| it.1)
        };
        ui.horizontal(|ui| {
            let label = ui.label("Preset");
            egui::ComboBox::from_id_salt("preset")
                .selected_text(self.preset.clone())
                .show_ui(ui, |ui| {
                    for name in OFFERED {
                        let chosen = ui.selectable_label(self.preset == name, name);
                        if chosen.on_hover_text(about(name)).clicked() {
                            self.preset = name.to_owned();
                            self.config = preset(name).unwrap_or_default();
                        }
                    }
                })
                .response
                .labelled_by(label.id);
            if ui.button("Reset").on_hover_text("Restore the preset's settings").clicked() {
                self.config =
                    preset(&self.preset).or_else(|_| preset(FIRST_PRESET)).unwrap_or_default();
            }
        });
    }

    fn nitp(&mut self, ui: &mut Ui) {
        let layers = self.config.model.num_hidden_layers;
        let nitp = &mut self.config.nitp;
        grid(ui, "nitp", |ui| {
            row(ui, "Weight λ", "Weight of the NITP loss in the total loss.", |ui| {
                ui.add(egui::DragValue::new(&mut nitp.weight).speed(0.02).range(0.0..=100.0))
            });
            row(
                ui,
                "Target block",
                "The block whose output is the target; 0 is the embedding. In the paper, about 20 % of \
                 the depth is best.",
                |ui| ui.add(egui::DragValue::new(&mut nitp.target_layer).range(0..=layers)),
            );
            choice(
                ui,
                "Position",
                "The position of the target: the next token, as in the paper, or the same token, an \
                 easy task that teaches little.",
                &mut nitp.shift,
                &[(Shift::Next, "next"), (Shift::Current, "current")],
            );
            choice(
                ui,
                "Loss",
                "Loss between prediction and target.",
                &mut nitp.loss,
                &[
                    (NitpLoss::Cosine, "cosine"),
                    (NitpLoss::Mse, "MSE"),
                    (NitpLoss::SmoothL1, "smooth L1"),
                    (NitpLoss::Kl, "KL"),
                ],
            );
            choice(
                ui,
                "Projector",
                "The head that maps the hidden state to the prediction; not used after training.",
                &mut nitp.projector,
                &[(Projector::Swiglu, "SwiGLU"), (Projector::None, "none")],
            );
            choice(
                ui,
                "Regularizer",
                "A penalty on similar hidden states, instead of a target.",
                &mut nitp.regularizer,
                &[(Regularizer::None, "none"), (Regularizer::TokenCosine, "token cosine")],
            );
            row(
                ui,
                "Stop gradient",
                "If off, the target also moves towards the prediction, and both can collapse.",
                |ui| ui.checkbox(&mut nitp.stop_gradient, ""),
            );
            row(ui, "From step", "The first step with the NITP loss.", |ui| {
                ui.add(egui::DragValue::new(&mut nitp.start_step))
            });
            choice(
                ui,
                "Source",
                "The predicting hidden state: after or before the final norm.",
                &mut nitp.source,
                &[(Source::PostNorm, "post-norm"), (Source::PreNorm, "pre-norm")],
            );
        });
    }

    fn training(&mut self, ui: &mut Ui) {
        let train = &mut self.config.train;
        grid(ui, "training", |ui| {
            row(ui, "Steps", "Updates of the weights, one per batch.", |ui| {
                size(ui, &mut train.steps, 1, 1_000_000)
            });
            row(ui, "Learning rate", "The peak of the schedule.", |ui| {
                let drag = egui::DragValue::new(&mut train.learning_rate);
                ui.add(drag.speed(1e-4).range(1e-6..=1.0).max_decimals(6))
            });
            choice(
                ui,
                "Schedule",
                "The learning rate after the warm-up. WSD stays at the peak and decays over the last \
                 steps.",
                &mut train.schedule,
                &[
                    (Schedule::Wsd, "WSD"),
                    (Schedule::WsdExp, "WSD, exponential"),
                    (Schedule::Cosine, "cosine"),
                    (Schedule::Constant, "constant"),
                ],
            );
            row(ui, "Warm-up", "Steps in which the learning rate rises to its peak.", |ui| {
                size(ui, &mut train.warmup_steps, 0, 100_000)
            });
            row(ui, "Batch", "Rows of text in a batch.", |ui| {
                size(ui, &mut train.batch_size, 1, 64)
            });
            row(ui, "Context", "Tokens per row: the longest context of the model.", |ui| {
                size(ui, &mut train.context_length, 8, 512)
            });
            row(ui, "Seed", "Determines the initial weights and the order of batches.", |ui| {
                ui.add(egui::DragValue::new(&mut train.seed))
            });
            row(
                ui,
                "Geometry every",
                "Steps between measurements of hidden states; 0: none.",
                |ui| size(ui, &mut train.geometry_interval, 0, 10_000),
            );
            row(
                ui,
                "Evaluate every",
                "Steps between evaluations on held-out text; 0: none.",
                |ui| size(ui, &mut train.eval_interval, 0, 10_000),
            );
        });
    }

    fn model(&mut self, ui: &mut Ui) {
        let model = &mut self.config.model;
        grid(ui, "model", |ui| {
            row(ui, "Width", "Width of a hidden state.", |ui| {
                size(ui, &mut model.hidden_size, 8, 1024)
            });
            row(ui, "Blocks", "Layers of attention and FFN.", |ui| {
                size(ui, &mut model.num_hidden_layers, 1, 32)
            });
            row(ui, "Heads", "Attention heads.", |ui| {
                size(ui, &mut model.num_attention_heads, 1, 32)
            });
            row(ui, "K/V heads", "Key and value heads, shared by the attention heads.", |ui| {
                size(ui, &mut model.num_key_value_heads, 1, 32)
            });
            row(ui, "Head width", "Width of a head; even, for RoPE.", |ui| {
                size(ui, &mut model.head_dim, 2, MAX_HEAD_DIM)
            });
            row(ui, "FFN width", "Inner width of the dense feed-forward part.", |ui| {
                size(ui, &mut model.intermediate_size, 8, 8192)
            });
            let mut mixture = model.moe.is_some();
            row(
                ui,
                "Mixture of experts",
                "Each token goes to a few of several small FFNs.",
                |ui| ui.checkbox(&mut mixture, ""),
            );
            if mixture != model.moe.is_some() {
                model.moe = mixture.then(MoeConfig::default);
            }
            if let Some(moe) = &mut model.moe {
                row(ui, "Experts", "In every block except the first.", |ui| {
                    size(ui, &mut moe.num_experts, 2, 64)
                });
                row(ui, "For each token", "Experts per token.", |ui| {
                    size(ui, &mut moe.num_experts_per_tok, 1, 16)
                });
                row(ui, "Expert width", "Inner width of an expert.", |ui| {
                    size(ui, &mut moe.moe_intermediate_size, 8, 2048)
                });
                row(ui, "Balance", "Weight of the loss that spreads tokens over experts.", |ui| {
                    let drag = egui::DragValue::new(&mut moe.router_aux_loss_coef);
                    ui.add(drag.speed(0.001).range(0.0..=1.0))
                });
            }
        });
    }

    fn texts(&mut self, ui: &mut Ui, host: &mut dyn Host) {
        let name = match &self.text {
            Text::Demo => "The demo corpus: short scenes of a small world".to_owned(),
            Text::Same => format!("As under way: {}", self.same),
            Text::Own(files) => {
                let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
                format!("Yours: {}", names.join(", "))
            }
        };
        ui.label(name);
        ui.horizontal_wrapped(|ui| {
            if ui.button("Open files…").on_hover_text("Text or JSONL; or drop them here").clicked()
            {
                host.choose(Choice::Text);
            }
            if self.text != Text::Demo && ui.button("Demo corpus").clicked() {
                self.text = Text::Demo;
            }
        });
        let hint = "… or paste text here";
        ui.add(egui::TextEdit::multiline(&mut self.pasted).hint_text(hint).desired_rows(3));
        if !self.pasted.is_empty() && ui.button("Train on the pasted text").clicked() {
            let bytes = std::mem::take(&mut self.pasted).into_bytes();
            self.text = Text::Own(vec![File { name: "pasted.txt".to_owned(), bytes }]);
        }
        let mut bytes = self.config.data.tokenizer == BYTE_TOKENIZER;
        let about = "One token per byte: for text other than English prose";
        if ui.checkbox(&mut bytes, "Bytes as tokens").on_hover_text(about).changed() {
            let built_in = DataConfig::default().tokenizer;
            self.config.data.tokenizer = if bytes { BYTE_TOKENIZER.to_owned() } else { built_in };
            self.config.model.vocab_size =
                if bytes { 257 } else { Config::default().model.vocab_size };
        }
    }
}

/// A whole number within bounds.
fn size(ui: &mut Ui, value: &mut usize, least: usize, most: usize) -> egui::Response {
    // A value from a link or a run may be out of the range; it stays until it is changed.
    ui.add(egui::DragValue::new(value).range(least..=most).clamp_existing_to_range(false))
}

fn section(ui: &mut Ui, title: &str, open: bool, add: impl FnOnce(&mut Ui)) {
    egui::CollapsingHeader::new(title).default_open(open).show(ui, add);
}

fn grid(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui)) {
    egui::Grid::new(name).num_columns(2).min_col_width(110.0).spacing([10.0, 5.0]).show(ui, add);
}

fn row(ui: &mut Ui, name: &str, about: &str, add: impl FnOnce(&mut Ui) -> egui::Response) {
    let label = ui.label(name).on_hover_text(about);
    add(ui).labelled_by(label.id).on_hover_text(about);
    ui.end_row();
}

fn choice<T: PartialEq + Copy>(
    ui: &mut Ui,
    name: &str,
    about: &str,
    value: &mut T,
    options: &[(T, &str)],
) {
    let label = ui.label(name).on_hover_text(about);
    let selected = options.iter().find(|(option, _)| option == value).map_or("", |it| it.1);
    egui::ComboBox::from_id_salt(name)
        .selected_text(selected)
        .width(120.0)
        .show_ui(ui, |ui| {
            for (option, text) in options {
                ui.selectable_value(value, *option, *text);
            }
        })
        .response
        .labelled_by(label.id)
        .on_hover_text(about);
    ui.end_row();
}

/// `1.2 M`; the number and its unit stay on one line.
pub fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.0}\u{a0}k", count as f64 / 1e3),
        _ => format!("{:.1}\u{a0}M", count as f64 / 1e6),
    }
}
