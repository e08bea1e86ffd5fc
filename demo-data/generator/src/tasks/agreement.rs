//! Agreement: "was" or "were" after its subject, and "he" or "she" after whom it means.

use std::collections::BTreeMap;

use super::{Candidate, Group, ITEMS, Scene, Scenes, pairs, passage};
use crate::people::PEOPLE;
use crate::template::pick;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Words that go together.
const PAIRS: [[&str; 2]; 3] = [["was", "were"], ["he", "she"], ["He", "She"]];

/// Words after which the verb's subject is still to come, or not to be told.
const NO_SUBJECT: &[&str] = &[
    "there", "that", "and", "her", "him", "which", "who", "what", "as", "i", "you", "we", "so",
    "if", "or", "but", "than", "where", "always", "never", "world", "silver", "brown", "needles",
    "more", "strong",
];

/// Plurals that don't end in an s.
const PLURALS: &[&str] = &["they", "men", "people", "children", "feet"];

/// Items with the same word before the blank: those that are most common must not be all.
const MOST_ALIKE: usize = 8;

/// Half the items of verbs, half of pronouns.
pub fn groups(scenes: &Scenes<'_>, rng: &mut ChaCha8Rng) -> Vec<Group> {
    let mut order: Vec<&Scene> = scenes.scenes.iter().collect();
    order.shuffle(rng);
    let mut all = Vec::new();
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    for scene in order {
        let mut found = candidates(scenes, scene);
        found.retain(|it| alike.get(&last_word(&it.question)).is_none_or(|&n| n < MOST_ALIKE));
        if !found.is_empty() {
            let numbers: Vec<usize> = (0..found.len()).collect();
            // Plural subjects are rare: a scene that has one gives it.
            let plural = found.iter().position(|it| it.key == "were");
            let one = found.swap_remove(plural.unwrap_or_else(|| *pick(rng, &numbers)));
            if PAIRS[0].contains(&one.key) {
                *alike.entry(last_word(&one.question)).or_default() += 1;
            }
            all.push(one);
        }
    }
    let [verbs, small, capital] = PAIRS.map(|[a, b]| pairs(&all, [&a, &b], ITEMS));
    let quarter = ITEMS / 4;
    let pronouns = capital.into_iter().take(quarter / 2 + quarter % 2);
    verbs
        .into_iter()
        .take(quarter)
        .chain(small.into_iter().take(quarter / 2))
        .chain(pronouns)
        .collect()
}

fn last_word(text: &str) -> String {
    text.rsplit(' ').next().unwrap_or_default().to_ascii_lowercase()
}

/// Every word of a scene that can be told from what comes before.
fn candidates(scenes: &Scenes<'_>, scene: &Scene) -> Vec<Candidate<&'static str>> {
    let text = &scene.text;
    let mut found = Vec::new();
    for word in PAIRS.into_iter().flatten() {
        for (at, _) in text.match_indices(&format!(" {word} ")) {
            let Some(question) = passage::before(text, at) else { continue };
            // Who is meant within a speech is another matter.
            let is_speech = question.matches('"').count() % 2 == 1;
            let is_told = match word {
                "was" => subject(question) == Some(false),
                "were" => subject(question) == Some(true),
                _ if is_speech => false,
                "he" | "He" => last_named(question) == Some(false),
                _ => last_named(question) == Some(true),
            };
            if is_told && scenes.is_new(question) {
                let question = question.to_owned();
                found.push(Candidate { key: word, question, answer: word.to_owned() });
            }
        }
    }
    found
}

/// Whether the subject before the verb is in the plural; nothing where that is not sure.
fn subject(passage: &str) -> Option<bool> {
    let word = last_word(passage);
    let is_word = word.bytes().all(|it| it.is_ascii_lowercase());
    if !is_word || NO_SUBJECT.contains(&word.as_str()) {
        return None;
    }
    let is_plural =
        PLURALS.contains(&word.as_str()) || (word.ends_with('s') && !word.ends_with("ss"));
    Some(is_plural)
}

/// Whether the person who was named last is a woman, if that was in this sentence or the one before.
fn last_named(passage: &str) -> Option<bool> {
    let sentences = passage::sentences(passage);
    let near = &passage[sentences[sentences.len().saturating_sub(2)].0..];
    let named = PEOPLE.iter().filter_map(|it| Some((passage::last_mention(near, it)?, it.female)));
    Some(named.max_by_key(|(at, _)| *at)?.1)
}
