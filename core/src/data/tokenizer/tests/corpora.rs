//! Notes about a corpus, and the token that ends its documents.

use serde_json::{Value, json};

use super::samples::{kinds, llama_2, word_piece};
use crate::data::{TokenCorpus, Tokenizer, TokenizerError};

fn warnings(tokenizer: &Tokenizer, texts: &[&str]) -> Vec<String> {
    let corpus = TokenCorpus::from_texts(tokenizer, texts.iter().copied()).unwrap();
    tokenizer.check_corpus(&corpus)
}

fn edited(json: &str, edit: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = json.parse().unwrap();
    edit(&mut value);
    value.to_string()
}

#[test]
fn the_share_of_unknown_tokens_is_told() {
    let tokenizer = Tokenizer::from_json(&word_piece()).unwrap();
    assert_eq!(tokenizer.unknown(), Some(1));
    assert_eq!(tokenizer.token_bytes()[1], 0);
    assert!(warnings(&tokenizer, &["the tide", "the boat"]).is_empty());
    let found = warnings(&tokenizer, &["the ½ tide ½"]);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("2 of 5 tokens") && found[0].contains("40.00 %"), "{found:?}");
}

#[test]
fn characters_without_a_token_are_named_and_counted() {
    let bytes = Tokenizer::new("byte", 256).unwrap().to_json();
    let lacking = edited(&bytes, |it| {
        it["model"]["vocab"].as_object_mut().unwrap().remove("Ã").unwrap();
    });
    let tokenizer = Tokenizer::from_json(&lacking).unwrap();
    let error = tokenizer.encode_prompt("a\u{e9}b").unwrap_err();
    assert!(matches!(&error, TokenizerError::Inexpressible { characters } if characters == "'é'"));
    assert_eq!(tokenizer.encode_prompt("ab").unwrap().len(), 2);
    let found = warnings(&tokenizer, &["caf\u{e9} \u{e9}t\u{e9} \u{fc}"]);
    assert!(found[0].contains("4 characters") && found[0].contains("'é', 'ü'"), "{found:?}");
    assert!(warnings(&tokenizer, &["ab"]).is_empty());
    // A character of an added token is covered by this token, but only there.
    let added = edited(&lacking, |it| {
        it["added_tokens"] = json!([{ "id": 256, "content": "<caf\u{e9}>", "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true }]);
    });
    let added = Tokenizer::from_json(&added).unwrap();
    assert_eq!(added.encode_prompt("a<caf\u{e9}>b").unwrap().len(), 3);
    assert!(added.encode_prompt("caf\u{e9}<caf\u{e9}>").is_err());
    assert!(warnings(&added, &["\u{e9}<caf\u{e9}>\u{e9}"])[0].contains("2 characters"));

    let piece = edited(&llama_2(), |it| {
        it["model"]["unk_token"] = Value::Null;
        it["model"]["byte_fallback"] = json!(false);
    });
    let tokenizer = Tokenizer::from_json(&piece).unwrap();
    let error = tokenizer.encode_prompt("the 日 tide ½").unwrap_err().to_string();
    assert!(error.contains("'½'") && error.contains("'日'"), "{error}");
    assert!(warnings(&tokenizer, &["a 日 ½ ½"])[0].contains("3 characters"));
    // The text prepended to every text belongs to no character.
    let bare = edited(&piece, |it| {
        it["model"]["vocab"].as_object_mut().unwrap().retain(|token, _| !token.contains('▁'));
        let merges = it["model"]["merges"].as_array_mut().unwrap();
        merges.retain(|merge| !merge.to_string().contains('▁'));
    });
    let tokenizer = Tokenizer::from_json(&bare).unwrap();
    assert!(tokenizer.encode_prompt("the").is_ok());
    assert!(
        warnings(&tokenizer, &["the ½"])[0].starts_with("1 character of the text has no token")
    );
    // A text that would grow too much, here to tens of gigabytes, is rejected before it grows, even with dropped
    // characters.
    let grown = edited(&piece, |it| {
        let step =
            json!({ "type": "Replace", "pattern": { "String": "Q" }, "content": "y".repeat(4000) });
        it["normalizer"] = step;
    });
    let tokenizer = Tokenizer::from_json(&grown).unwrap();
    let error = tokenizer.encode_prompt(&("½".to_owned() + &"Q".repeat(4_000_000))).unwrap_err();
    assert!(error.to_string().contains("bytes"), "{error}");
}

#[test]
fn a_model_that_refuses_a_character_names_it() {
    let json = json!({ "version": "1.0", "added_tokens": [], "model": {
        "type": "Unigram", "vocab": [["a", 0.0]], "unk_id": null } });
    let tokenizer = Tokenizer::from_json(&json.to_string()).unwrap();
    assert_eq!(tokenizer.encode("aa").unwrap(), [0, 0]);
    let error = tokenizer.encode("aab").unwrap_err().to_string();
    assert!(error.contains("'b'"), "{error}");
}

#[test]
fn the_end_of_a_text_is_found_by_its_name_or_set() {
    let named = |names: &[&str]| {
        let added: Vec<Value> = names
            .iter()
            .enumerate()
            .map(|(id, name)| {
                json!({ "id": 300 + id, "content": name, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true })
            })
            .collect();
        let bytes = Tokenizer::new("byte", 256).unwrap().to_json();
        Tokenizer::from_json(&edited(&bytes, |it| it["added_tokens"] = json!(added))).unwrap()
    };
    for (names, end) in [
        (&["<|im_start|>", "<|im_end|>"][..], Some(257)),
        (&["<|im_end|>", "<|endoftext|>"], Some(257)),
        (&["<|eot_id|>", "<|end_of_text|>"], Some(257)),
        (&["</s>", "<pad>"], Some(256)),
        (&["<done>"], None),
    ] {
        assert_eq!(named(names).end_of_text(), end, "{names:?}");
    }
    let tokenizer = named(&["<done>", "<pad>"]);
    assert!(warnings(&tokenizer, &["a", "b"])[0].contains("data.end_of_text"));
    let tokenizer = tokenizer.with_end_of_text("auto").unwrap();
    let error = tokenizer.clone().with_end_of_text("<end>").unwrap_err().to_string();
    assert!(error.contains("data.end_of_text") && error.contains("\"<done>\""), "{error}");
    let set = tokenizer.clone().with_end_of_text("<done>").unwrap();
    assert_eq!((tokenizer.end_of_text(), set.end_of_text()), (None, Some(256)));
    assert!(warnings(&set, &["a", "b"]).is_empty());
    assert_ne!(tokenizer.identity(), set.identity());

    let none = named(&["</s>"]).with_end_of_text("none").unwrap();
    assert_eq!(none.end_of_text(), None);
    assert!(warnings(&none, &["a", "b"]).is_empty());
    assert_ne!(none.identity(), named(&["</s>"]).identity());

    let bytes = Tokenizer::new("byte", 300).unwrap();
    assert_eq!(bytes.clone().with_end_of_text("none").unwrap().end_of_text(), None);
    assert!(bytes.clone().with_end_of_text("<|endoftext|>").is_ok());
    assert!(bytes.with_end_of_text("</s>").is_err());
}

#[test]
fn a_dropout_is_left_out_and_told() {
    let json = edited(&llama_2(), |it| it["model"]["dropout"] = json!(0.5));
    let tokenizer = Tokenizer::from_json(&json).unwrap();
    let text = "the tide the boat under";
    let plain = Tokenizer::from_json(&llama_2()).unwrap();
    for _ in 0..5 {
        assert_eq!(tokenizer.encode(text).unwrap(), plain.encode(text).unwrap());
    }
    assert!(warnings(&tokenizer, &[text])[0].contains("dropout of 0.5"));
    let again: Value = tokenizer.to_json().parse().unwrap();
    assert!(again["model"]["dropout"].is_null());
}

#[test]
fn a_run_knows_its_text_again_by_the_copy_of_its_tokenizer() {
    for (kind, json, _) in kinds().into_iter().filter(|(kind, ..)| *kind != "byte") {
        for dropout in [Value::Null, json!(0.5)] {
            let json = edited(&json, |it| {
                if it["model"]["type"] == "BPE" {
                    it["model"]["dropout"] = dropout.clone();
                }
            });
            let tokenizer = Tokenizer::from_json(&json).unwrap();
            let copy = Tokenizer::from_json(&tokenizer.to_json()).unwrap();
            assert_eq!(tokenizer.identity(), copy.identity(), "{kind}, dropout {dropout}");
        }
    }
}

#[test]
fn ids_that_are_no_tokens_are_known() {
    let json = edited(&llama_2(), |it| {
        it["model"]["vocab"]["far"] = json!(2000);
    });
    let tokenizer = Tokenizer::from_json(&json).unwrap();
    let mask = tokenizer.token_mask();
    assert_eq!(mask.len(), 2001);
    assert!(mask[0] && mask[2000] && !mask[1999]);
    assert_eq!(Tokenizer::new("byte", 300).unwrap().token_mask(), [true; 257]);
}

#[test]
fn tokenizers_whose_ids_did_not_change_keep_their_identity() {
    let bytes = Tokenizer::new("byte", 257).unwrap();
    assert_eq!(bytes.identity(), bytes.to_json());
    let file = Tokenizer::from_json(&format!("\u{feff}{}", bytes.to_json())).unwrap();
    assert_eq!(file.identity(), bytes.to_json());
    let llama = Tokenizer::from_json(&llama_2()).unwrap();
    assert_ne!(llama.identity(), llama.to_json());
}
