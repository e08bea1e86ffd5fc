//! The output of `nitp train` before and after training: configuration, results, a sample.

use std::ops::ControlFlow;

use console::style;
use nitp_core::config::{Config, parameter_counts};
use nitp_core::data::{Dataset, Source, Tokenizer};
use nitp_core::train::{
    EvaluationEvent, Event, Generator, GeometryEvent, Sampling, StepEvent, Trainer,
};

use crate::output::{outln, quoted};
use crate::progress::{short, thousands};
use crate::reasons::reasons;
use crate::run_folder::RunFolder;

/// Tokens of the sample at the end.
const SAMPLE_TOKENS: usize = 80;

/// Model, data and settings as lines.
pub fn about(config: &Config, device: &str, tokenizer: &Tokenizer, dataset: &Dataset) -> String {
    let (model, train) = (&config.model, &config.train);
    let counts = parameter_counts(config);
    let kind = match &model.moe {
        Some(moe) => format!(
            "{} active, {} experts, {} for each token",
            short(counts.active as f64),
            moe.num_experts,
            moe.num_experts_per_tok
        ),
        None => "dense".to_owned(),
    };
    let heads = match (counts.heads(), counts.projector) {
        (0, _) => String::new(),
        (all, projector) if all == projector => {
            format!(" + {} of NITP's projector, in training only", short(all as f64))
        }
        (all, _) => format!(" + {} of heads, in training only", short(all as f64)),
    };
    let objective = objective(config);
    let trained = train.steps as f64 * train.tokens_per_step() as f64;
    // A mixture has epochs of each text.
    let epochs = match dataset.sources() {
        [source] => format!(": {:.1} epochs", epochs(source, trained)),
        _ => String::new(),
    };
    let vocabulary = match tokenizer {
        Tokenizer::Byte { .. } => "bytes".to_owned(),
        Tokenizer::HuggingFace(_) => {
            format!("{} kinds of token", thousands(tokenizer.vocab_size() as f64))
        }
    };
    let line = |name: &str, text: String| format!("  {name:<8}{text}\n");
    [
        style(format!("nitp {}", env!("CARGO_PKG_VERSION"))).bold().to_string() + "\n",
        line("device", device.to_owned()),
        line(
            "model",
            format!(
                "{} parameters ({kind}; {} blocks of width {}){heads}",
                short(counts.total as f64),
                model.num_hidden_layers,
                model.hidden_size
            ),
        ),
        line(
            "data",
            format!(
                "{} tokens in {} document{} ({vocabulary}), {} of them held out",
                thousands(dataset.tokens() as f64),
                thousands(dataset.documents() as f64),
                if dataset.documents() == 1 { "" } else { "s" },
                thousands(dataset.held_out_tokens() as f64),
            ),
        ),
        mixture(config, dataset, trained),
        line(
            "train",
            format!(
                "{objective}, {} steps of {} tokens{epochs}",
                thousands(train.steps as f64),
                thousands(train.tokens_per_step() as f64)
            ),
        ),
    ]
    .concat()
    .trim_end()
    .to_owned()
}

/// How often `trained` tokens of a text are the whole of it.
fn epochs(source: &Source, trained: f64) -> f64 {
    trained / source.split.train.len() as f64
}

/// The texts of a mixture, a line for each.
fn mixture(config: &Config, dataset: &Dataset, trained: f64) -> String {
    let texts = dataset.sources().iter().zip(dataset.shares()).zip(&config.data.paths);
    if dataset.sources().len() == 1 {
        return String::new();
    }
    texts
        .map(|((source, share), path)| {
            format!(
                "          {:.1} % of the rows from {path}: {} tokens, {:.1} epochs\n",
                100.0 * share,
                thousands(source.corpus.len() as f64),
                epochs(source, share * trained)
            )
        })
        .collect()
}

/// The terms of the loss, except the balance loss.
fn objective(config: &Config) -> String {
    let more = [
        (config.nitp.enabled, "NITP"),
        (config.mtp.enabled, "MTP"),
        (config.nextlat.enabled, "NextLat"),
        (config.top.enabled, "TOP"),
    ];
    let more: Vec<&str> = more.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if more.is_empty() { "NTP alone".to_owned() } else { format!("NTP + {}", more.join(" + ")) }
}

/// Data for the summary at the end.
#[derive(Default)]
pub struct Summary {
    first_evaluation: Option<EvaluationEvent>,
    evaluation: Option<EvaluationEvent>,
    first_geometry: Option<GeometryEvent>,
    geometry: Option<GeometryEvent>,
    step: Option<StepEvent>,
    /// Steps whose gradients overflowed.
    skipped: usize,
    /// Whether it ended before its last step.
    pub interrupted: bool,
}

impl Summary {
    /// Records an event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Step(event) => {
                self.skipped += usize::from(event.skipped);
                self.step = Some(event);
            }
            Event::Evaluation(event) => {
                self.first_evaluation.get_or_insert(event.clone());
                self.evaluation = Some(event);
            }
            Event::Geometry(event) => {
                self.first_geometry.get_or_insert(event.clone());
                self.geometry = Some(event);
            }
            Event::Finished(event) => self.interrupted = event.interrupted,
            Event::Checkpoint(_) | Event::Warning(_) => {}
        }
    }

    /// Prints the summary.
    pub fn print(&self, config: &Config, folder: &RunFolder, seconds: f64) {
        let Some(step) = &self.step else { return };
        let ended = if self.interrupted { "Stopped" } else { "Finished" };
        outln!(
            "\n{} after step {} of {}, {:.0} s.",
            style(ended).bold(),
            step.step,
            config.train.steps,
            seconds
        );
        let line = |name: &str, text: String| outln!("  {name:<16}{text}");
        let change = |first: f64, last: f64, digits: usize| {
            if first == last {
                format!("{last:.digits$}")
            } else {
                format!("{first:.digits$} → {last:.digits$}")
            }
        };
        if let (Some(first), Some(last)) = (&self.first_evaluation, &self.evaluation) {
            line("held-out loss", change(first.val_loss, last.val_loss, 3) + " nats a token");
            line("perplexity", change(first.perplexity, last.perplexity, 1));
            if let (Some(first), Some(last)) = (first.bits_per_byte, last.bits_per_byte) {
                line("bits per byte", change(first, last, 3));
            }
            if config.nitp.enabled {
                line("NITP loss", change(first.nitp_loss, last.nitp_loss, 3));
            }
            for ((name, first), (_, last)) in first.rivals.named().zip(last.rivals.named()) {
                line(name, change(first, last, 3));
            }
        } else {
            line("loss", format!("{:.3} nats a token", step.ntp_loss));
        }
        if let (Some(first), Some(last)) = (&self.first_geometry, &self.geometry) {
            let width = config.model.hidden_size;
            let rank = change(first.effective_rank, last.effective_rank, 1);
            line("effective rank", format!("{rank} of {width}"));
            line("mean cosine", change(first.mean_cosine, last.mean_cosine, 3));
        }
        if let Some(scale) = step.loss_scale {
            line("loss scale", format!("{scale}; {} steps skipped for overflow", self.skipped));
        }
        line("run", folder.path().display().to_string());
    }
}

/// Prints a sample of the model. A failure here is no failure of the run, which is already saved.
pub fn sample(trainer: &mut Trainer, config: &Config, tokenizer: &Tokenizer) {
    let executor = trainer.executor();
    let written =
        Generator::new(executor, config).map_err(anyhow::Error::from).and_then(|mut it| {
            // Without an end-of-text token, the sample begins with a line break.
            let prompt = match tokenizer.end_of_text() {
                Some(_) => Vec::new(),
                None => tokenizer.encode("\n")?,
            };
            let mut written = Vec::new();
            let prompts = vec![(prompt, Sampling::default())];
            it.generate(executor, prompts, SAMPLE_TOKENS, tokenizer, |_, token| {
                written.extend(token);
                ControlFlow::Continue(())
            })?;
            Ok(written)
        });
    match written {
        Ok(tokens) => {
            outln!("\n{}", style("A sample:").bold());
            for line in tokenizer.decode(&tokens).trim().lines() {
                outln!("  {line}");
            }
        }
        Err(error) => outln!("\nNo sample: {}", reasons(&error)),
    }
}

/// Prints commands to continue with.
pub fn farewell(folder: &RunFolder, interrupted: bool) {
    let run = quoted(folder.path());
    outln!("\n{}", style("Next:").bold());
    if interrupted {
        outln!("  nitp train --resume {run}");
    }
    outln!("  nitp generate {run} --prompt \"The \"");
    outln!("  nitp eval {run}");
}
