//! Files that make the library panic, hang or take all memory.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::samples::{kinds, llama_2, mixed_text};
use crate::data::{TextStream, Tokenizer};

fn with(part: &str, value: Value) -> String {
    let mut json: Value = llama_2().parse().unwrap();
    *json.pointer_mut(part).unwrap() = value;
    json.to_string()
}

fn refused(json: &str) -> String {
    Tokenizer::from_json(json).unwrap_err().to_string()
}

#[test]
fn each_is_refused_with_its_place_and_reason() {
    let replace = |pattern: Value, content: &str| json!({ "type": "Replace", "pattern": pattern, "content": content });
    let cases = [
        ("/normalizer", replace(json!({ "String": "" }), "x"), "matches the empty text"),
        ("/normalizer", replace(json!({ "Regex": "a*" }), "x"), "matches the empty text"),
        ("/normalizer", replace(json!({ "Regex": "(?=a)" }), "x"), "matches the empty text"),
        ("/decoder", replace(json!({ "String": "" }), "x"), "matches the empty text"),
        ("/normalizer", replace(json!({ "String": "a" }), &"x".repeat(5000)), "5000 bytes"),
        (
            "/normalizer",
            json!({ "type": "Precompiled", "precompiled_charsmap": "ABCDABCD" }),
            "precompiled_charsmap is broken",
        ),
        ("/normalizer", json!({ "type": "Precompiled" }), "no precompiled_charsmap"),
        ("/model/merges/0", json!(["▁море", "море"]), "not in the vocabulary"),
        ("/pre_tokenizer", json!({ "type": "FixedLength", "length": 0 }), "length is 0"),
        (
            "/decoder",
            json!({ "type": "Strip", "content": " ", "start": 0, "stop": 2 }),
            "stop must be 0",
        ),
        ("/model/continuing_subword_prefix", json!("##"), "doesn't begin with"),
    ];
    for (part, value, reason) in cases {
        let message = refused(&with(part, value));
        assert!(message.contains(reason), "{part}: {message}");
    }
    let message = refused(&with("/normalizer/normalizers/1/pattern", json!({ "String": "" })));
    assert!(message.contains("normalizer.normalizers[1]"), "{message}");
}

#[test]
fn a_chain_that_grows_is_stopped_before_it_does() {
    let chain = |c: &str| {
        let step =
            json!({ "type": "Replace", "pattern": { "String": c }, "content": c.repeat(200) });
        json!({ "type": "Sequence", "normalizers": vec![step; 8] })
    };
    let message = refused(&with("/normalizer", chain("a")));
    assert!(message.contains("normalizer makes a text"), "{message}");
    // The character is not in the text of the first test, so the error comes with the text.
    let tokenizer = Tokenizer::from_json(&with("/normalizer", chain("Q"))).unwrap();
    let error = tokenizer.encode("the Q tide").unwrap_err().to_string();
    assert!(error.contains("a text of 10 bytes"), "{error}");
    // The library normalises added tokens while reading them.
    let mut json: Value = with("/normalizer", chain("Q")).parse().unwrap();
    json["added_tokens"][0]["content"] = json!("<Q>");
    json["added_tokens"][0]["normalized"] = json!(true);
    assert!(refused(&json.to_string()).contains("normalizer makes a text"));
    // Many steps that insert little are harmless.
    let little: Vec<Value> = ('A'..='M')
        .map(|c| json!({ "type": "Replace", "pattern": { "String": c }, "content": format!("<{c}>") }))
        .collect();
    let json = with("/normalizer", json!({ "type": "Sequence", "normalizers": little }));
    let tokenizer = Tokenizer::from_json(&json).unwrap();
    assert!(tokenizer.encode(&"ABC the tide".repeat(300)).is_ok());
}

#[test]
fn a_token_that_is_too_long_for_a_trie_is_refused() {
    let json = json!({ "version": "1.0", "added_tokens": [], "model": { "type": "Unigram",
        "vocab": [["a", 0.0], ["b".repeat(1_000_000), 0.0]], "unk_id": 0 } });
    assert!(refused(&json.to_string()).contains("1000000 bytes"));
}

/// Replaces a value of a file, or removes or duplicates an entry.
fn mutate(value: &mut Value, path: &[u8], edit: u8) {
    let step = path.first().copied().unwrap_or(0) as usize;
    match value {
        Value::Object(entries) if !entries.is_empty() && !path.is_empty() => {
            let key = entries.keys().nth(step % entries.len()).cloned().unwrap_or_default();
            if path.len() == 1 && edit.is_multiple_of(3) {
                entries.remove(&key);
            } else if let Some(inner) = entries.get_mut(&key) {
                mutate(inner, &path[1..], edit);
            }
        }
        Value::Array(entries) if !entries.is_empty() && !path.is_empty() => {
            let at = step % entries.len();
            match (path.len(), edit % 4) {
                (1, 0) => drop(entries.remove(at)),
                (1, 1) => entries.push(entries[at].clone()),
                _ => mutate(&mut entries[at], &path[1..], edit),
            }
        }
        value => *value = replacement(value, edit),
    }
}

fn replacement(value: &Value, edit: u8) -> Value {
    let names = [
        "",
        "a",
        " ",
        "▁",
        "é",
        "<0x0A>",
        "<unk>",
        "Prepend",
        "Replace",
        "Strip",
        "NFKC",
        "Nmt",
        "ByteFallback",
        "Fuse",
        "ByteLevel",
        "Metaspace",
        "FixedLength",
        "Digits",
        "CTC",
        "BPEDecoder",
        "Precompiled",
        "Unigram",
        "WordPiece",
        "WordLevel",
        "BPE",
        "first",
        "never",
        "Removed",
        "MergedWithNext",
        "Contiguous",
        "a*",
        "(?=x)",
        "\\s*",
        "[",
        "AAAA",
        "UnicodeScripts",
    ];
    match value {
        Value::String(_) => json!(names[edit as usize % names.len()]),
        Value::Number(_) => {
            let numbers = [
                json!(0),
                json!(1),
                json!(-1),
                json!(0.5),
                json!(1e300),
                json!(u32::MAX),
                json!(u64::MAX),
            ];
            numbers[edit as usize % numbers.len()].clone()
        }
        Value::Bool(it) => json!(!it),
        _ => [
            json!(null),
            json!([]),
            json!({}),
            json!("x"),
            json!({ "String": "" }),
            json!({ "type": "Replace", "pattern": { "String": "" }, "content": "xx" }),
            json!({ "type": "Precompiled", "precompiled_charsmap": "AAQAAAAA" }),
            json!({ "type": "Strip", "strip_left": true, "strip_right": false }),
            json!({ "type": "FixedLength", "length": 3 }),
            json!({ "type": "Prepend", "prepend": "▁" }),
        ][edit as usize % 10]
            .clone(),
    }
}

/// Cases of the fuzzing; more are tried with `PROPTEST_CASES`.
const CASES: u32 = 300;

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok()
        .and_then(|it| it.parse().ok()).unwrap_or(CASES), failure_persistence: None, ..ProptestConfig::default() })]

    /// Any file gives an error message, or a tokenizer that works or gives error messages.
    #[test]
    fn a_changed_file_never_panics(
        kind in 0..100usize,
        edits in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..6), any::<u8>()), 1..4),
        ids in proptest::collection::vec(0..900u32, 0..20),
    ) {
        use std::sync::LazyLock;
        static FILES: LazyLock<Vec<Value>> = LazyLock::new(|| {
            kinds().iter().filter_map(|(_, json, _)| json.parse().ok()).collect()
        });
        static TEXT: LazyLock<String> = LazyLock::new(|| mixed_text(13, 2_000));
        let mut file = FILES[kind % FILES.len()].clone();
        for (path, edit) in &edits {
            mutate(&mut file, path, *edit);
        }
        if let Ok(tokenizer) = Tokenizer::new(&file.to_string(), 1 << 20) {
            let tokens = match tokenizer.encode(&TEXT) {
                Ok(tokens) => tokens,
                Err(error) => {
                    prop_assert!(error.to_string().len() < 2000);
                    Vec::new()
                }
            };
            for tokens in [tokens, ids] {
                let mut stream = TextStream::new(&tokenizer);
                let mut text: String = tokens.iter().map(|&token| stream.push(token)).collect();
                text += &stream.finish();
                prop_assert_eq!(text, tokenizer.decode(&tokens));
            }
            prop_assert_eq!(tokenizer.token_bytes().len(), tokenizer.vocab_size());
        }
    }
}
