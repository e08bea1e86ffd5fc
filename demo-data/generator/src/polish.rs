//! From a worded draft to clean English: articles, capitals and spaces, and the senses of ambiguous words by byte offset.

use serde::{Deserialize, Serialize};

/// Marks the start of a sentence where punctuation alone can't tell, as after a closing quotation mark.
pub const SENTENCE: char = '\u{1}';

/// An occurrence of a word with two meanings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sense {
    /// The word in lower case.
    pub word: String,
    /// Which meaning is meant.
    pub sense: String,
    /// Byte offset of the word's first letter in the scene's text.
    pub start: usize,
}

/// The finished text of a draft and the senses marked in it.
pub fn polish(draft: &str) -> (String, Vec<Sense>) {
    take_senses(&fix_articles(&capitalise(&squeeze(draft))))
}

/// One space between words, none before a stop or at the ends.
fn squeeze(draft: &str) -> String {
    let mut text = draft.split_whitespace().collect::<Vec<_>>().join(" ");
    for stop in [",", ".", ";", "?", "!"] {
        text = text.replace(&format!(" {stop}"), stop);
    }
    text
}

/// A capital at the start, after a full stop and after a [`SENTENCE`] mark, which goes.
fn capitalise(text: &str) -> String {
    let mut capitalised = String::with_capacity(text.len());
    let mut pending = true;
    let mut previous = ' ';
    let mut stopped = false;
    for c in text.chars() {
        match c {
            SENTENCE => pending = true,
            _ => {
                if c == ' ' && stopped {
                    pending = true;
                }
                // A full stop ends its sentence within quotation marks too; "?" and "!" there may run on to "she asked".
                stopped = matches!(c, '.' | '?' | '!') || (c == '"' && previous == '.');
                if pending && c.is_alphabetic() {
                    capitalised.push(c.to_ascii_uppercase());
                    pending = false;
                } else {
                    capitalised.push(c);
                }
                previous = c;
            }
        }
    }
    capitalised
}

/// `a` becomes `an` before a vowel sound.
fn fix_articles(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let fixed: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(at, word)| match (*word, words.get(at + 1)) {
            ("a" | "A" | "\"A", Some(next)) if starts_with_vowel_sound(next) => format!("{word}n"),
            _ => (*word).to_owned(),
        })
        .collect();
    fixed.join(" ")
}

fn starts_with_vowel_sound(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    if ["one", "use", "once"].iter().any(|w| word.starts_with(w)) {
        return false;
    }
    ["hour", "honest"].iter().any(|w| word.starts_with(w))
        || word.starts_with(['a', 'e', 'i', 'o', 'u'])
}

/// Strips the `^sense` marks and says where they stood.
pub fn take_senses(marked: &str) -> (String, Vec<Sense>) {
    let mut text = String::with_capacity(marked.len());
    let mut senses = Vec::new();
    let mut rest = marked;
    while let Some((before, after)) = rest.split_once('^') {
        text.push_str(before);
        let start = text.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        let end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        senses.push(Sense {
            word: text[start..].to_ascii_lowercase(),
            sense: after[..end].to_owned(),
            start,
        });
        rest = &after[end..];
    }
    text.push_str(rest);
    (text, senses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_becomes_clean_text_with_senses() {
        let draft = format!(
            "the  bank^river was wet . a otter swam by. \"Is it a useful seal^animal?\" she asked. {SENTENCE}he sat."
        );
        let (text, senses) = polish(&draft);
        assert_eq!(
            text,
            "The bank was wet. An otter swam by. \"Is it a useful seal?\" she asked. He sat."
        );
        let found: Vec<_> = senses
            .iter()
            .map(|s| (&text[s.start..s.start + s.word.len()], s.sense.as_str()))
            .collect();
        assert_eq!(found, [("bank", "river"), ("seal", "animal")]);
    }
}
