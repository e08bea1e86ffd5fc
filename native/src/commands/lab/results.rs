//! What the runs of an experiment gave, read back from their logs.

use std::fs;

use anyhow::{Context, Result};
use nitp_core::config::{Config, flops_per_token};
use nitp_core::train::{EvaluationEvent, GeometryEvent, StepEvent};
use serde_json::Value;

use super::experiment::Run;
use super::run::Outcome;
use crate::commands::probe::Probed;
use crate::commands::probe::scores::Score;
use crate::commands::tasks::scores::TaskScores;

/// One run.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// Position of its arm.
    pub arm: usize,
    /// Its seed.
    pub seed: u64,
    /// Its configuration.
    pub config: Config,
    /// How it ended.
    pub outcome: Outcome,
    /// Every training step.
    pub steps: Vec<StepEvent>,
    /// Every look at the held-out text.
    pub evaluations: Vec<EvaluationEvent>,
    /// Every look at the geometry.
    pub geometries: Vec<GeometryEvent>,
    /// What its frozen states told, if that was asked.
    pub probed: Option<Probed>,
    /// What it scored on tasks, if it was asked any.
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
        let path = run.folder.join("metrics.jsonl");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut result = Self {
            arm: run.arm,
            seed: run.seed,
            config: run.config.clone(),
            outcome,
            steps: Vec::new(),
            evaluations: Vec::new(),
            geometries: Vec::new(),
            probed,
            tasks,
        };
        for (index, line) in text.lines().enumerate() {
            result
                .take(line)
                .with_context(|| format!("line {} of {}", index + 1, path.display()))?;
        }
        Ok(result)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let event: Value = serde_json::from_str(line)?;
        match event["event"].as_str() {
            Some("step") => self.steps.push(serde_json::from_value(event)?),
            Some("evaluation") => self.evaluations.push(serde_json::from_value(event)?),
            Some("geometry") => self.geometries.push(serde_json::from_value(event)?),
            _ => {}
        }
        Ok(())
    }

    /// Why it has no final results, if it diverged.
    pub fn diverged(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Diverged { reason } => Some(reason),
            Outcome::Finished { .. } => None,
        }
    }

    /// The last look at the held-out text, of a run that finished.
    pub fn evaluation(&self) -> Option<&EvaluationEvent> {
        self.evaluations.last().filter(|_| self.diverged().is_none())
    }

    /// The last look at the geometry, of a run that finished.
    pub fn geometry(&self) -> Option<&GeometryEvent> {
        self.geometries.last().filter(|_| self.diverged().is_none())
    }

    /// The main score of each task that it was probed with.
    pub fn main_scores(&self) -> impl Iterator<Item = &Score> {
        let scores = self.probed.iter().flat_map(|it| it.layers.iter().flat_map(|it| &it.scores));
        scores.filter(|it| it.is_main())
    }

    /// The median speed of its steps.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let mut speeds: Vec<f64> =
            self.steps.iter().filter_map(|it| it.tokens_per_second).collect();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied()
    }

    /// Seconds of its training steps at that speed: without evaluations and stops.
    pub fn train_seconds(&self) -> Option<f64> {
        let tokens = self.steps.last()?.tokens as f64;
        Some(tokens / self.tokens_per_second()?)
    }

    /// Training FLOPs of one token, NITP included.
    pub fn flops_per_token(&self) -> f64 {
        let config = &self.config;
        let cost = flops_per_token(&config.model, &config.nitp, config.train.context_length);
        cost.ntp + cost.nitp
    }
}
