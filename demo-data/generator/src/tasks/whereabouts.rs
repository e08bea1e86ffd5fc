//! Where somebody is: the place is shown before it is named.

use std::collections::BTreeSet;

use super::{Candidate, Group, ITEMS, Scene, Scenes, passage};
use crate::places::{PLACES, Place};
use crate::polish::take_senses;
use crate::template::wordings;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Choices of an item.
const CHOICES: usize = 4;

/// Groups of four places.
pub fn groups(scenes: &Scenes<'_>, rng: &mut ChaCha8Rng) -> Vec<Group> {
    let mut by_place: Vec<Vec<Candidate<&str>>> = PLACES.iter().map(|_| Vec::new()).collect();
    // Openings are short, and two scenes may have the same.
    let mut asked = BTreeSet::new();
    for scene in &scenes.scenes {
        let candidate = candidate(scenes, scene);
        if let Some(candidate) = candidate.filter(|it| asked.insert(it.question.clone())) {
            let place = PLACES.iter().position(|it| it.id == candidate.key);
            by_place[place.expect("a place of its own list")].push(candidate);
        }
    }
    let mut groups = Vec::new();
    while CHOICES * groups.len() < ITEMS {
        // Those with most left, so that all places come about as often.
        by_place.shuffle(rng);
        by_place.sort_by_key(|it| std::cmp::Reverse(it.len()));
        let four: Option<Vec<Candidate<&str>>> =
            by_place.iter_mut().take(CHOICES).map(Vec::pop).collect();
        let Some(four) = four else { break };
        let (questions, answers) = four.into_iter().map(|it| (it.question, it.answer)).unzip();
        groups.push(Group { questions, answers });
    }
    groups
}

/// The opening of a scene up to where it names the place, if what stands or is done there came before.
fn candidate(scenes: &Scenes<'_>, scene: &Scene) -> Option<Candidate<&'static str>> {
    let (text, place) = (&scene.text, scene.plan.place);
    let names = wordings(place.at).into_iter().map(|it| take_senses(&it).0);
    let found = names.filter_map(|name| Some((text.find(&format!(" {name}"))?, name)));
    // The first of them; of two at one place the longer.
    let (at, name) = found.min_by_key(|(at, name)| (*at, usize::MAX - name.len()))?;
    let question = passage::before(text, at)?;
    let is_shown = clues(place).iter().any(|clue| question.contains(clue));
    (is_shown && scenes.is_new(question)).then(|| Candidate {
        key: place.id,
        question: question.to_owned(),
        answer: name,
    })
}

/// Every way to say what a place is like, or what people do there.
fn clues(place: &Place) -> Vec<String> {
    let texts = place.details.iter().chain(place.doing);
    let of_both = |text: String| [text.replace("{his}", "his"), text.replace("{his}", "her")];
    texts.flat_map(|it| wordings(it)).flat_map(of_both).collect()
}
