//! The current experiment: runs that differ only in NITP, trained in lock step.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nitp_core::config::Config;
use nitp_core::executor::ExecutorError;
use nitp_core::train::{Checkpoint, Progress, Start, Tensors, TrainError, Trainer};
use thiserror::Error;
use web_time::Instant;

use super::Pumped;
use super::archive;
use super::corpus::Corpus;
use super::device::Device;
use super::history::History;
use super::lane::{Lane, Shared};
use crate::exchange::supported;
use crate::protocol::{
    self, Experiment, File, Format, Inspection, Points, Prepared, Text, Update, Writing,
};

/// Least time between two checkpoints for the next visit.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// A failure that ends a run or prevents its start.
#[derive(Debug, Error)]
pub enum Failure {
    /// Invalid input.
    #[error("{0}")]
    Input(String),
    /// A failure of the device.
    #[error("{}", machine_words(.0))]
    Machine(#[from] ExecutorError),
    /// A failure of the run of this name.
    #[error("{0}: {1}")]
    Run(&'static str, TrainError),
}

impl Failure {
    /// A failure of a run's trainer.
    fn of(lane: &Lane, error: TrainError) -> Self {
        match error {
            TrainError::Executor(error) => Self::Machine(error),
            other => Self::Run(lane.lane.name(), other),
        }
    }
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self::Input(words)
    }
}

/// A device's failure in words for the page, without advice on command-line options.
fn machine_words(error: &ExecutorError) -> String {
    match error {
        ExecutorError::DeviceLost { reason } => format!("The GPU device was lost ({reason})."),
        ExecutorError::Gpu { reason } => format!("The GPU reported an error: {reason}."),
        ExecutorError::Layout(error) => {
            format!("{error}. Choose a smaller model, batch or context, or the CPU.")
        }
        other => format!("{other}."),
    }
}

/// A run's history and its checkpoint.
pub type Past = (History, Option<Box<Checkpoint>>);

/// A validated experiment, before any device is used.
pub struct Draft {
    experiment: Experiment,
    config: Config,
    corpus: Arc<Corpus>,
    /// Histories by run; empty for a new experiment.
    pasts: Vec<Past>,
    /// Whether the runs begin from the weights of an opened model.
    from_weights: bool,
}

impl Draft {
    /// A new experiment.
    ///
    /// # Errors
    /// The problem.
    pub fn new(experiment: Experiment) -> Result<Self, Failure> {
        let pasts = experiment.lanes.iter().map(|_| Past::default()).collect();
        Self::with_pasts(experiment, pasts)
    }

    /// A continued experiment, with a history for each of its runs.
    ///
    /// # Errors
    /// The problem, or the parts that don't fit together.
    pub fn with_pasts(experiment: Experiment, pasts: Vec<Past>) -> Result<Self, Failure> {
        let config = Config::from_toml(&experiment.config).map_err(|error| error.to_string())?;
        supported(&config)?;
        let corpus = Arc::new(Corpus::new(&config, &experiment)?);
        for checkpoint in pasts.iter().filter_map(|past| past.1.as_ref()) {
            check_text(checkpoint, &corpus)?;
        }
        Ok(Self { experiment, config, corpus, pasts, from_weights: false })
    }

    /// An experiment whose runs begin from these weights.
    ///
    /// # Errors
    /// The problem.
    pub fn from_weights(experiment: Experiment, weights: &Tensors) -> Result<Self, Failure> {
        let mut draft = Self { from_weights: true, ..Self::new(experiment)? };
        for (&lane, past) in draft.experiment.lanes.iter().zip(&mut draft.pasts) {
            let config = lane_config(&draft.config, lane);
            let fingerprint = draft.corpus.dataset.fingerprint().to_owned();
            past.1 = Some(Box::new(Checkpoint::at_start(&config, weights, fingerprint)));
        }
        Ok(draft)
    }

    /// Whether the runs begin from the weights of an opened model.
    pub fn is_from_weights(&self) -> bool {
        self.from_weights
    }

    /// The configuration of the run with NITP.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.experiment.lanes.len()
    }
}

/// The runs.
pub struct Session {
    experiment: Experiment,
    corpus: Arc<Corpus>,
    points: Points,
    vocabulary: Vec<String>,
    lanes: Vec<Lane>,
    /// The step to train to.
    pub target: usize,
    /// When the next checkpoint for the next visit is due.
    next_keep: Instant,
    /// The step of the last saved checkpoint.
    kept_step: usize,
    /// Whether a run diverged, so that training stops.
    broken: bool,
}

impl Session {
    /// The runs of a draft.
    ///
    /// # Errors
    /// If the device can't hold the runs.
    pub fn new(draft: &Draft, device: &Device) -> Result<Self, Failure> {
        device.check_precision(draft.config())?;
        device.check_memory(draft.config(), draft.runs())?;
        let corpus = draft.corpus.clone();
        let vocabulary = corpus.vocabulary();
        let points = corpus.points(draft.config.train.context_length);
        let mut lanes = Vec::new();
        for (&lane, (history, kept)) in draft.experiment.lanes.iter().zip(&draft.pasts) {
            let config = lane_config(&draft.config, lane);
            let (mut history, start) = (history.clone(), kept.clone());
            match &start {
                // Step 0 is measured again.
                Some(checkpoint) if checkpoint.state.step > 0 => {
                    history.rewind(checkpoint.state.step);
                }
                _ => history = History::default(),
            }
            let executor = device.executor(&config)?;
            let source = Box::new(corpus.dataset.clone());
            // Checkpoints are made by time, not by step.
            let mut unkept = config.clone();
            unkept.train.checkpoint_interval = 0;
            let start = start.map_or(Start::Seed, Start::Checkpoint);
            let mut trainer = Trainer::new(&unkept, executor, source, start)?;
            if lanes.is_empty() {
                corpus.warnings.iter().for_each(|warning| trainer.warn(warning.clone()));
            }
            lanes.push(Lane::new(lane, config, trainer, history, kept.clone()));
        }
        Ok(Self {
            experiment: draft.experiment.clone(),
            corpus,
            points,
            vocabulary,
            lanes,
            target: 0,
            next_keep: Instant::now() + KEEP_EVERY,
            kept_step: 0,
            broken: false,
        })
    }

    /// The training text, and its tokenizer, unless it is a built-in one.
    pub fn text(&self) -> (&Text, Option<&String>) {
        (&self.experiment.text, self.experiment.tokenizer.as_ref())
    }

    /// Marks the session as saved. Returns its step.
    pub fn is_kept(&mut self) -> usize {
        self.kept_step = self.common_checkpoint().unwrap_or(0);
        self.kept_step
    }

    /// The same experiment from its last checkpoint, on another device, and its step.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn again(self, device: &Device) -> Result<(Self, usize), Failure> {
        let step = self.common_checkpoint().unwrap_or(0);
        let config =
            Config::from_toml(&self.experiment.config).map_err(|error| error.to_string())?;
        let pasts = self.lanes.into_iter().map(|lane| (lane.history, lane.kept)).collect();
        let (experiment, corpus) = (self.experiment, self.corpus);
        let draft = Draft { experiment, config, corpus, pasts, from_weights: false };
        let mut session = Self::new(&draft, device)?;
        session.target = self.target;
        Ok((session, step))
    }

    /// The common step of the runs' checkpoints, if there are any.
    fn common_checkpoint(&self) -> Option<usize> {
        let mut steps = self.lanes.iter().map(|lane| Some(lane.kept.as_ref()?.state.step));
        let first = steps.next()??;
        steps.all(|step| step == Some(first)).then_some(first)
    }

    /// The first update about it.
    pub fn prepared(&self, continued: bool) -> Prepared {
        let dataset = &self.corpus.dataset;
        Prepared {
            config: self.experiment.config.clone(),
            lanes: self.experiment.lanes.clone(),
            text: self.corpus.name.clone(),
            tokens: dataset.tokens(),
            documents: dataset.documents(),
            held_out: dataset.held_out_tokens(),
            vocabulary: self.vocabulary.clone(),
            points: self.points.clone(),
            continued,
        }
    }

    /// Reports the history again.
    pub fn retell(&self, updates: &mut VecDeque<Update>) {
        for lane in &self.lanes {
            let (name, history) = (lane.lane, &lane.history);
            updates.extend(history.steps().iter().map(|it| Update::Step(name, it.clone())));
            let evaluations = history.evaluations().iter();
            updates.extend(evaluations.map(|it| Update::Evaluation(name, it.clone())));
            let snapshots = history.snapshots().iter();
            updates.extend(snapshots.map(|(_, it)| Update::Snapshot(name, Box::new(it.clone()))));
        }
        updates.extend(self.common_checkpoint().map(Update::Saved));
    }

    /// Does a piece of work; trains if `running`.
    ///
    /// # Errors
    /// A failure that ends a run.
    pub fn pump(
        &mut self,
        running: bool,
        updates: &mut VecDeque<Update>,
    ) -> Result<Pumped, Failure> {
        let running = running && !self.broken;
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
            let progress =
                lane.advance(step, &shared, updates).map_err(|error| Failure::of(lane, error))?;
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

    /// Number of steps that all runs have submitted.
    fn slowest(&self) -> usize {
        self.lanes.iter().map(|lane| lane.trainer.submitted()).min().unwrap_or(0)
    }

    /// Whether no step is left, because all are done or a run diverged.
    pub fn is_over(&self) -> bool {
        self.broken || self.lanes.iter().all(|lane| lane.trainer.step() >= lane.config.train.steps)
    }

    /// Whether all steps are done, and all events were reported.
    pub fn is_finished(&self) -> bool {
        self.is_over() && self.lanes.iter().all(|lane| lane.trainer.is_idle())
    }

    /// Whether the target step is reached and reported.
    pub fn is_at_target(&self) -> bool {
        let there = |lane: &Lane| lane.trainer.step() >= self.target && lane.trainer.is_idle();
        self.lanes.iter().all(there)
    }

    /// Holds training at the next step that all runs reach.
    pub fn hold(&mut self) {
        self.target = self.lanes.iter().map(|lane| lane.trainer.submitted()).max().unwrap_or(0);
    }

    /// Ends training.
    pub fn give_up(&mut self) {
        self.broken = true;
    }

    /// Makes a checkpoint of all runs, which are at the same step.
    pub fn save(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.trainer.save());
        self.next_keep = Instant::now() + KEEP_EVERY;
    }

    /// Passes a session to the host to save, if all runs have a checkpoint of the same step.
    fn keep(&mut self, updates: &mut VecDeque<Update>) {
        let step = |lane: &Lane| lane.newest.as_ref().map(|checkpoint| checkpoint.state.step);
        let first = self.lanes.first().and_then(step);
        if first.is_some() && self.lanes.iter().all(|lane| step(lane) == first) {
            self.lanes.iter_mut().for_each(|lane| lane.kept = lane.newest.take());
            updates.extend(first.map(Update::Saved));
        }
        let Some(step) = self.common_checkpoint().filter(|&step| step > self.kept_step) else {
            return;
        };
        let begin = Instant::now();
        let bytes = archive::session(&self.experiment, &self.lanes);
        updates.push_back(Update::Keep { step, bytes });
        self.kept_step = step;
        // Less often if it takes long.
        self.next_keep = Instant::now() + KEEP_EVERY.max(20 * begin.elapsed());
    }

    /// A run as a zipped folder.
    ///
    /// # Errors
    /// If there is no such run, or it has no checkpoint.
    pub async fn export(&self, lane: protocol::Lane, format: Format) -> Result<File, String> {
        let run = self.lanes.iter().find(|run| run.lane == lane);
        let run = run.ok_or_else(|| format!("there is no {} run", lane.name()))?;
        archive::export(&self.experiment, &self.corpus.tokenizer, run, format).await
    }

    /// Waits for pending work.
    pub fn wait(&mut self) {
        for lane in &mut self.lanes {
            // An error occurs again at the next piece of work.
            let _ = lane.trainer.executor().wait();
        }
    }

    /// Starts generation with both models.
    ///
    /// # Errors
    /// The problem in words.
    pub fn start_writing(&mut self, wanted: &Writing) -> Result<(), String> {
        let shared = shared(&self.corpus, &self.vocabulary, &self.points);
        self.lanes.iter_mut().try_for_each(|lane| lane.start_writing(wanted, &shared))
    }

    /// Starts an inspection of both models.
    ///
    /// # Errors
    /// The problem in words.
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
    if checkpoint.state.data_fingerprint == corpus.dataset.fingerprint() {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "the run was not trained on {}: choose its text under \"Training text\" first, then open it again",
        corpus.name
    )))
}
