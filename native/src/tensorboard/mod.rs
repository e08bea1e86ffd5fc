//! A run's metrics for TensorBoard: scalars in `tensorboard/` of the run's folder.

mod records;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nitp_core::config::Config;
use nitp_core::train::{EvaluationEvent, Event, RivalLosses, StepEvent};

use crate::run_folder::{TENSORBOARD, go_on_command};
use records::Record;

/// Prefix of the files' names. Ten digits follow, the seconds since 1970, because TensorBoard reads the files of a
/// folder in the order of their names.
pub const PREFIX: &str = "events.out.tfevents.";

/// Writes a run's events.
#[derive(Debug)]
pub struct Board {
    run: PathBuf,
    path: PathBuf,
    file: File,
    /// Whether the model has further metrics.
    has_nitp: bool,
    has_experts: bool,
}

/// A tag and its value.
type Scalar = (String, f64);

impl Board {
    /// Makes a new file for a run at step `done`. Events of later steps in earlier files, which a killed run wrote and
    /// which will occur again, are hidden.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn open(run: &Path, config: &Config, done: usize) -> Result<Self> {
        let folder = run.join(TENSORBOARD);
        let opened = fs::create_dir_all(&folder).and_then(|()| {
            let before = newest(&folder)?;
            // Later than all earlier files, even if the clock was set back.
            let seconds = now() as u64;
            let seconds = before.map_or(seconds, |it| seconds.max(it + 1));
            let path = folder.join(format!("{PREFIX}{seconds:010}.nitp"));
            let file = File::create_new(&path)?;
            Ok((path, file, before.is_some()))
        });
        let (path, file, goes_on) =
            opened.with_context(|| format!("making a file in {}", folder.display()))?;
        let mut board = Self {
            run: run.to_owned(),
            path,
            file,
            has_nitp: config.nitp.enabled,
            has_experts: config.model.moe.is_some(),
        };
        board.put(&Record::version(now()))?;
        if goes_on {
            // Events before the first step occur again with it.
            let again = if done == 0 { 0 } else { done + 1 };
            board.put(&Record::restart(now(), again))?;
        }
        Ok(board)
    }

    /// Appends an event's metrics, if it has any.
    ///
    /// # Errors
    /// Errors of the file system, such as a full disk.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let (step, scalars) = match event {
            Event::Step(event) => (event.step, self.of_step(event)),
            Event::Evaluation(event) => (event.step, self.of_evaluation(event)),
            Event::Geometry(event) => (
                event.step,
                vec![
                    ("effective_rank".to_owned(), event.effective_rank),
                    ("mean_cosine".to_owned(), event.mean_cosine),
                ],
            ),
            Event::Checkpoint(_) | Event::Warning(_) | Event::Finished(_) => return Ok(()),
        };
        self.put(&Record::scalars(now(), step, &scalars))
    }

    fn of_step(&self, event: &StepEvent) -> Vec<Scalar> {
        let numbers = [
            ("loss/train", Some(event.ntp_loss)),
            ("nitp/train", Some(event.nitp_loss).filter(|_| self.has_nitp)),
            ("balance/train", Some(event.balance_loss).filter(|_| self.has_experts)),
            ("grad_norm", Some(event.grad_norm)),
            ("learning_rate", Some(event.learning_rate)),
            ("tokens_per_second", event.tokens_per_second),
        ];
        known(&numbers).into_iter().chain(rivals(&event.rivals, "train")).collect()
    }

    fn of_evaluation(&self, event: &EvaluationEvent) -> Vec<Scalar> {
        let numbers = [
            ("loss/held_out", Some(event.val_loss)),
            ("nitp/held_out", Some(event.nitp_loss).filter(|_| self.has_nitp)),
            ("balance/held_out", Some(event.balance_loss).filter(|_| self.has_experts)),
        ];
        let loads = event.expert_load.iter().enumerate().flat_map(|(block, load)| {
            let shares = || load.iter().copied().map(f64::from);
            let tag = |end: &str| format!("expert_load/block_{}/{end}", block + 1);
            [
                (tag("max"), shares().fold(f64::NEG_INFINITY, f64::max)),
                (tag("min"), shares().fold(f64::INFINITY, f64::min)),
            ]
        });
        let rivals = rivals(&event.rivals, "held_out");
        known(&numbers).into_iter().chain(rivals).chain(loads).collect()
    }

    fn put(&mut self, record: &Record) -> Result<()> {
        self.file.write_all(&record.bytes()).with_context(|| {
            format!(
                "writing {}; the checkpoints are intact. Free disk space, then continue with `{}`",
                self.path.display(),
                go_on_command(&self.run)
            )
        })
    }
}

/// The losses of objectives that NITP is compared with, such as `mtp/train`.
fn rivals(losses: &RivalLosses, of: &str) -> Vec<Scalar> {
    let tag = |key: &str| format!("{}/{of}", key.trim_end_matches("_loss"));
    let losses = RivalLosses::KEYS.into_iter().zip(losses.values());
    losses.filter_map(|(key, loss)| Some((tag(key), loss?))).collect()
}

fn known(numbers: &[(&str, Option<f64>)]) -> Vec<Scalar> {
    numbers.iter().filter_map(|&(tag, value)| Some((tag.to_owned(), value?))).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64())
}

/// The seconds in the name of the last file; none if there is no file.
fn newest(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let seconds = rest.and_then(|rest| rest.split('.').next()?.parse().ok());
        newest = newest.max(seconds);
    }
    Ok(newest)
}
