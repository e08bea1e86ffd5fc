//! The sense of a word with two meanings: how a sentence on it can go on, after it was used in one of them.

use super::{Candidate, Group, ITEMS, Scene, Scenes, pairs, passage};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A word that begins a sentence, and how that goes on in each of its senses. Both go on in good English from the same
/// beginning: only what was told before decides.
struct Frame {
    word: &'static str,
    begin: &'static str,
    /// `(sense, [continuation; 2])`.
    senses: [(&'static str, [&'static str; 2]); 2],
}

const fn frame(
    word: &'static str,
    begin: &'static str,
    senses: [(&'static str, [&'static str; 2]); 2],
) -> Frame {
    Frame { word, begin, senses }
}

const FRAMES: &[Frame] = &[
    frame(
        "bank",
        "The bank",
        [
            (
                "river",
                ["was green with reeds down to the water.", "was soft, and a boot sank into it."],
            ),
            (
                "money",
                [
                    "had an iron safe and a brass counter.",
                    "closed its doors, with all the coins counted.",
                ],
            ),
        ],
    ),
    frame(
        "spring",
        "The spring",
        [
            ("water", ["was too cold to drink fast.", "came up clear from under the wall."]),
            (
                "season",
                ["was late that year, and so were the swallows.", "was what everyone longed for."],
            ),
        ],
    ),
    frame(
        "bark",
        "The bark",
        [
            ("tree", ["was rough and grey and cracked.", "came off in one long strip."]),
            (
                "dog",
                ["was Biscuit's, and a stranger was about.", "could be heard across the harbour."],
            ),
        ],
    ),
    frame(
        "light",
        "And light",
        [
            (
                "lamp",
                [
                    "swept round over the waves every ten seconds.",
                    "burned far out, where a boat lay.",
                ],
            ),
            (
                "weight",
                [
                    "it was as a pillow, with only cork in it.",
                    "it was for a child to lift, being empty.",
                ],
            ),
        ],
    ),
    frame(
        "seal",
        "The seal",
        [
            (
                "animal",
                ["rolled over on the rocks and yawned.", "had wet whiskers, and looked at them."],
            ),
            ("wax", ["was red, and not yet broken.", "kept the envelope shut."]),
        ],
    ),
    frame(
        "bow",
        "The bow",
        [
            (
                "ship",
                ["had the boat's name on it in white.", "went through the waves, and spray flew."],
            ),
            (
                "fiddle",
                ["had slack white hair and hung from a peg.", "left rosin dust on the strings."],
            ),
        ],
    ),
    frame(
        "match",
        "The match",
        [
            ("fire", ["was damp, and would not burn.", "was held to the wick of the candle."]),
            (
                "game",
                ["was lost, for nobody could keep goal.", "was against the boys from Elverton."],
            ),
        ],
    ),
    frame(
        "scale",
        "The scale",
        [
            ("fish", ["was as bright as silver.", "was as wide as a penny, and from a carp."]),
            (
                "weighing",
                ["had a needle that trembled at two pounds.", "was honest, give or take a grain."],
            ),
        ],
    ),
    frame(
        "pitch",
        "The pitch",
        [
            (
                "tar",
                [
                    "was black and sticky, for the seams of a hull.",
                    "would never wash out of a sleeve.",
                ],
            ),
            (
                "tune",
                [
                    "rose and rose, as of a kettle on the fire.",
                    "was a little flat, as the singer was.",
                ],
            ),
        ],
    ),
    frame(
        "chest",
        "The chest",
        [
            ("box", ["had a rope round its lid.", "was of oak, and full of old flags."]),
            ("body", ["hurt, and the cough was no better.", "had a heart in it that beat hard."]),
        ],
    ),
    frame(
        "wave",
        "The wave",
        [
            (
                "sea",
                ["ran back down the steps, hissing.", "came over the wall, and feet were wet."],
            ),
            (
                "hand",
                ["was for someone across the way.", "was all the greeting there was time for."],
            ),
        ],
    ),
    frame(
        "crane",
        "The crane",
        [
            (
                "bird",
                ["trailed its long legs as it flew.", "was looking for frogs in the shallows."],
            ),
            ("machine", ["had a crate of coal on its hook.", "squealed, for nobody oiled it."]),
        ],
    ),
    frame(
        "letter",
        "The letter",
        [
            (
                "alphabet",
                ["was a large G on the blackboard.", "was an S, and the wrong way round."],
            ),
            (
                "post",
                ["lay in its envelope on the table.", "was shut, and nobody had read it yet."],
            ),
        ],
    ),
    frame(
        "nail",
        "The nail",
        [
            ("metal", ["was rusty, and held up a coat.", "was hammered flat into the plank."]),
            ("finger", ["had dirt under it, as it always had.", "was sore, and bitten down."]),
        ],
    ),
    frame(
        "ring",
        "The ring",
        [
            ("finger", ["was of thin gold.", "no longer came off the landlord's hand."]),
            (
                "bell",
                ["was slow and cracked, from the tower.", "told the school that it was noon."],
            ),
        ],
    ),
    frame(
        "sole",
        "The sole",
        [
            (
                "fish",
                [
                    "lay on the ice with both eyes on top.",
                    "was flat and brown, and sold by weight.",
                ],
            ),
            ("shoe", ["had come loose, and flapped.", "slapped on the stones at every step."]),
        ],
    ),
];

/// Two groups for each pair of continuations, where there are scenes enough; words take turns.
pub fn groups(scenes: &Scenes<'_>, rng: &mut ChaCha8Rng) -> Vec<Group> {
    let mut by_word: Vec<std::vec::IntoIter<Group>> = Vec::new();
    for frame in FRAMES {
        let mut order: Vec<&Scene> = scenes.scenes.iter().collect();
        order.shuffle(rng);
        let found: Vec<Candidate<&str>> =
            order.into_iter().filter_map(|scene| candidate(scenes, scene, frame)).collect();
        let [(first, _), (second, _)] = &frame.senses;
        let mut groups = pairs(&found, [first, second], ITEMS);
        for (number, group) in groups.iter_mut().enumerate() {
            let which = [number % 2, number / 2 % 2];
            for ((answer, (_, ways)), way) in group.answers.iter_mut().zip(&frame.senses).zip(which)
            {
                *answer = ways[way].to_owned();
            }
        }
        by_word.push(groups.into_iter());
    }
    by_word.shuffle(rng);
    let mut groups = Vec::new();
    while 2 * groups.len() < ITEMS && by_word.iter().any(|it| it.len() > 0) {
        groups.extend(by_word.iter_mut().filter_map(Iterator::next));
    }
    groups
}

/// A passage that ends with the sentence in which the word is used; the answer is filled in with its group.
fn candidate(scenes: &Scenes<'_>, scene: &Scene, frame: &Frame) -> Option<Candidate<&'static str>> {
    let mut of_word = scene.senses.iter().filter(|it| it.word == frame.word);
    // One sense in the whole scene.
    let (first, rest) = (of_word.next()?, of_word);
    let mut rest = rest.map(|it| &it.sense);
    if !rest.all(|sense| *sense == first.sense) {
        return None;
    }
    let sense = frame.senses.iter().find(|(sense, _)| *sense == first.sense)?.0;
    let sentences = passage::sentences(&scene.text);
    let (_, end) = *sentences.iter().find(|(start, end)| (*start..*end).contains(&first.start))?;
    let told = passage::before(&scene.text, end)?;
    scenes.is_new(told).then(|| Candidate {
        key: sense,
        question: format!("{told} {}", frame.begin),
        answer: String::new(),
    })
}
