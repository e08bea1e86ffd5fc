//! The events of a run, read from its log: steps, evaluations, measurements of geometry.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nitp_core::config::{Config, flops_per_token};
use nitp_core::train::{EvaluationEvent, GeometryEvent, StepEvent};
use serde_json::Value;

/// The events of a run with numbers.
#[derive(Clone, Debug)]
pub struct History {
    /// Its configuration.
    pub config: Config,
    /// Every training step.
    pub steps: Vec<StepEvent>,
    /// Every evaluation.
    pub evaluations: Vec<EvaluationEvent>,
    /// Every measurement of geometry.
    pub geometries: Vec<GeometryEvent>,
}

impl History {
    /// Reads a log, for a run with this configuration. The run may be writing to it, so an unfinished last line is
    /// skipped.
    ///
    /// # Errors
    /// If the log can't be read, or a line of it is broken.
    pub fn read(log: &Path, config: Config) -> Result<Self> {
        let bytes = fs::read(log).with_context(|| format!("reading {}", log.display()))?;
        let mut history =
            Self { config, steps: Vec::new(), evaluations: Vec::new(), geometries: Vec::new() };
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let taken = history.take(line);
            if line.ends_with(b"\n") {
                taken.with_context(|| {
                    format!("line {} of {} is no event of a run", index + 1, log.display())
                })?;
            }
        }
        Ok(history)
    }

    fn take(&mut self, line: &[u8]) -> Result<()> {
        let event: Value = serde_json::from_slice(line)?;
        match event["event"].as_str() {
            Some("step") => self.steps.push(serde_json::from_value(event)?),
            Some("evaluation") => self.evaluations.push(serde_json::from_value(event)?),
            Some("geometry") => self.geometries.push(serde_json::from_value(event)?),
            _ => {}
        }
        Ok(())
    }

    /// Whether there are no events yet.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.evaluations.is_empty() && self.geometries.is_empty()
    }

    /// Steps done.
    pub fn done(&self) -> usize {
        self.steps.last().map_or(0, |it| it.step)
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

    /// Training FLOPs of one token, those of every objective.
    pub fn flops_per_token(&self) -> f64 {
        flops_per_token(&self.config).total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nitp_core::config::preset;

    fn read(log: &str) -> Result<History> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, log).unwrap();
        History::read(&path, preset("nano").unwrap())
    }

    #[test]
    fn a_log_that_grows_is_read_up_to_its_last_whole_line() {
        let start = "{\"event\":\"start\",\"step\":0}\n";
        let step = serde_json::to_string(&nitp_core::train::Event::Step(StepEvent::new(
            &preset("nano").unwrap(),
            0,
            &[1.0; 16],
        )))
        .unwrap();
        assert!(read(start).unwrap().is_empty() && read("").unwrap().is_empty());
        for end in ["", "\n", "\n{\"event\":\"ste"] {
            let history = read(&format!("{start}{step}{end}")).unwrap();
            assert_eq!((history.done(), history.steps.len()), (1, 1), "{end:?}");
        }
        let error = read(&format!("{start}{{\"event\":\"ste\n{step}\n")).unwrap_err();
        assert!(error.to_string().starts_with("line 2 of "), "{error}");
    }
}
