//! The experiment under way: runs that differ in NITP alone, step by step together.

use std::collections::VecDeque;
use std::time::Duration;

use nitp_core::config::Config;
use nitp_core::executor::ExecutorError;
use nitp_core::train::{Checkpoint, Progress, Start, TrainError, Trainer};
use thiserror::Error;
use web_time::Instant;

use super::Pumped;
use super::archive;
use super::corpus::Corpus;
use super::device::Device;
use super::history::History;
use super::lane::{Lane, Shared};
use crate::protocol::{self, Experiment, File, Inspection, Points, Prepared, Update, Writing};

/// Time between two checkpoints for the next visit, at least.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// Something that ends a run, or keeps one from beginning.
#[derive(Debug, Error)]
pub enum Failure {
    /// What the visitor gave.
    #[error("{0}")]
    Input(String),
    /// The machine.
    #[error("{0}")]
    Machine(#[from] ExecutorError),
    /// The run.
    #[error("{0}: {1}")]
    Run(&'static str, TrainError),
}

impl Failure {
    /// The machine's part in it, in words for a page.
    pub fn machine_words(&self) -> String {
        match self {
            Self::Machine(error) | Self::Run(_, TrainError::Executor(error)) => match error {
                ExecutorError::DeviceLost { reason } => {
                    format!("The GPU device was lost ({reason}).")
                }
                ExecutorError::Gpu { reason } => format!("The GPU reported an error: {reason}."),
                other => format!("{other}."),
            },
            other => other.to_string(),
        }
    }

    /// Whether another machine may do better.
    pub fn is_machine(&self) -> bool {
        matches!(self, Self::Machine(_) | Self::Run(_, TrainError::Executor(_)))
    }
}

/// The runs.
pub struct Session {
    experiment: Experiment,
    corpus: Corpus,
    points: Points,
    vocabulary: Vec<String>,
    lanes: Vec<Lane>,
    /// The step to train to.
    pub target: usize,
    /// When the next checkpoint for the next visit is due.
    next_keep: Instant,
    /// The step of the last one.
    kept_step: usize,
}

/// A run's past and its checkpoint.
pub type Past = (History, Option<Box<Checkpoint>>);

impl Session {
    /// A new experiment.
    ///
    /// # Errors
    /// What is wrong with it, or with the machine.
    pub fn new(experiment: Experiment, device: &Device) -> Result<Self, Failure> {
        let pasts = experiment.lanes.iter().map(|_| Past::default()).collect();
        Self::with_pasts(experiment, device, pasts)
    }

    /// An experiment that goes on: a past for each of its runs.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_pasts(
        experiment: Experiment,
        device: &Device,
        pasts: Vec<Past>,
    ) -> Result<Self, Failure> {
        let config = Config::from_toml(&experiment.config)
            .map_err(|error| Failure::Input(error.to_string()))?;
        let corpus = Corpus::new(&config, &experiment).map_err(Failure::Input)?;
        let vocabulary = corpus.vocabulary();
        let points = corpus.points(config.train.context_length);
        let mut lanes = Vec::new();
        let mut kept_step = 0;
        for (&lane, (mut history, kept)) in experiment.lanes.iter().zip(pasts) {
            let config = lane_config(&config, lane);
            let start = match &kept {
                Some(checkpoint) => {
                    check_text(checkpoint, &corpus)?;
                    kept_step = checkpoint.state.step;
                    history.rewind(kept_step);
                    Start::Checkpoint(checkpoint.clone())
                }
                None => {
                    history = History::default();
                    Start::Seed
                }
            };
            let executor = device.executor(&config)?;
            let source = Box::new(corpus.dataset.clone());
            // Checkpoints are made by the clock.
            let mut unkept = config.clone();
            unkept.train.checkpoint_interval = 0;
            let trainer = Trainer::new(&unkept, executor, source, start)?;
            lanes.push(Lane::new(lane, config, trainer, history, kept));
        }
        let next_keep = Instant::now() + KEEP_EVERY;
        Ok(Self { experiment, corpus, points, vocabulary, lanes, target: 0, next_keep, kept_step })
    }

    /// The same experiment from its last checkpoint, on another machine, and the step it is at.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn again(self, device: &Device) -> Result<(Self, usize), Failure> {
        // One may have been kept before the other: then both begin anew.
        let step = self.common_checkpoint().unwrap_or(0);
        let past = |lane: Lane| (lane.history, lane.kept.filter(|_| step > 0));
        let pasts = self.lanes.into_iter().map(past).collect();
        let mut session = Self::with_pasts(self.experiment, device, pasts)?;
        session.target = self.target;
        Ok((session, step))
    }

    /// The step of the runs' newest checkpoints, if it is the same.
    fn common_checkpoint(&self) -> Option<usize> {
        let mut steps = self.lanes.iter().map(|lane| Some(lane.kept.as_ref()?.state.step));
        let first = steps.next()??;
        steps.all(|step| step == Some(first)).then_some(first)
    }

    /// What is to be told of it first.
    pub fn prepared(&self, continued: bool) -> Prepared {
        let dataset = &self.corpus.dataset;
        Prepared {
            config: self.experiment.config.clone(),
            lanes: self.experiment.lanes.clone(),
            text: self.corpus.name.clone(),
            tokens: dataset.corpus().tokens().len(),
            documents: dataset.corpus().documents(),
            held_out: dataset.split().held_out.len(),
            vocabulary: self.vocabulary.clone(),
            points: self.points.clone(),
            continued,
        }
    }

    /// Tells the past anew.
    pub fn retell(&self, updates: &mut VecDeque<Update>) {
        for lane in &self.lanes {
            let (name, history) = (lane.lane, &lane.history);
            updates.extend(history.steps().iter().map(|it| Update::Step(name, it.clone())));
            let evaluations = history.evaluations().iter();
            updates.extend(evaluations.map(|it| Update::Evaluation(name, it.clone())));
            let snapshots = history.snapshots().iter();
            updates.extend(snapshots.map(|(_, it)| Update::Snapshot(name, Box::new(it.clone()))));
        }
    }

    /// Does a piece of work; trains if `running`.
    ///
    /// # Errors
    /// What ends a run.
    pub fn pump(
        &mut self,
        running: bool,
        updates: &mut VecDeque<Update>,
    ) -> Result<Pumped, Failure> {
        let slowest = self.slowest();
        let even = self.lanes.iter().all(|lane| lane.trainer.submitted() == slowest);
        if running && even && slowest > self.kept_step && Instant::now() >= self.next_keep {
            self.save();
        }
        let limit = if running { self.target.min(slowest + 1) } else { 0 };
        let mut worked = false;
        let mut idle = true;
        for lane in &mut self.lanes {
            let shared = shared(&self.corpus, &self.vocabulary, &self.points);
            let step = limit.max(lane.trainer.submitted().min(slowest));
            let progress = lane
                .advance(step, &shared, updates)
                .map_err(|error| Failure::Run(lane.lane.name(), error))?;
            worked |= progress == Progress::Submitted;
            idle &= lane.trainer.is_idle() && !lane.is_asked();
        }
        self.keep(updates);
        Ok(match (worked, idle && (!running || self.is_finished())) {
            (true, _) => Pumped::Worked,
            (false, true) => Pumped::Idle,
            (false, false) => Pumped::Waiting,
        })
    }

    /// Steps that both have submitted.
    fn slowest(&self) -> usize {
        self.lanes.iter().map(|lane| lane.trainer.submitted()).min().unwrap_or(0)
    }

    /// Whether all steps are done and told.
    pub fn is_finished(&self) -> bool {
        self.lanes
            .iter()
            .all(|lane| lane.trainer.step() >= lane.config.train.steps && lane.trainer.is_idle())
    }

    /// Whether the step to train to is reached and told.
    pub fn is_at_target(&self) -> bool {
        self.lanes.iter().all(|lane| {
            lane.trainer.step() >= self.target && lane.trainer.is_idle() && !lane.is_asked()
        })
    }

    /// Leaves a checkpoint of where the runs are held.
    pub fn pause(&mut self) {
        let slowest = self.slowest();
        if self.lanes.iter().all(|lane| lane.trainer.submitted() == slowest) && slowest > 0 {
            self.save();
        }
    }

    fn save(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.trainer.save());
        self.next_keep = Instant::now() + KEEP_EVERY;
    }

    /// Hands the host what has to last, once all have a checkpoint of the same step.
    fn keep(&mut self, updates: &mut VecDeque<Update>) {
        let Some(step) = self.common_checkpoint().filter(|&step| step > self.kept_step) else {
            return;
        };
        let begin = Instant::now();
        updates.push_back(Update::Keep(archive::session(&self.experiment, &self.lanes)));
        updates.push_back(Update::Kept(step));
        self.kept_step = step;
        // It is done less often where it takes long.
        self.next_keep = Instant::now() + KEEP_EVERY.max(20 * begin.elapsed());
    }

    /// What was kept, on this machine.
    ///
    /// # Errors
    /// In words.
    pub fn restore(bytes: &[u8], device: &Device) -> Result<Self, String> {
        archive::restore(bytes, device)
    }

    /// A run as a zipped folder that `nitp` reads.
    ///
    /// # Errors
    /// If there is none with a checkpoint.
    pub fn export(&self, lane: protocol::Lane) -> Result<File, String> {
        let run = self.lanes.iter().find(|run| run.lane == lane);
        let run = run.ok_or_else(|| format!("there is no {} run", lane.name()))?;
        archive::export(&self.experiment, &self.corpus.tokenizer, run)
    }

    /// Waits for what is under way.
    pub fn wait(&mut self) {
        for lane in &mut self.lanes {
            // What it reports comes up again at the next piece of work.
            let _ = lane.trainer.executor().wait();
        }
    }

    /// Lets both models write.
    ///
    /// # Errors
    /// In words.
    pub fn start_writing(&mut self, wanted: &Writing) -> Result<(), String> {
        let shared = shared(&self.corpus, &self.vocabulary, &self.points);
        self.lanes.iter_mut().try_for_each(|lane| lane.start_writing(wanted, &shared))
    }

    /// Looks into both models.
    ///
    /// # Errors
    /// In words.
    pub fn start_looking(&mut self, wanted: &Inspection) -> Result<(), String> {
        let shared = shared(&self.corpus, &self.vocabulary, &self.points);
        self.lanes.iter_mut().try_for_each(|lane| lane.start_looking(wanted, &shared))
    }
}

fn shared<'a>(corpus: &'a Corpus, vocabulary: &'a [String], points: &Points) -> Shared<'a> {
    Shared { tokenizer: &corpus.tokenizer, vocabulary, points: points.tokens.len() }
}

/// The configuration of one of the two.
fn lane_config(config: &Config, lane: protocol::Lane) -> Config {
    let mut config = config.clone();
    config.nitp.enabled = lane == protocol::Lane::Nitp;
    config
}

fn check_text(checkpoint: &Checkpoint, corpus: &Corpus) -> Result<(), Failure> {
    if checkpoint.state.data_fingerprint == corpus.dataset.corpus().fingerprint() {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "the run was not trained on {}: choose its text under \"Text\" first, then open it again",
        corpus.name
    )))
}
