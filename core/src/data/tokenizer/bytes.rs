//! The byte tokenizer as a `tokenizer.json`.

/// Number of byte tokens; also the id of the end-of-text token.
pub const BYTES: usize = 256;

/// The content of the token that ends a document, of byte tokenizers and trained ones.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// The characters that represent bytes in byte-level vocabularies.
///
/// GPT-2 represents bytes that are no printable Latin-1 characters by the characters from U+0100 on, in order.
pub fn byte_characters() -> [char; BYTES] {
    let mut hidden = (0x100..).filter_map(char::from_u32);
    std::array::from_fn(|byte| {
        let shown = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        if shown { char::from(byte as u8) } else { hidden.next().expect("endless") }
    })
}

/// A byte-level BPE without merges whose ids are the bytes, as the `tokenizers` library writes it.
pub fn byte_json(end_of_text: bool) -> String {
    let characters = byte_characters();
    let vocabulary: Vec<String> = characters
        .iter()
        .enumerate()
        .map(|(byte, character)| format!("      {}: {byte}", quoted(&character.to_string())))
        .collect();
    let added = match end_of_text {
        false => "[]".to_owned(),
        true => format!(
            r#"[
    {{
      "id": {BYTES},
      "content": {},
      "single_word": false,
      "lstrip": false,
      "rstrip": false,
      "normalized": false,
      "special": true
    }}
  ]"#,
            quoted(END_OF_TEXT)
        ),
    };
    let byte_level = r#"{
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true
  }"#;
    format!(
        r#"{{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": {added},
  "normalizer": null,
  "pre_tokenizer": {byte_level},
  "post_processor": {byte_level},
  "decoder": {byte_level},
  "model": {{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {{
{}
    }},
    "merges": []
  }}
}}"#,
        vocabulary.join(",\n")
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(all(test, feature = "tokenizers"))]
mod tests {
    use tokenizers::models::bpe::BPE;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{AddedToken, NormalizerWrapper, TokenizerBuilder};

    use super::*;

    /// Runs know their data by this text, so it stays as it is.
    #[test]
    fn the_json_is_that_of_the_library() {
        for end_of_text in [false, true] {
            let vocabulary: [(String, u32); BYTES] =
                std::array::from_fn(|byte| (byte_characters()[byte].to_string(), byte as u32));
            let byte_level = ByteLevel::default().add_prefix_space(false);
            let model = BPE::builder().vocab_and_merges(vocabulary, Vec::new()).build();
            let mut tokenizer = TokenizerBuilder::<BPE, NormalizerWrapper, _, _, _>::new()
                .with_model(model.unwrap())
                .with_normalizer(None)
                .with_pre_tokenizer(Some(byte_level))
                .with_post_processor(Some(byte_level))
                .with_decoder(Some(byte_level))
                .build()
                .unwrap();
            if end_of_text {
                tokenizer.add_special_tokens([AddedToken::from(END_OF_TEXT, true)]).unwrap();
            }
            assert_eq!(byte_json(end_of_text), tokenizer.to_string(true).unwrap());
        }
    }
}
