//! Errors of tokenizers and of texts for them.

use std::error::Error;

/// A tokenizer that can't be used, or a text that it can't encode.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The text is no `tokenizer.json`.
    #[error(
        "not a Hugging Face tokenizer.json: {0}. Give the file that the tokenizers library saves \
         (`nitp tokenizer train` makes one), or set data.tokenizer = \"byte\""
    )]
    Syntax(#[source] Box<dyn Error + Send + Sync>),
    /// The program has only the byte tokenizer.
    #[error(
        "this program was built without tokenizers (the feature `tokenizers` of nitp-core): set data.tokenizer = \"byte\""
    )]
    Absent,
    /// A part of the file that would make the library panic or take all memory.
    #[error(
        "the tokenizer.json can't be used: {place}: {reason}. Correct the file, or use another \
         tokenizer"
    )]
    Unsafe {
        /// The part, as the keys that lead to it.
        place: String,
        /// The problem, and the allowed values.
        reason: String,
    },
    /// The library panicked.
    #[error(
        "the tokenizers library failed {during} ({message}): the tokenizer.json is broken or not \
         supported by the library; use another tokenizer"
    )]
    Panicked {
        /// The operation.
        during: &'static str,
        /// Its message.
        message: String,
    },
    /// The model has fewer rows of embedding than the tokenizer has tokens.
    #[error(
        "the tokenizer has {tokenizer} tokens, but model.vocab_size = {model}: set \
         model.vocab_size={tokenizer} or more, or use a smaller tokenizer"
    )]
    TooLarge {
        /// Size of the tokenizer: one more than its largest id.
        tokenizer: usize,
        /// The model's vocabulary.
        model: usize,
    },
    /// `data.end_of_text` is no token.
    #[error(
        "data.end_of_text = {name:?}, but the tokenizer has no such token. Set the content of a token \
         that it has{known}, \"auto\" or \"none\""
    )]
    UnknownEndOfText {
        /// The value of the key.
        name: String,
        /// The first special tokens, in brackets.
        known: String,
    },
    /// The tokenizer refused a text.
    #[error(
        "the tokenizer can't encode {text:?}: {source}. It lacks a token for a part of this text; use \
         a byte-level tokenizer"
    )]
    Encode {
        /// The beginning of the text.
        text: String,
        /// The library's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Characters without a token.
    #[error(
        "the tokenizer has no token for {characters} in the text, and no unknown token either. Remove \
         them, or use a byte-level tokenizer with all 256 bytes"
    )]
    Inexpressible {
        /// The first such characters.
        characters: String,
    },
    /// The normalizer would make a text much longer.
    #[error(
        "the tokenizer's normalizer makes a text of {bytes} bytes more than {most} long: its \
         Replace or Precompiled steps insert too much. Correct the tokenizer.json, or use another \
         tokenizer"
    )]
    Grows {
        /// Bytes of the text.
        bytes: usize,
        /// The largest allowed length, in bytes.
        most: usize,
    },
}
