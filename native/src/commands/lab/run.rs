//! Trains every run of an experiment, one after the other. Finished runs are not repeated.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use nitp_core::config::Config;
use nitp_core::data::hexadecimal;
use nitp_core::train::{EvaluationEvent, Event, GeometryEvent, TrainError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::experiment::{Experiment, Folder, Run};
use crate::args::{ConfigArgs, DeviceArgs, RunArgs, TrainArgs};
use crate::commands::train::{self, Told};
use crate::output::outln;
use crate::progress::thousands;
use crate::run_folder;
use nitp_files::documents::Named;
use nitp_files::{token_cache, whole_file};

/// How a run ended: `seed-N.json` next to its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    /// The run finished its last step.
    Finished {
        /// Digest of its batches.
        batches: Batches,
    },
    /// A number of the run was not finite. It has no final results.
    Diverged {
        /// The step and the number.
        reason: String,
    },
}

impl Outcome {
    /// Whether it has no final results.
    pub fn is_diverged(&self) -> bool {
        matches!(self, Self::Diverged { .. })
    }
}

/// Digest of the first batches of a run, to compare runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// Number of steps in the digest: those that every arm has.
    pub steps: usize,
    /// SHA-256 of their input tokens and labels, in order.
    pub sha256: String,
}

/// Trains the runs that are not finished, and returns the outcome of each of `runs`.
///
/// # Errors
/// Any failure of a run other than divergence. Finished runs are kept.
pub fn run_all(
    folder: &Folder,
    experiment: &Experiment,
    runs: &[Run],
    device: &DeviceArgs,
    tensorboard: bool,
) -> Result<Vec<Outcome>> {
    let common = runs.iter().map(|run| run.config.train.steps).min().unwrap_or(0);
    let mut progress = Progress::new(runs);
    let mut outcomes = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let name = &experiment.arms[run.arm].name;
        progress.begin(index, name, run);
        let path = outcome_path(&run.folder);
        let outcome = match read(&path)? {
            Some(outcome) => outcome,
            None => {
                let outcome =
                    train(folder, experiment, run, device, tensorboard, common, &mut progress)
                        .with_context(|| format!("{name}, seed {}", run.seed))?;
                whole_file::write(&path, serde_json::to_string_pretty(&outcome)?.as_bytes())?;
                progress.end(index, name, run, &outcome);
                outcome
            }
        };
        progress.done += run.config.train.steps as u64;
        outcomes.push(outcome);
    }
    progress.bar.finish_and_clear();
    Ok(outcomes)
}

fn outcome_path(folder: &Path) -> PathBuf {
    folder.with_extension("json")
}

fn read(path: &Path) -> Result<Option<Outcome>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => {
            let text = read.with_context(|| format!("reading {}", path.display()))?;
            let outcome = serde_json::from_str(&text).with_context(|| {
                format!("{} is broken: remove it, and the run is measured again", path.display())
            })?;
            Ok(Some(outcome))
        }
    }
}

/// Trains a run, from its newest checkpoint if it has one.
fn train(
    folder: &Folder,
    experiment: &Experiment,
    run: &Run,
    device: &DeviceArgs,
    tensorboard: bool,
    common: usize,
    progress: &mut Progress,
) -> Result<Outcome> {
    let has_checkpoint = run_folder::locate(&run.folder).is_ok();
    let train = &run.config.train;
    let config = match has_checkpoint {
        true => ConfigArgs { config: None, preset: None, sets: Vec::new() },
        false => ConfigArgs {
            config: Some(folder.path().join("config.toml")),
            preset: None,
            sets: experiment.arms[run.arm].sets.clone(),
        },
    };
    let args = TrainArgs {
        run: RunArgs {
            config,
            data: Vec::new(),
            text_column: None,
            weights: Vec::new(),
            steps: (!has_checkpoint).then_some(train.steps),
            seed: (!has_checkpoint).then_some(run.seed),
            device: device.clone(),
            init: None,
        },
        out: (!has_checkpoint).then(|| run.folder.clone()),
        resume: has_checkpoint.then(|| run.folder.clone()),
        stop_at: None,
        tensorboard,
    };
    let trained = train::train(args, Told::Caller(&mut |event| progress.take(event)));
    if let Err(error) = trained {
        let reason = match error.downcast_ref::<TrainError>() {
            Some(TrainError::NotFinite { step, what, value }) => {
                format!("step {step}: {what} is {value}")
            }
            Some(TrainError::LossScale { step, scale }) => {
                format!("step {step}: gradients overflow in 16 bits at a loss scale of {scale}")
            }
            _ => return Err(error),
        };
        return Ok(Outcome::Diverged { reason });
    }
    Ok(Outcome::Finished { batches: batches(&run.config, common)? })
}

/// The batches of a run's first `steps` steps. They depend only on the configuration and the text, so they can be
/// computed again.
fn batches(config: &Config, steps: usize) -> Result<Batches> {
    let tokenizer = train::beginning::tokenizer(config)?;
    let dataset = token_cache::dataset(config, Named::Now, &tokenizer, |_| {})?;
    let mut hash = Sha256::new();
    for step in 0..steps {
        for micro in 0..config.train.gradient_accumulation_steps {
            let batch = dataset.train_batch(step, micro);
            for ids in [&batch.input_ids, &batch.labels] {
                hash.update(bytemuck::cast_slice::<u32, u8>(ids));
            }
        }
    }
    Ok(Batches { steps, sha256: hexadecimal(&hash.finalize()) })
}

/// One progress bar over all runs, and a line for each finished run.
struct Progress {
    bar: ProgressBar,
    /// Steps of the previous runs.
    done: u64,
    count: usize,
    name: String,
    evaluation: Option<EvaluationEvent>,
    geometry: Option<GeometryEvent>,
}

impl Progress {
    fn new(runs: &[Run]) -> Self {
        let steps: u64 = runs.iter().map(|run| run.config.train.steps as u64).sum();
        let bar = ProgressBar::new(steps);
        let template = "{bar:24.cyan/dim} {msg}  ETA {eta}";
        bar.set_style(
            ProgressStyle::with_template(template)
                .expect("the template is valid")
                .progress_chars("━╸─"),
        );
        bar.enable_steady_tick(Duration::from_millis(250));
        let (evaluation, geometry) = (None, None);
        Self { bar, done: 0, count: runs.len(), name: String::new(), evaluation, geometry }
    }

    fn begin(&mut self, index: usize, name: &str, run: &Run) {
        self.name = format!("run {}/{}: {name}, seed {}", index + 1, self.count, run.seed);
        (self.evaluation, self.geometry) = (None, None);
        self.bar.set_position(self.done);
        self.bar.set_message(self.name.clone());
        if index == 0 {
            self.bar.reset_eta();
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Step(step) => {
                let speed = step.tokens_per_second;
                let speed = speed.map(|it| format!("  {} tokens/s", thousands(it)));
                let (loss, speed) = (step.ntp_loss, speed.unwrap_or_default());
                self.bar.set_message(format!("{}  loss {loss:.3}{speed}", self.name));
                self.bar.set_position(self.done + step.step as u64);
            }
            Event::Evaluation(event) => self.evaluation = Some(event.clone()),
            Event::Geometry(event) => self.geometry = Some(event.clone()),
            Event::Warning(event) => {
                self.line(&format!("  warning: {}: {}", self.name, event.message));
            }
            Event::Checkpoint(_) | Event::Finished(_) => {}
        }
    }

    fn end(&self, index: usize, name: &str, run: &Run, outcome: &Outcome) {
        let mut line =
            format!("  {:>3}/{}  {name:<24} seed {:<4}", index + 1, self.count, run.seed);
        match outcome {
            Outcome::Diverged { reason } => line += &format!(" diverged: {reason}"),
            Outcome::Finished { .. } => {
                if let Some(event) = &self.evaluation {
                    line += &format!(" held-out loss {:.4}", event.val_loss);
                }
                if let Some(event) = &self.geometry {
                    line += &format!("  effective rank {:.1}", event.effective_rank);
                    line += &format!("  mean cosine {:.3}", event.mean_cosine);
                }
            }
        }
        if self.bar.is_hidden() && index + 1 < self.count {
            line += &format!("  ({} left)", HumanDuration(self.bar.eta()));
        }
        self.line(&line);
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| outln!("{text}"));
    }
}
