//! The token that ends a document.

use super::super::tokenizer_training::END_OF_TEXT;
use super::error::TokenizerError;

/// Names of the token that ends a document in well-known tokenizers, likeliest first. Tokens that end a turn of a chat
/// come after tokens that end a text, because a tokenizer may have both.
const NAMES: &[&str] = &[
    END_OF_TEXT,
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "[EOS]",
    "<|eos|>",
    "[SEP]",
    // Earlier versions did not have the names from here on, see `known_before`.
    "<｜end▁of▁sentence｜>",
    "<EOS>",
    "<|EOS|>",
    "<|endofdocument|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
];

/// Number of the names that earlier versions had.
const KNOWN_BEFORE: usize = 7;

/// The special token with the likeliest name.
pub fn by_name(tokenizer: &tokenizers::Tokenizer) -> Option<u32> {
    first(tokenizer, NAMES)
}

/// The token that earlier versions chose.
pub fn known_before(tokenizer: &tokenizers::Tokenizer) -> Option<u32> {
    first(tokenizer, &NAMES[..KNOWN_BEFORE])
}

fn first(tokenizer: &tokenizers::Tokenizer, names: &[&str]) -> Option<u32> {
    let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
    names
        .iter()
        .filter_map(|name| tokenizer.token_to_id(name))
        .find(|id| added.get(id).is_some_and(|token| token.special))
}

/// The token with this content.
///
/// # Errors
/// If there is no such token. The error lists the special tokens.
pub fn by_content(tokenizer: &tokenizers::Tokenizer, name: &str) -> Result<u32, TokenizerError> {
    /// Largest number of special tokens in an error.
    const SHOWN: usize = 8;
    tokenizer.token_to_id(name).ok_or_else(|| {
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let mut special: Vec<_> = added.iter().filter(|(_, token)| token.special).collect();
        special.sort_by_key(|&(id, _)| *id);
        let shown: Vec<String> =
            special.iter().take(SHOWN).map(|(_, token)| format!("{:?}", token.content)).collect();
        let more = if special.len() > SHOWN { ", ..." } else { "" };
        let known = match shown.as_slice() {
            [] => String::new(),
            shown => format!(" (special ones are {}{more})", shown.join(", ")),
        };
        TokenizerError::UnknownEndOfText { name: name.to_owned(), known }
    })
}
