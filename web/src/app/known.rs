//! What the app knows from the engine's updates.

use std::collections::{BTreeMap, VecDeque};

use nitp_core::config::Config;

use crate::engine::History;
use crate::protocol::{File, Inspected, Lane, Phase, Prepared, Update, Written};

/// Most notices that are shown.
const MOST_NOTICES: usize = 4;

/// Everything that was told.
#[derive(Default)]
pub struct Known {
    /// What trains, in words.
    pub device: String,
    /// What the engine is at.
    pub phase: Phase,
    /// What is under way, with its configuration.
    pub prepared: Option<(Prepared, Config)>,
    /// What each run told.
    pub histories: BTreeMap<Lane, History>,
    /// What each model wrote last.
    pub written: BTreeMap<Lane, Written>,
    /// What was seen in the text last looked at.
    pub inspected: BTreeMap<Lane, Inspected>,
    /// The step up to which the runs are kept for the next visit.
    pub kept: Option<usize>,
    /// The step of the checkpoints that can be exported.
    pub saved: Option<usize>,
    /// Bytes that training takes, and this window, where the programs are told.
    pub memory: [u64; 2],
    /// Things to know, newest last.
    pub notices: VecDeque<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Files to hand to the visitor.
    pub files: Vec<File>,
}

impl Known {
    /// Takes one in.
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

    /// Adds something to know.
    pub fn notice(&mut self, text: String) {
        self.notices.push_back(text);
        while self.notices.len() > MOST_NOTICES {
            self.notices.pop_front();
        }
    }

    fn history(&mut self, lane: Lane) -> &mut History {
        self.histories.entry(lane).or_default()
    }

    /// The step that all runs have done.
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

    /// The configuration under way.
    pub fn config(&self) -> Option<&Config> {
        self.prepared.as_ref().map(|(_, config)| config)
    }

    /// What is wrong, and what there is to know.
    pub fn alert(&self) -> String {
        let error = self.error.iter().map(|error| format!("Error: {error}"));
        let notice = self.notices.back().map(|notice| format!("Notice: {notice}"));
        error.chain(notice).collect::<Vec<_>>().join(" ")
    }

    /// What is held in memory, in words.
    pub fn memory_words(&self) -> String {
        let [train, show] = self.memory.map(|bytes| bytes as f64 / 1e6);
        format!("Memory to train {train:.1} MB, to show it {show:.1} MB")
    }

    /// Where things stand, in a sentence: for screen readers, and whoever reads along.
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
