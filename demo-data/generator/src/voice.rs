//! Speech: how a line of dialogue takes on its speaker's manner.

use std::collections::BTreeSet;

use super::people::Person;
use super::polish::SENTENCE;
use super::scene::Cast;
use super::template::{chance, pick};
use rand_chacha::ChaCha8Rng;

/// Turns every `<H: ...>`, `<H!: ...>` and `<O: ...>` of a worded draft into speech with quotation marks; `!` asks for the verbs
/// of the mood. Mentions `{H}` and `{O}` are left in it.
pub fn speak(draft: &str, cast: &Cast, rng: &mut ChaCha8Rng) -> String {
    let mut dialogue = Dialogue { cast, used: BTreeSet::new(), rng };
    let mut spoken = String::new();
    let mut rest = draft;
    while let Some((before, tagged)) = rest.split_once('<') {
        let (speech, after) = tagged.split_once('>').expect("a speech is closed");
        let (tag, content) = speech.split_once(": ").expect("a speech has a speaker");
        let answers = before.trim().is_empty() && !spoken.is_empty();
        spoken.push_str(before);
        spoken.push_str(&dialogue.line(tag, content, answers));
        rest = after;
    }
    spoken + rest
}

/// The lines of one scene.
struct Dialogue<'a> {
    cast: &'a Cast<'a>,
    /// Openers, closers and gestures that the scene has had: none comes twice.
    used: BTreeSet<&'static str>,
    rng: &'a mut ChaCha8Rng,
}

impl Dialogue<'_> {
    /// One line with its speaker; `answers` says that it follows directly on another line.
    fn line(&mut self, tag: &str, content: &str, answers: bool) -> String {
        let (person, mention) = match tag {
            "O" => (self.cast.other, "{O}"),
            _ => (self.cast.hero, "{H}"),
        };
        let content = in_style(content, person);
        if content.ends_with(',') {
            return format!("\"{content}\"");
        }
        let in_mood = tag == "H!";
        let heavy = matches!(self.cast.mood.id, "sorrow" | "fear" | "anger");
        let speech = match in_mood && heavy {
            // Nobody keeps to a figure of speech at such a moment.
            true => content,
            false => self.with_manner(&content, person, heavy),
        };
        if answers && chance(self.rng, 45) {
            return format!("\"{speech}\"{SENTENCE}");
        }
        if !in_mood
            && chance(self.rng, 30)
            && let Some(gesture) = self.unused(person.gestures, |_| true)
        {
            return format!("{mention} {gesture}. \"{speech}\"{SENTENCE}");
        }
        let verb = match in_mood && chance(self.rng, 60) {
            true => pick(self.rng, self.cast.mood.verbs)
                .replace("{his}", if person.female { "her" } else { "his" }),
            false => "said".to_owned(),
        };
        if chance(self.rng, 30) {
            return format!("{mention} {verb}, \"{speech}\"{SENTENCE}").replace(",,", ",");
        }
        let (first, others) = split_sentence(&speech);
        let verb = match verb.as_str() {
            "said" if first.ends_with('?') => "asked",
            verb => verb.trim_end_matches(','),
        };
        let attribution = match matches!(verb, "said" | "asked") && chance(self.rng, 50) {
            true => format!("{verb} {mention}"),
            false => format!("{mention} {verb}"),
        };
        let first = match first.strip_suffix('.') {
            Some(statement) => format!("{statement},"),
            None => first.to_owned(),
        };
        match others {
            "" => format!("\"{first}\" {attribution}."),
            others => format!("\"{first}\" {attribution}. \"{others}\"{SENTENCE}"),
        }
    }

    /// Adds what this person likes to begin or end with. Heavy moods leave less room for it.
    fn with_manner(&mut self, content: &str, person: &Person, heavy: bool) -> String {
        const DECLARATIVE: &[&str] = &[
            "it",
            "it's",
            "the",
            "that",
            "that's",
            "there",
            "there's",
            "i",
            "i'm",
            "i'll",
            "i've",
            "he",
            "she",
            "they",
            "we",
            "you",
            "my",
            "nobody",
            "nothing",
            "somebody",
            "something",
        ];
        let (first, _) = split_sentence(content);
        let first_word = content.split([' ', ',']).next().unwrap_or_default();
        let states =
            first.ends_with('.') && DECLARATIVE.contains(&first_word.to_lowercase().as_str());
        let fits_mood = |phrase: &str| !(heavy && phrase.contains(['!', '?']));
        let is_sentence = |phrase: &str| phrase.ends_with(['.', '!', '?']);
        let mut speech = content.to_owned();
        if !first.ends_with('!')
            && chance(self.rng, if heavy { 25 } else { 40 })
            && let Some(opener) = self.unused(person.openers, |phrase| {
                fits_mood(phrase) && (states || is_sentence(phrase))
            })
        {
            let opener = in_style(opener, person);
            speech = match is_sentence(&opener) {
                true => format!("{opener} {speech}"),
                false => format!("{opener} {}", uncapitalise(&speech)),
            };
        }
        if !content.ends_with('?')
            && chance(self.rng, if heavy { 12 } else { 25 })
            && let Some(closer) = self.unused(person.closers, |phrase| {
                fits_mood(phrase)
                    && match is_sentence(phrase) {
                        true => !heavy,
                        false => content.ends_with('.'),
                    }
            })
        {
            let closer = in_style(closer, person);
            speech = match closer.starts_with(',') {
                true => format!("{}{closer}.", speech.trim_end_matches('.')),
                false => format!("{speech} {closer}"),
            };
        }
        speech
    }

    fn unused(
        &mut self,
        phrases: &[&'static str],
        fits: impl Fn(&str) -> bool,
    ) -> Option<&'static str> {
        let fresh: Vec<&'static str> = phrases
            .iter()
            .copied()
            .filter(|phrase| !self.used.contains(phrase) && fits(phrase))
            .collect();
        let phrase = *(!fresh.is_empty()).then(|| pick(self.rng, &fresh))?;
        self.used.insert(phrase);
        Some(phrase)
    }
}

/// The words as this person would put them together.
pub fn in_style(words: &str, person: &Person) -> String {
    if person.contracts { contract(words) } else { words.to_owned() }
}

/// The first sentence of a speech and the others.
fn split_sentence(speech: &str) -> (&str, &str) {
    let ends = [". ", "? ", "! "].iter().filter_map(|end| speech.find(end));
    match ends.min() {
        Some(at) => (&speech[..=at], &speech[at + 2..]),
        None => (speech, ""),
    }
}

fn uncapitalise(speech: &str) -> String {
    let first_word = speech.split([' ', '\'', ',']).next().unwrap_or_default();
    match first_word {
        "I" => speech.to_owned(),
        _ => speech[..1].to_ascii_lowercase() + &speech[1..],
    }
}

/// "don't" for "do not", as everyone but the clerk says.
fn contract(speech: &str) -> String {
    const SHORT: &[(&str, &str)] = &[
        ("cannot", "can't"),
        ("will not", "won't"),
        ("do not", "don't"),
        ("does not", "doesn't"),
        ("did not", "didn't"),
        ("is not", "isn't"),
        ("was not", "wasn't"),
        ("has not", "hasn't"),
        ("have not", "haven't"),
        ("had not", "hadn't"),
        ("would not", "wouldn't"),
        ("could not", "couldn't"),
        ("should not", "shouldn't"),
        ("it is", "it's"),
        ("that is", "that's"),
        ("there is", "there's"),
        ("I am", "I'm"),
        ("I will", "I'll"),
        ("I shall", "I'll"),
        ("you are", "you're"),
        ("they are", "they're"),
        ("we are", "we're"),
        ("he is", "he's"),
        ("we will", "we'll"),
        ("I have found", "I've found"),
        ("I have seen", "I've seen"),
        ("I have had", "I've had"),
        ("I have forgotten", "I've forgotten"),
        ("I have counted", "I've counted"),
        ("I have come", "I've come"),
        ("you have all", "you've all"),
    ];
    let mut speech = format!(" {speech}");
    for (long, short) in SHORT {
        // Only before a further word: "there it is" stays.
        speech = speech.replace(&format!(" {long} "), &format!(" {short} "));
        let (long, short) = (capital(long), capital(short));
        speech = speech.replace(&format!(" {long} "), &format!(" {short} "));
    }
    speech[1..].to_owned()
}

fn capital(text: &str) -> String {
    text[..1].to_ascii_uppercase() + &text[1..]
}
