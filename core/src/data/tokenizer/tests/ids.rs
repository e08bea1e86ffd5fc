//! The ids equal those of the library for the whole text.

use super::super::hugging_face::HuggingFace;
use super::samples::{kinds, mixed_text};
use crate::data::Tokenizer;

fn library(json: &str) -> tokenizers::Tokenizer {
    json.parse().unwrap()
}

#[test]
fn ids_of_a_long_text_are_those_of_the_library() {
    let text = mixed_text(7, 300_000);
    for (name, json, cut) in kinds() {
        let tokenizer =
            Tokenizer::new(&json, 100_000).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ids = tokenizer.encode(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Tokenizer::HuggingFace(it) = &tokenizer else {
            assert_eq!(ids, text.bytes().map(u32::from).collect::<Vec<_>>());
            continue;
        };
        let pieces = it.cuts().pieces(&text).len();
        assert_eq!(pieces > 3, cut, "{name}: {pieces} pieces");
        let whole = library(&json).encode(text.as_str(), false).unwrap();
        assert!(ids == whole.get_ids(), "{name}");
    }
}

#[test]
fn no_cut_changes_an_id() {
    let text = mixed_text(11, 20_000);
    for (name, json, cut) in kinds().into_iter().filter(|(name, ..)| *name != "byte") {
        let it = HuggingFace::new(&json).unwrap();
        let library = library(&json);
        let whole = library.encode(text.as_str(), false).unwrap();
        for size in [1, 30, 500] {
            let pieces = it.cuts().pieces_of(&text, size);
            assert!(!cut || pieces.len() > 10, "{name}: {} pieces", pieces.len());
            let ids: Vec<u32> = pieces
                .iter()
                .flat_map(|piece| library.encode_fast(*piece, false).unwrap().get_ids().to_vec())
                .collect();
            assert!(ids == whole.get_ids(), "{name}, pieces of {size}");
        }
    }
}

#[test]
fn a_text_without_safe_places_stays_whole() {
    let it = HuggingFace::new(&super::samples::llama_2()).unwrap();
    assert_eq!(it.cuts().pieces_of("a1 b2\nc3,d", 1), ["a1 b2\nc3,d"]);
    // "e▁" is a token.
    assert_eq!(it.cuts().pieces_of("tide tide boat tide", 1), ["tide tide boat", "tide"]);
    // An added token that a cut could touch.
    let mut json: serde_json::Value = super::samples::llama_2().parse().unwrap();
    json["added_tokens"][0]["content"] = "tide".into();
    let it = HuggingFace::new(&json.to_string()).unwrap();
    assert_eq!(it.cuts().pieces_of("boat tide boat tide", 1).len(), 1);
}
