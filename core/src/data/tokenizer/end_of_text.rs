//! Which token ends a document.

use super::super::tokenizer_training::END_OF_TEXT;
use super::error::TokenizerError;

/// Names under which well-known tokenizers keep the token that ends a document, likeliest first.
/// Those that end a turn of a chat come after those that end a text: a tokenizer may have both.
const NAMES: &[&str] = &[
    END_OF_TEXT,
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "[EOS]",
    "<|eos|>",
    "[SEP]",
    // From here on: not known to earlier versions, see `known_before`.
    "<｜end▁of▁sentence｜>",
    "<EOS>",
    "<|EOS|>",
    "<|endofdocument|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
];

/// How many of the names earlier versions knew.
const KNOWN_BEFORE: usize = 7;

/// The special token with the likeliest name.
pub fn by_name(tokenizer: &tokenizers::Tokenizer) -> Option<u32> {
    first(tokenizer, NAMES)
}

/// The one that earlier versions took.
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
/// If there is none: with the special tokens that there are.
pub fn by_content(tokenizer: &tokenizers::Tokenizer, name: &str) -> Result<u32, TokenizerError> {
    /// Special tokens that an error names.
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
