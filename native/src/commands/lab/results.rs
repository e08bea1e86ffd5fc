//! Results of the runs of an experiment, read from their logs.

use anyhow::Result;
use nitp_core::train::{EvaluationEvent, GeometryEvent};

use super::experiment::Run;
use super::run::Outcome;
use crate::commands::probe::Probed;
use crate::commands::probe::scores::Score;
use crate::commands::tasks::scores::TaskScores;
use crate::history::History;

/// One run.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// Position of its arm.
    pub arm: usize,
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Its configuration and events.
    pub history: History,
    /// Results of probes of its frozen states, if requested.
    pub probed: Option<Probed>,
    /// Scores on tasks, if requested.
    pub tasks: Vec<TaskScores>,
}

impl RunResult {
    /// Reads a run's log.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(
        run: &Run,
        outcome: Outcome,
        probed: Option<Probed>,
        tasks: Vec<TaskScores>,
    ) -> Result<Self> {
        let history = History::read(&run.folder.join("metrics.jsonl"), run.config.clone())?;
        Ok(Self { arm: run.arm, seed: run.seed, outcome, history, probed, tasks })
    }

    /// The last evaluation of a finished run.
    pub fn evaluation(&self) -> Option<&EvaluationEvent> {
        self.history.evaluations.last().filter(|_| !self.outcome.is_diverged())
    }

    /// The last measurement of geometry of a finished run.
    pub fn geometry(&self) -> Option<&GeometryEvent> {
        self.history.geometries.last().filter(|_| !self.outcome.is_diverged())
    }

    /// The main score of each probe.
    pub fn main_scores(&self) -> impl Iterator<Item = &Score> {
        let scores = self.probed.iter().flat_map(|it| it.layers.iter().flat_map(|it| &it.scores));
        scores.filter(|it| it.is_main())
    }
}
