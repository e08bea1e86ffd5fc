//! Tokenizers that are not byte-level, lack characters, or are broken.

use serde_json::{Map, Value, json};

use super::harness::{Place, fail, succeed};

/// Bytes with a word or two, with Llama 2's decoder.
fn byte_fallback() -> String {
    let mut vocab = Map::new();
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    for token in ["<unk>".to_owned(), "</s>".to_owned()].into_iter().chain(bytes) {
        let id = vocab.len();
        vocab.insert(token, json!(id));
    }
    let characters = ('a'..='z').chain(['▁']).map(String::from);
    for token in characters.chain(["▁t", "▁th", "▁the"].map(str::to_owned)) {
        let id = vocab.len();
        vocab.insert(token, json!(id));
    }
    json!({ "version": "1.0", "added_tokens": [{ "id": 1, "content": "</s>", "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true }],
        "normalizer": { "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }] },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] },
        "model": { "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": vocab, "merges": [["▁", "t"], ["▁t", "h"], ["▁th", "e"]] } })
    .to_string()
}

/// A tokenizer with a single word.
fn word_piece() -> Value {
    json!({ "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "Whitespace" },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": { "[UNK]": 0, "sea": 1, "[DONE]": 2 } } })
}

const SETTINGS: [&str; 2] = ["--set=data.tokenizer=t.json", "--set=model.vocab_size=300"];

#[test]
fn text_goes_on_behind_bytes_that_make_no_character() {
    let place = Place::new();
    place.write("t.json", byte_fallback());
    succeed(place.train("run", &[&SETTINGS[..], &["--steps=2"]].concat()));
    for seed in ["0", "1", "2"] {
        let (text, _) = succeed(place.nitp(&[
            "generate",
            "run",
            "--prompt=The tide",
            "--max-tokens=120",
            "--temperature=2",
            "--seed",
            seed,
        ]));
        assert!(text.starts_with("The tide"), "{text}");
        let (_, behind) = text.split_once('\u{FFFD}').expect("bytes are most of the tokens");
        let letters = behind.chars().filter(char::is_ascii_lowercase).count();
        assert!(letters > 0, "{text}");
    }
}

#[test]
fn unknown_tokens_are_told_and_give_no_bits_per_byte() {
    let place = Place::new();
    place.write("t.json", word_piece().to_string());
    let arguments = [&SETTINGS[..], &["--steps=4"]].concat();
    let (out, err) = succeed(place.train("run", &arguments));
    assert!((out.clone() + &err).contains("are the unknown token"), "{out}\n{err}");
    assert!(!out.contains("bits per byte"), "{out}");
    let evaluations = place.metrics("run");
    let last = evaluations.iter().rfind(|it| it["event"] == "evaluation").expect("an evaluation");
    assert!(last["bits_per_byte"].is_null() && last["val_loss"].is_number(), "{last}");
    assert!(last["unknown_share"].as_f64().is_some_and(|share| share > 0.9), "{last}");
    let (out, err) = succeed(place.nitp(&["eval", "run", "--json"]));
    let found: Value = serde_json::from_str(&out).expect("JSON");
    assert!(found["bits_per_byte"].is_null(), "{out}");
    assert!(err.contains("are the unknown token"), "{err}");
    let (_, err) = succeed(place.nitp(&["generate", "run", "--prompt=sea fish", "--max-tokens=2"]));
    assert!(err.contains("1 of the prompt's 2 tokens"), "{err}");
}

#[test]
fn the_token_that_ends_documents_is_asked_for_and_can_be_set() {
    let place = Place::new();
    place.write("t.json", word_piece().to_string());
    place.write(
        "two.jsonl",
        format!("{{\"text\": \"{0}\"}}\n{{\"text\": \"{0}\"}}\n", "sea ".repeat(400)),
    );
    let run = |out: &str, set: &str| {
        let more = ["--data", "two.jsonl", "--steps=1", set];
        place.train(out, &[&SETTINGS[..], &more].concat())
    };
    let (out, err) = succeed(run("auto", "--set=data.end_of_text=auto"));
    assert!((out.clone() + &err).contains("data.end_of_text"), "{out}\n{err}");
    let (out, err) = succeed(run("set", "--set=data.end_of_text=[DONE]"));
    assert!(!(out.clone() + &err).contains("data.end_of_text"), "{out}\n{err}");
    let err = fail(run("none", "--set=data.end_of_text=</s>"), 1);
    assert!(err.contains("data.end_of_text = \"</s>\""), "{err}");
    // The end-of-text token is a part of a run's data.
    let resumed = ["train", "--resume", "set", "--steps=2", "--set=data.end_of_text=auto"];
    let err = fail(place.nitp(&resumed), 1);
    assert!(err.contains("data.end_of_text"), "{err}");
}

#[test]
fn a_prompt_that_can_not_be_expressed_and_a_broken_file_are_told() {
    let place = Place::new();
    let mut json: Value = byte_fallback().parse().expect("JSON");
    json["model"]["byte_fallback"] = json!(false);
    json["model"]["unk_token"] = Value::Null;
    place.write("t.json", json.to_string());
    let (out, err) = succeed(place.train("run", &[&SETTINGS[..], &["--steps=1"]].concat()));
    assert!((out.clone() + &err).contains("have no token and were left out"), "{out}\n{err}");
    // Also if the tokens come from the cache.
    let (out, err) = succeed(place.train("again", &[&SETTINGS[..], &["--steps=1"]].concat()));
    assert!((out.clone() + &err).contains("have no token and were left out"), "{out}\n{err}");
    let err = fail(place.nitp(&["generate", "run", "--prompt=the Øre"]), 1);
    assert!(err.contains("'Ø'"), "{err}");

    json["normalizer"]["normalizers"][1]["pattern"] = json!({ "String": "" });
    place.write("t.json", json.to_string());
    let err = fail(place.train("broken", &SETTINGS), 1);
    assert!(err.contains("t.json") && err.contains("normalizer.normalizers[1]"), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn tokens_are_counted_and_their_ids_written() {
    let place = Place::new();
    place.write("t.json", word_piece().to_string());
    place.write("texts.jsonl", "{\"text\": \"sea sea\"}\n{\"text\": \"the sea\"}\n");
    let words = ["tokenizer", "encode", "t.json", "--data", "texts.jsonl", "--out", "ids.npy"];
    let (out, err) = succeed(place.nitp(&words));
    assert!(err.contains("1 of the tokens are the unknown token"), "{err}");
    assert_eq!(out, "2 documents; their 14 bytes become 4 (3.50 bytes a token).\n");
    let bytes = place.read("ids.npy");
    let array = npyz::NpyFile::new(&bytes[..]).expect("an array");
    assert_eq!(array.shape(), [4]);
    assert_eq!(array.into_vec::<u32>().expect("ids"), [1, 1, 0, 1]);
    assert!(fail(place.nitp(&words), 1).contains("ids.npy exists already"));
    let bytes = ["tokenizer", "encode", "byte", "--data", "texts.jsonl"];
    let (out, _) = succeed(place.nitp(&bytes));
    assert!(out.contains("14 bytes become 14 (1.00 bytes a token)"), "{out}");
    let missing = ["tokenizer", "encode", "none.json", "--data", "texts.jsonl"];
    assert!(fail(place.nitp(&missing), 1).contains("none.json"));
}
