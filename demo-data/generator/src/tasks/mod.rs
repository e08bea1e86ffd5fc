//! Tasks of multiple choice on scenes that the corpus does not have: what `nitp eval --task demo` scores.
//!
//! Items come in groups. A group has as many questions as choices; each question is asked with all of the group's choices,
//! and each choice is the answer to one of them. So nothing about a choice alone (its words, its length, its place) tells
//! whether it is the answer.

mod agreement;
mod next;
mod passage;
mod sense;
mod whereabouts;
mod who;

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::polish::Sense;
use super::scene::{Plan, Tally};

/// The seed of the scenes: another one than the corpus'.
const SEED: u64 = super::corpus::SEED + 1;

/// Scenes to look for items in.
const SCENES: usize = 5000;

/// Items of a task.
const ITEMS: usize = 200;

/// Most bytes of a passage: with a choice it fits into the context of the tiny preset.
const MOST_BYTES: usize = 270;

/// Most bytes of a choice: it fits into the context of the nano preset, which reads bytes.
const MOST_CHOICE_BYTES: usize = 60;

/// Bytes by which passages of the corpus are looked up.
const FIRST_BYTES: usize = 16;

/// One line of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub question: String,
    pub choices: Vec<String>,
    /// Position of the right one.
    pub answer: usize,
}

/// A task and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub name: &'static str,
    pub items: Vec<Item>,
}

impl Task {
    /// One JSON object a line.
    pub fn to_jsonl(&self) -> Result<String> {
        let lines: Result<Vec<String>, _> = self.items.iter().map(serde_json::to_string).collect();
        Ok(lines.context("an item is plain data")?.join("\n") + "\n")
    }
}

/// A scene in one telling.
struct Scene {
    plan: Plan,
    text: String,
    senses: Vec<Sense>,
}

/// Questions and their answers, in the same order.
struct Group {
    questions: Vec<String>,
    answers: Vec<String>,
}

/// Draws the groups of a task.
type Draw = fn(&Scenes<'_>, &mut ChaCha8Rng) -> Vec<Group>;

const TASKS: &[(&str, Draw)] = &[
    ("who", who::groups),
    ("where", whereabouts::groups),
    ("what_next", next::groups),
    ("agreement", agreement::groups),
    ("sense", sense::groups),
];

/// Where items come from.
struct Scenes<'a> {
    scenes: Vec<Scene>,
    /// The corpus from each word on, by its first bytes.
    corpus: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Scenes<'a> {
    fn new(scenes: Vec<Scene>, texts: impl Iterator<Item = &'a str>) -> Self {
        let mut corpus: HashMap<&str, Vec<&str>> = HashMap::new();
        for text in texts {
            let starts = text.match_indices(' ').map(|(at, _)| at + 1);
            for rest in [0].into_iter().chain(starts).map(|start| &text[start..]) {
                if let Some(first) = rest.get(..FIRST_BYTES) {
                    corpus.entry(first).or_default().push(rest);
                }
            }
        }
        Self { scenes, corpus }
    }

    /// Whether a passage, which begins with a word, is not in the corpus. One that is too short to tell is not new.
    fn is_new(&self, passage: &str) -> bool {
        let Some(first) = passage.get(..FIRST_BYTES) else { return false };
        self.corpus.get(first).is_none_or(|rests| !rests.iter().any(|it| it.starts_with(passage)))
    }
}

/// The tasks; no passage of a question is in the corpus.
pub fn generate<'a>(corpus: impl Iterator<Item = &'a str>) -> Result<Vec<Task>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(SEED);
    let tally = Tally::default();
    let mut told = BTreeSet::new();
    let mut scenes = Vec::with_capacity(SCENES);
    while scenes.len() < SCENES {
        let plan = Plan::new(rng, &tally);
        if told.insert(plan.draft.clone()) {
            let (text, senses) = plan.tell(rng);
            scenes.push(Scene { plan, text, senses });
        }
    }
    let scenes = Scenes::new(scenes, corpus);
    let task = |(index, &(name, draw)): (usize, &(&'static str, Draw))| {
        let rng = &mut ChaCha8Rng::seed_from_u64(SEED + 1 + index as u64);
        let mut items: Vec<Item> = Vec::with_capacity(ITEMS);
        for group in draw(&scenes, rng) {
            items.extend(group.items(rng));
        }
        ensure!(
            items.len() >= ITEMS,
            "{SCENES} scenes give {} items of the task {name}, and {ITEMS} are wanted",
            items.len()
        );
        items.truncate(ITEMS);
        items.shuffle(rng);
        Ok(Task { name, items })
    };
    TASKS.iter().enumerate().map(task).collect()
}

impl Group {
    /// An item for each question: the answers come to stand at each place once.
    fn items(self, rng: &mut ChaCha8Rng) -> Vec<Item> {
        let mut places: Vec<usize> = (0..self.answers.len()).collect();
        places.shuffle(rng);
        let mut items = Vec::with_capacity(self.questions.len());
        for ((right, question), answer) in self.questions.into_iter().enumerate().zip(places) {
            let mut choices = self.answers.clone();
            let text = choices.remove(right);
            choices.shuffle(rng);
            choices.insert(answer, text);
            items.push(Item { question, choices, answer });
        }
        items
    }
}

/// What was found for one question, before it gets its group.
struct Candidate<K> {
    /// What decides which others it can be asked with.
    key: K,
    question: String,
    answer: String,
}

/// Groups of two: one candidate of each key, until one of them runs out or there are `most`.
fn pairs<K: PartialEq>(all: &[Candidate<K>], keys: [&K; 2], most: usize) -> Vec<Group> {
    let of = |key: &K| all.iter().filter(|it| it.key == *key).collect::<Vec<_>>();
    let [first, second] = keys.map(of);
    let pair = |(a, b): (&&Candidate<K>, &&Candidate<K>)| Group {
        questions: vec![a.question.clone(), b.question.clone()],
        answers: vec![a.answer.clone(), b.answer.clone()],
    };
    first.iter().zip(&second).take(most).map(pair).collect()
}
