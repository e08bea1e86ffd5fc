//! Who speaks: `"Mark me. It will rain." said` one of the two people of a scene, of whom one speaks so.

use super::{Candidate, Group, ITEMS, Scene, Scenes, pairs, passage};
use crate::people::{PEOPLE, Person};
use crate::voice::in_style;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The speaker and the other person.
type Pair = (&'static str, &'static str);

/// A group for each pair of people in turn.
pub fn groups(scenes: &Scenes<'_>, rng: &mut ChaCha8Rng) -> Vec<Group> {
    let candidates: Vec<Candidate<Pair>> =
        scenes.scenes.iter().filter_map(|scene| candidate(scenes, scene)).collect();
    let mut by_pair = Vec::new();
    for (index, a) in PEOPLE.iter().enumerate() {
        for b in &PEOPLE[index + 1..] {
            by_pair.push(pairs(&candidates, [&(a.id, b.id), &(b.id, a.id)], ITEMS).into_iter());
        }
    }
    by_pair.shuffle(rng);
    let mut groups = Vec::new();
    while 2 * groups.len() < ITEMS && by_pair.iter().any(|it| it.len() > 0) {
        groups.extend(by_pair.iter_mut().filter_map(Iterator::next));
    }
    groups
}

/// The first line of a scene whose speaker can be told from the way of speaking.
fn candidate(scenes: &Scenes<'_>, scene: &Scene) -> Option<Candidate<Pair>> {
    let (text, cast) = (&scene.text, [scene.plan.hero, scene.plan.other]);
    for verb in ["\" said ", "\" asked "] {
        for (at, _) in text.match_indices(verb) {
            let end = at + verb.len();
            let named = |person: &&&Person| text[end..].starts_with(person.name);
            let Some(speaker) = cast.iter().find(named) else { continue };
            let other = if speaker.id == cast[0].id { cast[1] } else { cast[0] };
            let speech = &text[text[..at].rfind('"')? + 1..at];
            let Some(question) = passage::before(text, end) else { continue };
            let people = passage::people(question);
            let is_clear = has_manner(speech, speaker) && !has_manner(speech, other);
            if is_clear
                && people.len() == 2
                && people.contains(&other.id)
                && scenes.is_new(question)
            {
                let (question, answer) = (question.to_owned(), speaker.name.to_owned());
                return Some(Candidate { key: (speaker.id, other.id), question, answer });
            }
        }
    }
    None
}

/// Whether a speech begins or ends as this person's do; before "said" a full stop has become a comma.
fn has_manner(speech: &str, person: &Person) -> bool {
    const STOPS: [char; 5] = ['.', ',', ' ', '?', '!'];
    let bare = |phrase: &&str| in_style(phrase, person).trim_matches(STOPS).to_owned();
    let ends_here = |rest: &str| !rest.starts_with(|it: char| it.is_ascii_alphabetic());
    let opens = |phrase: String| speech.strip_prefix(&phrase).is_some_and(ends_here);
    let closes = |phrase: String| {
        let rest = speech.trim_end_matches(STOPS).strip_suffix(&phrase);
        rest.is_some_and(|it| it.is_empty() || it.ends_with(' '))
    };
    person.openers.iter().map(bare).any(opens) || person.closers.iter().map(bare).any(closes)
}
