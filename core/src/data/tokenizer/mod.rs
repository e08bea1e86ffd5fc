//! From text to token ids and back: the bytes themselves, or a Hugging Face `tokenizer.json`.

mod bytes;
mod cuts;
mod end_of_text;
mod error;
mod expression;
mod growth;
mod hugging_face;
mod precompiled;
mod safe;
mod splits;
mod streaming;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rayon::prelude::*;

use super::corpus::TokenCorpus;
use super::tokenizer_training::END_OF_TEXT;
use crate::config::{AUTO_END_OF_TEXT, BYTE_TOKENIZER, NO_END_OF_TEXT};
use bytes::{BYTES, byte_json};

pub use error::TokenizerError;
pub use hugging_face::HuggingFace;
pub use safe::contained;
pub use streaming::TextStream;

/// Turns text into token ids below [`Tokenizer::vocab_size`] and back.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// Each byte of the UTF-8 text is a token.
    Byte {
        /// The id 256, where the model's vocabulary has room for it.
        end_of_text: Option<u32>,
    },
    /// A `tokenizer.json`.
    HuggingFace(Arc<HuggingFace>),
}

impl Tokenizer {
    /// The tokenizer that `source` is: the word "byte" or the text of a `tokenizer.json`, for a
    /// model with a vocabulary of `vocab_size`.
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
    ///
    /// Truncation and padding that it may ask for are left out: every document is tokenised whole.
    /// So is the dropout of a BPE model: the same text always gives the same tokens.
    ///
    /// # Errors
    /// If the text is no `tokenizer.json`, or holds what the library can't handle.
    pub fn from_json(json: &str) -> Result<Self, TokenizerError> {
        Ok(Self::HuggingFace(Arc::new(HuggingFace::new(json)?)))
    }

    /// With the token of this content as the end of a text: the key `data.end_of_text`, whose
    /// value "auto" takes the token that has a usual name for it, and "none" takes none.
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

    /// Token ids of a text: those that the `tokenizers` library gives for all of it at once.
    /// Names of special tokens in it become those tokens (not with bytes); none is added.
    ///
    /// # Errors
    /// If the tokenizer has no token for something in the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut all = Vec::new();
        self.encode_parts(text, |tokens| {
            all.extend_from_slice(tokens);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// As [`Tokenizer::encode`], for long texts: hands the ids on, a part after the other, until
    /// `each` breaks. Memory is that of a few parts where the tokenizer's structure shows at which
    /// places a text can be cut without changing an id, and else that of the whole text.
    ///
    /// # Errors
    /// As there.
    pub fn encode_parts(
        &self,
        text: &str,
        mut each: impl FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<(), TokenizerError> {
        /// Bytes of a part that are handed on at once.
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

    /// Token ids of a prompt.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; and where that leaves characters out in silence, because no token
    /// expresses them, with those characters.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let left_out = self.left_out(text);
        if !left_out.is_empty() {
            return Err(TokenizerError::Inexpressible { characters: listed(left_out.into_keys()) });
        }
        self.encode(text)
    }

    /// How often each character is in `text` that [`Tokenizer::encode`] leaves out in silence, because
    /// no token expresses it.
    pub fn left_out(&self, text: &str) -> BTreeMap<char, u64> {
        match self {
            Self::Byte { .. } => BTreeMap::new(),
            Self::HuggingFace(it) => it.left_out(text),
        }
    }

    /// [`Tokenizer::encode`] of many texts, side by side.
    ///
    /// # Errors
    /// As there, for the first text that fails.
    pub fn encode_all(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, TokenizerError> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// The text of token ids, special tokens left out; U+FFFD where bytes make no character.
    ///
    /// [`TextStream`] gives the same text while the tokens come.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Byte { .. } => {
                let bytes: Vec<u8> = tokens.iter().filter_map(|&id| id.try_into().ok()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::HuggingFace(it) => it.decode(tokens),
        }
    }

    /// The content of a token, if there is such a one; of a byte only the end of text has one.
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

    /// The token that stands for whatever the vocabulary lacks, if there is one.
    pub fn unknown(&self) -> Option<u32> {
        match self {
            Self::Byte { .. } => None,
            Self::HuggingFace(it) => it.unknown(),
        }
    }

    /// Which ids are tokens, `[vocab_size]`: a vocabulary may have gaps. Others must not be
    /// sampled, and no id from `vocab_size` on.
    pub fn token_mask(&self) -> Vec<bool> {
        let ids = 0..self.vocab_size() as u32;
        match self {
            Self::Byte { .. } => ids.map(|_| true).collect(),
            Self::HuggingFace(it) => ids.map(|id| it.has(id)).collect(),
        }
    }

    /// Bytes of text behind each token id, `[vocab_size]`: what bits per byte divide by.
    ///
    /// Exact for bytes and byte-level tokenizers. Where spaces are implied (WordPiece,
    /// SentencePiece) it is the length of the token inside a text. 0 for special tokens, the end
    /// of a text and the unknown token, of whose text the length isn't known.
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

    /// All that decides which ids a text becomes and where documents end: by it a run knows its
    /// data and a cache its tokens.
    pub fn identity(&self) -> String {
        let json = self.to_json();
        match self {
            // What earlier versions tokenised with these stays theirs.
            Self::Byte { .. } => json,
            Self::HuggingFace(it) if it.ids_are_as_before() => json,
            Self::HuggingFace(it) => format!("{json}\nids 2, end of text {:?}", it.end_of_text()),
        }
    }

    /// What is to be said of a corpus with this tokenizer, each a sentence or two: the share of
    /// unknown tokens, characters that were left out, documents that are joined for want of an
    /// end-of-text token, a dropout that is not used.
    pub fn check_corpus(&self, corpus: &TokenCorpus) -> Vec<String> {
        let mut warnings = corpus.notes().to_vec();
        let tokens = corpus.tokens();
        if let Some(unknown) = self.unknown() {
            let count = tokens.iter().filter(|&&token| token == unknown).count();
            if count > 0 {
                warnings.push(format!(
                    "{count} of {} tokens of the text ({}) are the unknown token: the tokenizer \
                     has no other for that text, and nothing can be learned of it. Use a \
                     byte-level tokenizer, or one that was made for such text",
                    tokens.len(),
                    percent(count as f64 / tokens.len() as f64)
                ));
            }
        }
        if let Self::HuggingFace(it) = self
            && let Some(dropout) = it.dropout()
        {
            warnings.push(format!(
                "the tokenizer's dropout of {dropout} is left out: the same text always gives the \
                 same tokens"
            ));
        }
        // With bytes, whether there is one is a choice of model.vocab_size, which presets make.
        let is_wanted = matches!(self, Self::HuggingFace(it) if !it.joins_documents());
        if is_wanted && self.end_of_text().is_none() && corpus.documents() > 1 {
            warnings.push(format!(
                "the tokenizer has no end-of-text token with a known name, so the {} documents \
                 follow each other without a mark between them: set data.end_of_text to the \
                 content of the token that ends a document, or to \"none\" if that is meant",
                corpus.documents()
            ));
        }
        warnings
    }
}

/// The first of these characters, for a message.
pub(super) fn listed(characters: impl Iterator<Item = char>) -> String {
    const SHOWN: usize = 8;
    let all: Vec<char> = characters.collect();
    let shown: Vec<String> = all.iter().take(SHOWN).map(|c| format!("{c:?}")).collect();
    let more = if all.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// A share in percent; never 0 % for what is there.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 0.01 { format!("{percent:.2} %") } else { "less than 0.01 %".to_owned() }
}
