//! Passages: whole sentences that lead up to some place in a scene.

use super::MOST_BYTES;
use crate::people::{PEOPLE, Person};

/// Where sentences begin that are not inside a speech.
pub fn starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut is_speech = false;
    for (at, byte) in text.bytes().enumerate() {
        is_speech ^= byte == b'"';
        let before = text[..at].trim_end_matches('"');
        let begins = text[at + 1..].starts_with(|c: char| c.is_ascii_uppercase() || c == '"');
        if byte == b' ' && !is_speech && begins && before.ends_with(['.', '!', '?']) {
            starts.push(at + 1);
        }
    }
    starts
}

/// The longest passage of whole sentences that ends at `end`, which need not be the end of one.
pub fn before(text: &str, end: usize) -> Option<&str> {
    let mut starts = starts(text).into_iter().filter(|&start| start < end);
    let start = starts.find(|start| end - start <= MOST_BYTES)?;
    Some(text[start..end].trim_end())
}

/// The sentences of a text, speech in one piece: where each begins and ends.
pub fn sentences(text: &str) -> Vec<(usize, usize)> {
    let starts = starts(text);
    let ends = starts[1..].iter().map(|start| start - 1).chain([text.len()]);
    starts.iter().copied().zip(ends).collect()
}

/// The people that a passage tells of, by name or by role.
pub fn people(text: &str) -> Vec<&'static str> {
    PEOPLE.iter().filter(|person| last_mention(text, person).is_some()).map(|it| it.id).collect()
}

/// Where a person is mentioned last, by name or by role.
pub fn last_mention(text: &str, person: &Person) -> Option<usize> {
    // "The baker" begins a sentence, and "the bakery" is somewhere else.
    let is_word = |&(at, found): &(usize, &str)| {
        let after = text[at + found.len()..].chars().next();
        !after.is_some_and(|it| it.is_ascii_alphabetic())
    };
    let role = person.role.trim_start_matches("the ");
    [person.name, person.full_name, &format!("the {role}"), &format!("The {role}")]
        .into_iter()
        .filter_map(|it| text.match_indices(it).filter(is_word).map(|(at, _)| at).last())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speech_is_not_cut() {
        let text = "It rained. \"Right. Look.\" Mara shrugged. \"Is it?\" she asked. So it was.";
        let found: Vec<&str> = sentences(text).iter().map(|&(a, b)| &text[a..b]).collect();
        assert_eq!(
            found,
            [
                "It rained.",
                "\"Right. Look.\"",
                "Mara shrugged.",
                "\"Is it?\" she asked.",
                "So it was."
            ]
        );
        assert_eq!(before(text, 10), Some("It rained."));
        assert_eq!(people("The doctor and Mara Finch met Mr Quill."), ["mara", "hale", "quill"]);
        assert!(people("They met at the bakery.").is_empty());
    }
}
