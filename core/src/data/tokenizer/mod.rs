//! Conversion between text and token ids: by bytes, or by a Hugging Face `tokenizer.json`.

mod bytes;
#[cfg(feature = "tokenizers")]
mod cuts;
#[cfg(feature = "tokenizers")]
mod decoding_steps;
#[cfg(feature = "tokenizers")]
mod end_of_text;
mod error;
#[cfg(feature = "tokenizers")]
mod expression;
#[cfg(feature = "tokenizers")]
mod growth;
#[cfg_attr(not(feature = "tokenizers"), path = "absent.rs")]
mod hugging_face;
#[cfg(feature = "tokenizers")]
mod precompiled;
mod safe;
#[cfg(feature = "tokenizers")]
mod splits;
mod streaming;
#[cfg(all(test, feature = "tokenizers"))]
mod tests;
mod utf8;
#[cfg(feature = "tokenizers")]
mod validate;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rayon::prelude::*;

use super::corpus::TokenCorpus;
use crate::config::{AUTO_END_OF_TEXT, BYTE_TOKENIZER, NO_END_OF_TEXT};
use bytes::{BYTES, byte_json};

pub use bytes::END_OF_TEXT;

pub use error::TokenizerError;
pub use hugging_face::HuggingFace;
pub use safe::contained;
pub use streaming::TextStream;

/// Turns text into token ids below [`Tokenizer::vocab_size`] and back.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// Each byte of the UTF-8 text is a token.
    Byte {
        /// The id 256, if the model's vocabulary has room for it.
        end_of_text: Option<u32>,
    },
    /// A `tokenizer.json`.
    HuggingFace(Arc<HuggingFace>),
}

impl Tokenizer {
    /// The tokenizer of `source`, which is the word "byte" or the text of a `tokenizer.json`, for a model with a
    /// vocabulary of `vocab_size`.
    ///
    /// # Errors
    /// If the text is no tokenizer, or has more tokens than the model.
    pub fn new(source: &str, vocab_size: usize) -> Result<Self, TokenizerError> {
        let tokenizer = if source == BYTE_TOKENIZER {
            Self::Byte { end_of_text: (vocab_size > BYTES).then_some(BYTES as u32) }
        } else {
            Self::from_json(source)?
        };
        tokenizer.check_vocab_size(vocab_size)?;
        Ok(tokenizer)
    }

    /// The tokenizer in the text of a `tokenizer.json`, with or without a byte order mark.
    /// Truncation and padding in the file are ignored: every document is tokenised whole. The dropout of a BPE model is
    /// also ignored: the same text always gives the same tokens.
    ///
    /// # Errors
    /// If the text is no `tokenizer.json`, or the library does not support it.
    pub fn from_json(json: &str) -> Result<Self, TokenizerError> {
        Ok(Self::HuggingFace(Arc::new(HuggingFace::new(json)?)))
    }

    /// Sets the end-of-text token, as in the key `data.end_of_text`: the content of a token; "auto" for the token with
    /// one of the usual names; "none" for no token.
    ///
    /// # Errors
    /// If the tokenizer has no such token.
    pub fn with_end_of_text(mut self, content: &str) -> Result<Self, TokenizerError> {
        match &mut self {
            _ if content == AUTO_END_OF_TEXT => {}
            Self::HuggingFace(it) if content == NO_END_OF_TEXT => {
                Arc::make_mut(it).clear_end_of_text();
            }
            Self::Byte { end_of_text } if content == NO_END_OF_TEXT => *end_of_text = None,
            Self::HuggingFace(it) => Arc::make_mut(it).set_end_of_text(content)?,
            Self::Byte { end_of_text: Some(_) } if content == END_OF_TEXT => {}
            Self::Byte { end_of_text } => {
                let known = match end_of_text {
                    Some(_) => format!(" (it has {END_OF_TEXT:?})"),
                    None => " (it has only bytes, and with model.vocab_size=257 or more \
                             \"<|endoftext|>\")"
                        .to_owned(),
                };
                let name = content.to_owned();
                return Err(TokenizerError::UnknownEndOfText { name, known });
            }
        }
        Ok(self)
    }

    /// Checks that a model with a vocabulary of `model` has a row for every token.
    ///
    /// # Errors
    /// [`TokenizerError::TooLarge`] names both sizes.
    pub fn check_vocab_size(&self, model: usize) -> Result<(), TokenizerError> {
        let tokenizer = self.vocab_size();
        if tokenizer > model {
            return Err(TokenizerError::TooLarge { tokenizer, model });
        }
        Ok(())
    }

    /// Token ids of a text, equal to those of the `tokenizers` library for the whole text. Names of special tokens in
    /// the text become these tokens (except with bytes). No special token is added.
    ///
    /// # Errors
    /// If the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut all = Vec::new();
        self.encode_parts(text, |tokens| {
            all.extend_from_slice(tokens);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// Like [`Tokenizer::encode`], for long texts: passes the ids to `each` in parts, until `each` breaks. If the
    /// structure of the tokenizer allows cuts that change no id, memory holds only a few parts, otherwise the whole
    /// text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_parts(
        &self,
        text: &str,
        mut each: impl FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<(), TokenizerError> {
        /// Bytes of a part.
        const PART: usize = 1 << 20;
        match self {
            Self::Byte { .. } => {
                for part in text.as_bytes().chunks(PART) {
                    let tokens: Vec<u32> = part.iter().copied().map(u32::from).collect();
                    if each(&tokens).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Self::HuggingFace(it) => it.encode_parts(text, &mut each),
        }
    }

    /// Like [`Tokenizer::encode_parts`], for the beginning of a text that goes on in text not read yet. Gives the start of
    /// the part of `text` that was not encoded, because its tokens may depend on that text: it belongs before the text
    /// that is read next. A tokenizer whose structure allows no cuts encodes nothing.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_open(
        &self,
        text: &str,
        mut each: impl FnMut(&[u32]),
    ) -> Result<usize, TokenizerError> {
        let mut each = |tokens: &[u32]| {
            each(tokens);
            ControlFlow::Continue(())
        };
        match self {
            Self::Byte { .. } => self.encode_parts(text, each).map(|()| text.len()),
            Self::HuggingFace(it) => it.encode_open(text, &mut each),
        }
    }

    /// Token ids of a prompt.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]. In addition, if [`Tokenizer::encode`] would silently drop characters without a token;
    /// the error lists them.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let left_out = self.left_out(text);
        if !left_out.is_empty() {
            return Err(TokenizerError::Inexpressible { characters: listed(left_out.into_keys()) });
        }
        self.encode(text)
    }

    /// Number of occurrences in `text` of each character that [`Tokenizer::encode`] drops silently, because it has no
    /// token.
    pub fn left_out(&self, text: &str) -> BTreeMap<char, u64> {
        match self {
            Self::Byte { .. } => BTreeMap::new(),
            Self::HuggingFace(it) => it.left_out(text),
        }
    }

    /// [`Tokenizer::encode`] of many texts in parallel.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], for the first text that fails.
    pub fn encode_all(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, TokenizerError> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// The text of token ids, without special tokens; U+FFFD for bytes that form no character.
    ///
    /// [`TextStream`] gives the same text token by token.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Byte { .. } => {
                let bytes: Vec<u8> = tokens.iter().filter_map(|&id| id.try_into().ok()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::HuggingFace(it) => it.decode(tokens),
        }
    }

    /// The content of a token, if it exists. With bytes, only the end-of-text token has a content.
    pub fn token(&self, id: u32) -> Option<String> {
        match self {
            Self::Byte { end_of_text } => {
                (*end_of_text == Some(id)).then(|| END_OF_TEXT.to_owned())
            }
            Self::HuggingFace(it) => it.token(id),
        }
    }

    /// One more than the largest token id.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Byte { end_of_text } => BYTES + usize::from(end_of_text.is_some()),
            Self::HuggingFace(it) => it.vocab_size(),
        }
    }

    /// The token that ends a document, if there is one.
    pub fn end_of_text(&self) -> Option<u32> {
        match self {
            Self::Byte { end_of_text } => *end_of_text,
            Self::HuggingFace(it) => it.end_of_text(),
        }
    }

    /// The unknown token, if there is one.
    pub fn unknown(&self) -> Option<u32> {
        match self {
            Self::Byte { .. } => None,
            Self::HuggingFace(it) => it.unknown(),
        }
    }

    /// Whether each id is a token, `[vocab_size]`: a vocabulary may have gaps. Other ids, and ids from `vocab_size` on,
    /// must not be sampled.
    pub fn token_mask(&self) -> Vec<bool> {
        let ids = 0..self.vocab_size() as u32;
        match self {
            Self::Byte { .. } => ids.map(|_| true).collect(),
            Self::HuggingFace(it) => ids.map(|id| it.has(id)).collect(),
        }
    }

    /// Bytes of text of each token id, `[vocab_size]`, the divisor of bits per byte.
    /// Exact for bytes and byte-level tokenizers. For tokenizers with implied spaces (WordPiece, SentencePiece), the
    /// length of the token inside a text. 0 for special tokens, the end-of-text token and the unknown token, whose
    /// length is unknown.
    pub fn token_bytes(&self) -> Vec<u32> {
        let ids = 0..self.vocab_size() as u32;
        match self {
            Self::Byte { .. } => ids.map(|id| u32::from(id < BYTES as u32)).collect(),
            Self::HuggingFace(it) => ids.map(|id| it.token_bytes(id)).collect(),
        }
    }

    /// The text of a `tokenizer.json` that gives the same ids, for other programs.
    pub fn to_json(&self) -> String {
        match self {
            Self::Byte { end_of_text } => byte_json(end_of_text.is_some()),
            Self::HuggingFace(it) => it.json().to_owned(),
        }
    }

    /// Everything that determines the ids of a text and the ends of documents. A run recognises its data by it, and a
    /// cache its tokens.
    pub fn identity(&self) -> String {
        let json = self.to_json();
        match self {
            // Unchanged from earlier versions, so that their tokens stay valid.
            Self::Byte { .. } => json,
            Self::HuggingFace(it) if it.ids_are_as_before() => json,
            Self::HuggingFace(it) => format!("{json}\nids 2, end of text {:?}", it.end_of_text()),
        }
    }

    /// Notes about a corpus with this tokenizer, of one or two sentences each: the share of unknown tokens, dropped
    /// characters, documents that are joined because there is no end-of-text token, an ignored dropout.
    pub fn check_corpus(&self, corpus: &TokenCorpus) -> Vec<String> {
        let mut warnings = corpus.notes().to_vec();
        let tokens = corpus.len();
        if let Some(unknown) = self.unknown() {
            let count = corpus.count(unknown);
            if count > 0 {
                warnings.push(format!(
                    "{count} of {} tokens of the text ({}) are the unknown token: the tokenizer has no \
                     other token for this text, so the model can't learn it. Use a byte-level \
                     tokenizer, or one trained on such text",
                    tokens,
                    percent(count as f64 / tokens as f64)
                ));
            }
        }
        if let Self::HuggingFace(it) = self
            && let Some(dropout) = it.dropout()
        {
            warnings.push(format!(
                "the tokenizer's dropout of {dropout} is ignored: the same text always gives the same \
                 tokens"
            ));
        }
        // With bytes, model.vocab_size determines whether there is one, and presets set it.
        let is_wanted = matches!(self, Self::HuggingFace(it) if !it.joins_documents());
        if is_wanted && self.end_of_text().is_none() && corpus.documents() > 1 {
            warnings.push(format!(
                "the tokenizer has no end-of-text token with a known name, so the {} documents follow \
                 each other without a separator: set data.end_of_text to the content of the token that \
                 ends a document, or to \"none\" if this is intended",
                corpus.documents()
            ));
        }
        warnings
    }
}

/// The first characters, for a message.
pub(super) fn listed(characters: impl Iterator<Item = char>) -> String {
    const SHOWN: usize = 8;
    let all: Vec<char> = characters.collect();
    let shown: Vec<String> = all.iter().take(SHOWN).map(|c| format!("{c:?}")).collect();
    let more = if all.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// A share in percent; never 0 % for a share above 0.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 0.01 { format!("{percent:.2} %") } else { "less than 0.01 %".to_owned() }
}
