//! Text decoded token by token equals the text of all tokens.

use proptest::prelude::*;
use std::sync::LazyLock;

use super::samples::{kinds, llama_2, mixed_text};
use crate::data::{TextStream, Tokenizer};

static KINDS: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(|| {
    kinds()
        .into_iter()
        .map(|(name, json, _)| (name, Tokenizer::new(&json, 100_000).unwrap()))
        .collect()
});

fn streamed(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let mut stream = TextStream::new(tokenizer);
    let mut text: String = tokens.iter().map(|&token| stream.push(token)).collect();
    text += &stream.finish();
    text
}

fn ids(tokenizer: &Tokenizer, tokens: &[&str]) -> Vec<u32> {
    let Tokenizer::HuggingFace(it) = tokenizer else { panic!("a file") };
    tokens.iter().map(|token| it.id(token).unwrap_or_else(|| panic!("{token}"))).collect()
}

#[test]
fn an_invalid_run_of_bytes_loses_no_text() {
    let tokenizer = Tokenizer::from_json(&llama_2()).unwrap();
    let tokens = ids(&tokenizer, &["▁the", "▁tide", "<0x0A>", "<0xFF>", "▁", "a", "▁the"]);
    let mut stream = TextStream::new(&tokenizer);
    let parts: Vec<String> = tokens.iter().map(|&token| stream.push(token)).collect();
    assert_eq!(parts, ["the", " tide", "", "", "\u{FFFD}\u{FFFD} ", "a", " the"]);
    assert_eq!(stream.finish(), "");
    assert_eq!(parts.concat(), tokenizer.decode(&tokens));
}

#[test]
fn texts_come_back_token_by_token() {
    let text = mixed_text(5, 3_000);
    for (name, tokenizer) in KINDS.iter() {
        let tokens = tokenizer.encode(&text).unwrap();
        assert_eq!(streamed(tokenizer, &tokens), tokenizer.decode(&tokens), "{name}");
    }
}

#[test]
fn what_follows_a_prompt_is_given_behind_it_and_nothing_is_lost() {
    let tokenizer = Tokenizer::from_json(&llama_2()).unwrap();
    let after = |prompt: &[&str], more: &[&str]| {
        let mut stream = TextStream::after(&tokenizer, &ids(&tokenizer, prompt));
        let mut text = String::new();
        for token in ids(&tokenizer, more) {
            text += &stream.push(token);
        }
        text + &stream.finish()
    };
    assert_eq!(after(&["▁the"], &["▁tide"]), " tide");
    // The prompt ends in bytes of a character, which may not be complete; the reader already has its text.
    assert_eq!(after(&["▁the", "<0xC3>", "<0xA9>"], &["▁tide"]), " tide");
    assert_eq!(after(&["▁the", "<0xC3>", "<0xA9>"], &["<0xC3>", "<0xA8>", "▁tide"]), "è tide");
    // The following bytes make it invalid.
    assert_eq!(after(&["▁the", "<0x0A>"], &["<0xFF>", "▁tide"]), "\u{FFFD}\u{FFFD} tide");
    assert_eq!(after(&["▁the", "<0x0A>"], &[]), "");
    let bert = &KINDS.iter().find(|(name, _)| *name == "BERT").unwrap().1;
    let mut stream = TextStream::after(bert, &bert.encode("The TIDE").unwrap());
    let more = bert.encode("the boat").unwrap();
    let text: String = more.iter().map(|&token| stream.push(token)).collect();
    assert_eq!(text + &stream.finish(), " the boat");
}

/// Ids of any kind: most often tokens, often bytes, some beyond the vocabulary.
fn any_ids() -> impl Strategy<Value = Vec<u32>> {
    let id = prop_oneof![4 => 0..1000u32, 4 => 0..300u32, 2 => 0..12u32, 1 => any::<u32>()];
    proptest::collection::vec(id, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn streamed_text_is_the_text_of_all_tokens(tokens in any_ids()) {
        for (name, tokenizer) in KINDS.iter() {
            prop_assert_eq!(streamed(tokenizer, &tokens), tokenizer.decode(&tokens), "{}", name);
        }
    }

    #[test]
    fn a_prompt_and_what_follows_make_all_of_the_text(tokens in any_ids(), at in 0..40usize) {
        for (name, tokenizer) in KINDS.iter() {
            let (prompt, more) = tokens.split_at(at.min(tokens.len()));
            let (shown, all) = (tokenizer.decode(prompt), tokenizer.decode(&tokens));
            let mut stream = TextStream::after(tokenizer, prompt);
            let mut text: String = more.iter().map(|&token| stream.push(token)).collect();
            text += &stream.finish();
            match all.strip_prefix(shown.as_str()) {
                Some(rest) => prop_assert_eq!(&text, rest, "{}", name),
                // The text of the prompt changed: the new text ends like the whole text.
                None => prop_assert!(all.ends_with(&text) && !text.is_empty(), "{}: {:?}", name, text),
            }
        }
    }
}
