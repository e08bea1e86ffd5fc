//! What comes next: the sentence that follows in a scene, among sentences that follow in others.

use super::{Candidate, Group, ITEMS, MOST_CHOICE_BYTES, Scene, Scenes, passage};
use crate::template::pick;
use rand_chacha::ChaCha8Rng;

/// Choices of an item.
const CHOICES: usize = 4;

/// Fewest bytes of a sentence that is asked for.
const FEWEST_BYTES: usize = 25;

/// What has to differ within a group.
struct Tells {
    topic: &'static str,
    question: Vec<&'static str>,
    answer: Vec<&'static str>,
}

impl Tells {
    /// Whether neither sentence could follow the other's passage: it tells of people who are not in that.
    fn is_apart(&self, other: &Self) -> bool {
        let apart = |a: &[&str], b: &[&str]| !a.iter().any(|it| b.contains(it));
        self.topic != other.topic
            && apart(&self.answer, &other.question)
            && apart(&other.answer, &self.question)
    }
}

/// Groups of four scenes.
pub fn groups(scenes: &Scenes<'_>, rng: &mut ChaCha8Rng) -> Vec<Group> {
    let found = scenes.scenes.iter().filter_map(|scene| candidate(scenes, scene, rng));
    let mut left: Vec<Candidate<Tells>> = found.collect();
    let mut groups = Vec::new();
    while CHOICES * groups.len() < ITEMS {
        let Some(first) = left.pop() else { break };
        let mut group = vec![first];
        while group.len() < CHOICES {
            let fits =
                |it: &Candidate<Tells>| group.iter().all(|other| it.key.is_apart(&other.key));
            let Some(at) = left.iter().rposition(fits) else { return groups };
            group.push(left.remove(at));
        }
        let (questions, answers) = group.into_iter().map(|it| (it.question, it.answer)).unzip();
        groups.push(Group { questions, answers });
    }
    groups
}

/// A sentence that names somebody whom the passage before it names too.
fn candidate(scenes: &Scenes<'_>, scene: &Scene, rng: &mut ChaCha8Rng) -> Option<Candidate<Tells>> {
    let text = &scene.text;
    let found = passage::sentences(text).into_iter().skip(2).filter_map(|(start, end)| {
        let (question, answer) = (passage::before(text, start)?, &text[start..end]);
        let (before, after) = (passage::people(question), passage::people(answer));
        let is_linked = !after.is_empty() && after.iter().all(|it| before.contains(it));
        let fits = is_linked
            && (FEWEST_BYTES..=MOST_CHOICE_BYTES).contains(&answer.len())
            && scenes.is_new(question);
        fits.then(|| Candidate {
            key: Tells { topic: scene.plan.topic, question: before, answer: after },
            question: question.to_owned(),
            answer: answer.to_owned(),
        })
    });
    let mut found: Vec<Candidate<Tells>> = found.collect();
    if found.is_empty() {
        return None;
    }
    let numbers: Vec<usize> = (0..found.len()).collect();
    Some(found.swap_remove(*pick(rng, &numbers)))
}
