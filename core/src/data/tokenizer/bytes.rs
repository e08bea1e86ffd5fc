//! The byte tokenizer as a `tokenizer.json`.

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, NormalizerWrapper, TokenizerBuilder};

use super::super::tokenizer_training::END_OF_TEXT;

/// Number of byte tokens; also the id of the end-of-text token.
pub const BYTES: usize = 256;

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

/// A byte-level BPE without merges whose ids are the bytes.
pub fn byte_json(end_of_text: bool) -> String {
    let characters = byte_characters();
    let vocabulary: [(String, u32); BYTES] =
        std::array::from_fn(|byte| (characters[byte].to_string(), byte as u32));
    let byte_level = ByteLevel::default().add_prefix_space(false);
    let model = BPE::builder().vocab_and_merges(vocabulary, Vec::new()).build();
    let mut tokenizer = TokenizerBuilder::<BPE, NormalizerWrapper, _, _, _>::new()
        .with_model(model.expect("no merges, so none that are wrong"))
        .with_normalizer(None)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(byte_level))
        .with_decoder(Some(byte_level))
        .build()
        .expect("it has a model");
    if end_of_text {
        tokenizer
            .add_special_tokens([AddedToken::from(END_OF_TEXT, true)])
            .expect("a name of its own");
    }
    tokenizer.to_string(true).expect("a tokenizer is JSON")
}
