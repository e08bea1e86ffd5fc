//! The app's state from the engine's updates.

use std::collections::{BTreeMap, VecDeque};

use nitp_core::config::Config;

use crate::engine::History;
use crate::protocol::{File, Inspected, Lane, Phase, Prepared, Update, Written};

/// Largest number of notices shown.
const MOST_NOTICES: usize = 4;

/// State from all updates.
#[derive(Default)]
pub struct Known {
    /// The device, in words.
    pub device: String,
    /// State of the engine.
    pub phase: Phase,
    /// The current experiment, with its configuration.
    pub prepared: Option<(Prepared, Config)>,
    /// Events of each run.
    pub histories: BTreeMap<Lane, History>,
    /// The last text of each model.
    pub written: BTreeMap<Lane, Written>,
    /// Results of the last inspection of a text.
    pub inspected: BTreeMap<Lane, Inspected>,
    /// The step up to which the runs are saved for the next visit.
    pub kept: Option<usize>,
    /// The step of the checkpoints that can be exported.
    pub saved: Option<usize>,
    /// Bytes of memory of the engine's program and of this window; 0 if unknown.
    pub memory: [u64; 2],
    /// Notices, newest last.
    pub notices: VecDeque<String>,
    /// The error, if any.
    pub error: Option<String>,
    /// Files to save for the visitor.
    pub files: Vec<File>,
}

impl Known {
    /// Applies an update.
    pub fn take(&mut self, update: Update) {
        match update {
            Update::Device(description) => self.device = description,
            Update::Prepared(prepared) => {
                self.histories =
                    prepared.lanes.iter().map(|&lane| (lane, History::default())).collect();
                self.written.clear();
                self.inspected.clear();
                self.saved = None;
                self.error = None;
                let config = Config::from_toml(&prepared.config).unwrap_or_default();
                self.prepared = Some((*prepared, config));
            }
            Update::Phase(phase) => self.phase = phase,
            Update::Step(lane, event) => self.history(lane).step(&event),
            Update::Evaluation(lane, event) => self.history(lane).evaluation(&event),
            Update::Snapshot(lane, snapshot) => {
                self.history(lane).snapshot(snapshot.geometry.step, *snapshot);
            }
            Update::Rewound(0) => {
                self.histories.values_mut().for_each(|history| *history = History::default());
            }
            Update::Rewound(step) => {
                self.histories.values_mut().for_each(|history| history.rewind(step));
            }
            Update::Written(lane, written) => drop(self.written.insert(lane, written)),
            Update::Inspected(lane, seen) => drop(self.inspected.insert(lane, *seen)),
            Update::File(file) => self.files.push(file),
            Update::Saved(step) => self.saved = Some(step),
            Update::Kept(step) => self.kept = Some(step).filter(|&step| step > 0),
            Update::Keep { .. } | Update::Tuned(_) => {}
            Update::Memory(bytes) => self.memory[0] = bytes,
            Update::Notice(text) => self.notice(text),
            Update::Error(text) => self.error = Some(text),
        }
    }

    /// Adds a notice.
    pub fn notice(&mut self, text: String) {
        self.notices.push_back(text);
        while self.notices.len() > MOST_NOTICES {
            self.notices.pop_front();
        }
    }

    fn history(&mut self, lane: Lane) -> &mut History {
        self.histories.entry(lane).or_default()
    }

    /// The step that all runs have finished.
    pub fn step(&self) -> usize {
        let steps = self.histories.values().map(|it| it.steps().last().map_or(0, |it| it.step));
        steps.min().unwrap_or(0)
    }

    /// The step of the newest snapshot that all runs have.
    pub fn snapshot(&self) -> Option<usize> {
        let last = |history: &History| history.snapshots().last().map(|(step, _)| *step);
        self.histories.values().map(last).min().flatten()
    }

    /// All steps of the experiment.
    pub fn steps(&self) -> usize {
        self.prepared.as_ref().map_or(0, |(_, config)| config.train.steps)
    }

    /// The current configuration.
    pub fn config(&self) -> Option<&Config> {
        self.prepared.as_ref().map(|(_, config)| config)
    }

    /// The error and the notices.
    pub fn alert(&self) -> String {
        let error = self.error.iter().map(|error| format!("Error: {error}"));
        let notice = self.notices.back().map(|notice| format!("Notice: {notice}"));
        error.chain(notice).collect::<Vec<_>>().join(" ")
    }

    /// The memory, in words.
    pub fn memory_words(&self) -> String {
        let [train, show] = self.memory.map(|bytes| bytes as f64 / 1e6);
        format!("Memory to train {train:.1} MB, to show it {show:.1} MB")
    }

    /// The state in a sentence, for screen readers and tests.
    pub fn status(&self) -> String {
        let phase = match self.phase {
            Phase::Empty => "Ready",
            Phase::Paused => "Paused",
            Phase::Running => "Training",
            Phase::Finished => "Finished",
        };
        let mut words = format!("{phase} on {}.", self.device);
        if let Some((prepared, _)) = &self.prepared {
            words += &format!(" Text: {}.", prepared.text);
        }
        if self.steps() > 0 {
            words += &format!(" Step {} of {}.", self.step(), self.steps());
        }
        for (lane, history) in &self.histories {
            let name = lane.name();
            if let Some(step) = history.steps().last() {
                words += &format!(" {name} loss {:.4}", step.ntp_loss);
                if *lane == Lane::Nitp {
                    words += &format!(", its own {:.4}", step.nitp_loss);
                }
            }
            if let Some(it) = history.evaluations().last() {
                words += &format!(", held-out {:.4}", it.val_loss);
            }
            if let Some((_, it)) = history.snapshots().last() {
                words += &format!(", rank {:.2}", it.geometry.effective_rank);
            }
            words += ".";
        }
        if let Some(step) = self.kept {
            words += &format!(" Kept step {step}.");
        }
        if self.memory != [0; 2] {
            words += &format!(" {}.", self.memory_words());
        }
        words
    }
}
