//! A run's events, thinned so that the memory of a long run stays bounded.

use nitp_core::train::{EvaluationEvent, Event, GeometryEvent, StepEvent};
use serde::{Deserialize, Serialize};

use crate::protocol::Snapshot;

/// Largest numbers of stored steps, evaluations and snapshots.
const MOST_STEPS: usize = 4096;
const MOST_EVALUATIONS: usize = 1024;
const MOST_SNAPSHOTS: usize = 48;

/// A run's history: every n-th event, where n doubles as the run grows, and the newest event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    steps: Thinned<StepEvent>,
    evaluations: Thinned<EvaluationEvent>,
    snapshots: Thinned<(usize, Snapshot)>,
}

/// A list with a limited number of items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thinned<T> {
    items: Vec<T>,
    /// Every `stride`-th item is kept. The last item is always the newest one.
    stride: usize,
    seen: usize,
}

impl<T> Default for Thinned<T> {
    fn default() -> Self {
        Self { items: Vec::new(), stride: 1, seen: 0 }
    }
}

impl<T> Thinned<T> {
    /// Adds an item. If there are more than `most`, every second item is removed.
    pub fn push(&mut self, item: T, most: usize) {
        // The previous item was kept only because it was the newest.
        if self.seen > 0 && !(self.seen - 1).is_multiple_of(self.stride) {
            self.items.pop();
        }
        self.items.push(item);
        self.seen += 1;
        if self.items.len() > most.max(2) {
            let mut index = 0;
            self.items.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
            // The last item is now one of the kept ones.
            self.seen = (self.items.len() - 1) * self.stride + 1;
        }
    }

    /// The items, oldest first.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// Removes all items after the last one for which `keep` holds.
    pub fn rewind(&mut self, keep: impl Fn(&T) -> bool) {
        let before = self.items.len();
        while self.items.last().is_some_and(|item| !keep(item)) {
            self.items.pop();
        }
        if self.items.len() < before {
            self.seen = self.items.len().saturating_sub(1) * self.stride
                + usize::from(!self.items.is_empty());
        }
    }
}

impl History {
    /// Adds a step.
    pub fn step(&mut self, event: &StepEvent) {
        self.steps.push(event.clone(), MOST_STEPS);
    }

    /// Adds an evaluation.
    pub fn evaluation(&mut self, event: &EvaluationEvent) {
        self.evaluations.push(event.clone(), MOST_EVALUATIONS);
    }

    /// Adds a snapshot.
    pub fn snapshot(&mut self, step: usize, snapshot: Snapshot) {
        self.snapshots.push((step, snapshot), MOST_SNAPSHOTS);
    }

    /// Steps, oldest first.
    pub fn steps(&self) -> &[StepEvent] {
        self.steps.items()
    }

    /// Evaluations, oldest first.
    pub fn evaluations(&self) -> &[EvaluationEvent] {
        self.evaluations.items()
    }

    /// Snapshots with their steps, oldest first.
    pub fn snapshots(&self) -> &[(usize, Snapshot)] {
        self.snapshots.items()
    }

    /// Removes all events after a step.
    pub fn rewind(&mut self, step: usize) {
        self.steps.rewind(|event| event.step <= step);
        self.evaluations.rewind(|event| event.step <= step);
        self.snapshots.rewind(|(at, _)| *at <= step);
    }

    /// The lines of a `metrics.jsonl`.
    pub fn to_jsonl(&self) -> String {
        let steps = self.steps().iter().cloned().map(|event| (event.step, Event::Step(event)));
        let evaluations =
            self.evaluations().iter().cloned().map(|it| (it.step, Event::Evaluation(it)));
        let geometry = self.snapshots().iter();
        let geometry = geometry.map(|(step, it)| (*step, Event::Geometry(it.geometry.clone())));
        let mut events: Vec<(usize, Event)> = steps.chain(evaluations).chain(geometry).collect();
        // A stable sort, so that the event of a step comes before other events at the step.
        events.sort_by_key(|(step, _)| *step);
        let line = |(_, event): &(usize, Event)| {
            serde_json::to_string(event).expect("events are plain data") + "\n"
        };
        events.iter().map(line).collect()
    }
}

impl History {
    /// Reads the lines of a `metrics.jsonl`, and adds these snapshots. Other lines are ignored.
    pub fn from_jsonl(text: &str, snapshots: Vec<Snapshot>) -> Self {
        let mut history = Self::default();
        let mut shown = snapshots.into_iter().peekable();
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            match value["event"].as_str() {
                Some("step") => {
                    if let Ok(event) = serde_json::from_value(value) {
                        history.step(&event);
                    }
                }
                Some("evaluation") => {
                    if let Ok(event) = serde_json::from_value(value) {
                        history.evaluation(&event);
                    }
                }
                Some("geometry") => {
                    let Ok(geometry) = serde_json::from_value::<GeometryEvent>(value) else {
                        continue;
                    };
                    let step = geometry.step;
                    while shown.next_if(|it| it.geometry.step < step).is_some() {}
                    let bare =
                        Snapshot { geometry, positions: vec![], cosines: vec![], next: vec![] };
                    let snapshot = shown.next_if(|it| it.geometry.step == step).unwrap_or(bare);
                    history.snapshot(step, snapshot);
                }
                _ => {}
            }
        }
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_stays_short_and_ends_with_the_newest() {
        let mut list = Thinned::default();
        for i in 0..10_000 {
            list.push(i, 16);
            assert_eq!(list.items().last(), Some(&i));
            assert!(list.items().len() <= 17);
        }
        assert_eq!(list.items()[0], 0);
        assert!(list.items().windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn what_was_rewound_is_told_anew() {
        let mut list = Thinned::default();
        (0..100).for_each(|i| list.push(i, 16));
        list.rewind(|&i| i <= 50);
        assert!(*list.items().last().unwrap() <= 50);
        (51..100).for_each(|i| list.push(i, 16));
        assert_eq!(list.items().last(), Some(&99));
        assert!(list.items().windows(2).all(|pair| pair[0] < pair[1]));
    }
}
