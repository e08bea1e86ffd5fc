//! Names: what a mention of a person becomes, from the full name to a pronoun.

use super::people::{Person, relation};
use super::polish::SENTENCE;
use super::scene::Cast;
use super::template::chance;
use rand_chacha::ChaCha8Rng;

/// The most bytes between a mention and a pronoun for it.
const PRONOUN_REACH: usize = 150;

/// People in passing: after one of them a pronoun could mean the wrong person.
const BYSTANDERS: &[&str] = &[
    "boy",
    "man ",
    "men",
    "customer",
    "landlord",
    "neighbour",
    "omeone",
    "child",
    "owner",
    "stranger",
    "goalkeeper",
    "obody",
    "priest",
    "woman ",
    "mother",
    "father",
    "omebody",
];

/// Replaces each `{H}` and `{O}` by a name or a role. `known_by_habit` allows a hero without a name: something else in the scene
/// tells who it is.
pub fn name(draft: &str, cast: &Cast, known_by_habit: bool, rng: &mut ChaCha8Rng) -> String {
    let stranger = known_by_habit && cast.hero.female != cast.other.female && chance(rng, 14);
    let mut hero = Mention::new(cast.hero, chance(rng, 25), rng);
    if stranger {
        hero = Mention {
            introduction: cast.hero.stranger().to_owned(),
            later: cast.hero.stranger(),
            role: cast.hero.stranger(),
            used: 0,
        };
    }
    let mut other = Mention::new(cast.other, chance(rng, 25), rng);
    if let Some(relation) = relation(cast.hero, cast.other).filter(|_| chance(rng, 60)) {
        let possessive = if cast.hero.female { "her" } else { "his" };
        let name_first = draft.find("{H}") < draft.find("{O}");
        if name_first && other.later != cast.other.role {
            other.introduction = format!("{possessive} {relation} {}", cast.other.name);
        }
    }
    let mut named = String::new();
    let mut rest = draft;
    let (mut last, mut last_end, mut other_seen) = (None, 0, false);
    while let Some((before, after)) = rest.split_once('{') {
        named.push_str(before);
        let is_hero = after.starts_with('H');
        let person = if is_hero { cast.hero } else { cast.other };
        let mention = if is_hero { &mut hero } else { &mut other };
        // A pronoun only for the subject of a sentence or of "said", and only where nobody else can be meant.
        let subject = named.trim_end().ends_with(['.', '!', '?', '"', SENTENCE])
            && after[2..].starts_with(' ');
        let since = &named[last_end..];
        let clear = last == Some(is_hero)
            && (cast.hero.female != cast.other.female || !other_seen)
            && since.len() < PRONOUN_REACH
            && !BYSTANDERS.iter().any(|word| since.contains(word));
        if subject && clear && chance(rng, 70) {
            named.push_str(if person.female { "she" } else { "he" });
        } else {
            named.push_str(&mention.next(rng));
        }
        (last, last_end) = (Some(is_hero), named.len());
        other_seen |= !is_hero;
        rest = &after[2..];
    }
    named + rest
}

struct Mention {
    introduction: String,
    later: &'static str,
    role: &'static str,
    used: usize,
}

impl Mention {
    fn new(person: &Person, by_role: bool, rng: &mut ChaCha8Rng) -> Self {
        let Person { name, role, full_name, .. } = *person;
        let later = if by_role { role } else { name };
        let introduction = match chance(rng, 50) {
            _ if by_role => role.to_owned(),
            true => full_name.to_owned(),
            false => format!("{name} {role}"),
        };
        Self { introduction, later, role, used: 0 }
    }

    fn next(&mut self, rng: &mut ChaCha8Rng) -> String {
        self.used += 1;
        match self.used {
            1 => self.introduction.clone(),
            _ if chance(rng, 10) => self.role.to_owned(),
            _ => self.later.to_owned(),
        }
    }
}
