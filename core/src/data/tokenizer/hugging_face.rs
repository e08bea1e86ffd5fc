//! A Hugging Face `tokenizer.json`, and its properties.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::{Decoder, NormalizerWrapper, OffsetReferential, OffsetType};

use super::bytes::byte_characters;
use super::cuts::Cuts;
use super::end_of_text;
use super::error::TokenizerError;
use super::expression::Expression;
use super::growth::Growth;
use super::safe::contained;
use super::validate;

pub use super::decoding_steps::Steps;

/// Pieces that are tokenised in parallel before their ids are passed on.
const PIECES: usize = 64;

/// A `tokenizer.json` and its properties.
#[derive(Clone)]
pub struct HuggingFace {
    tokenizer: tokenizers::Tokenizer,
    json: String,
    vocab_size: usize,
    end_of_text: Option<u32>,
    unknown: Option<u32>,
    cuts: Cuts,
    growth: Growth,
    expression: Expression,
    dropout: Option<f64>,
    joins_documents: bool,
}

/// Short, because a file may have a million tokens.
impl fmt::Debug for HuggingFace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HuggingFace")
            .field("vocab_size", &self.vocab_size)
            .field("end_of_text", &self.end_of_text)
            .field("cuts", &self.cuts)
            .finish_non_exhaustive()
    }
}

impl HuggingFace {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If it is no `tokenizer.json`, or the library does not support it.
    pub fn new(json: &str) -> Result<Self, TokenizerError> {
        let json = json.trim_start_matches('\u{feff}');
        let mut value: Value =
            serde_json::from_str(json).map_err(|error| TokenizerError::Syntax(error.into()))?;
        validate::check(&value)?;
        let dropout = value.pointer("/model/dropout").and_then(Value::as_f64).filter(|&p| p > 0.0);
        // The same text gives the same tokens.
        if let Some(Value::Object(model)) = value.get_mut("model").filter(|_| dropout.is_some()) {
            model.insert("dropout".to_owned(), Value::Null);
        }
        let json = match dropout {
            Some(_) => serde_json::to_string_pretty(&value).expect("it was read from JSON"),
            None => json.to_owned(),
        };
        let model = value.get("model").cloned().unwrap_or_default();
        // These keys are not used here: every document is tokenised whole, and no token is added around it.
        if let Value::Object(file) = &mut value {
            for part in ["truncation", "padding", "post_processor"] {
                file.remove(part);
            }
        }
        let growth = growth(&value)?;
        let tokenizer: tokenizers::Tokenizer = read(value)?;
        // Ids may have gaps, so the number of tokens is not the largest id plus one.
        let largest = tokenizer.get_vocab(true).into_values().max();
        let vocab_size = largest.map_or(0, |largest| (largest as usize).saturating_add(1));
        let unknown = match model.get("unk_id").and_then(Value::as_u64) {
            Some(id) => u32::try_from(id).ok(),
            None => model
                .get("unk_token")
                .and_then(Value::as_str)
                .and_then(|token| tokenizers::Model::token_to_id(tokenizer.get_model(), token)),
        };
        let it = Self {
            end_of_text: end_of_text::by_name(&tokenizer),
            cuts: Cuts::of(&tokenizer),
            growth,
            expression: Expression::of(&tokenizer, unknown),
            tokenizer,
            json,
            vocab_size,
            unknown,
            dropout,
            joins_documents: false,
        };
        it.try_out()?;
        Ok(it)
    }

    /// Encodes and decodes a short text, to find errors at once.
    fn try_out(&self) -> Result<(), TokenizerError> {
        const TEXT: &str = "The tide, 1999:\n\n\tb\u{f4}ats  \u{6f6e}\u{1F600}. it's\r\n";
        for text in [TEXT, " ", "a"] {
            match self.encode_piece(text) {
                // Characters that it can't encode are reported if a text has them.
                Err(TokenizerError::Encode { .. } | TokenizerError::Inexpressible { .. }) => {}
                Err(error) => return Err(error),
                Ok(tokens) => drop(self.try_decode(&tokens)?),
            }
        }
        Ok(())
    }

    /// Sets the end-of-text token by its content.
    ///
    /// # Errors
    /// If there is no such token.
    pub fn set_end_of_text(&mut self, content: &str) -> Result<(), TokenizerError> {
        self.end_of_text = Some(end_of_text::by_content(&self.tokenizer, content)?);
        Ok(())
    }

    /// Removes the end-of-text token.
    pub fn clear_end_of_text(&mut self) {
        self.end_of_text = None;
        self.joins_documents = true;
    }

    /// A token's content.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Whether documents follow each other without a separator on purpose.
    pub fn joins_documents(&self) -> bool {
        self.joins_documents
    }

    /// Passes the tokens of `text` to `each` in parts, until `each` breaks.
    pub fn encode_parts(
        &self,
        text: &str,
        each: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<(), TokenizerError> {
        self.encode_pieces(&self.cuts.pieces(text), each)
    }

    /// Passes the tokens of the first part of `text`, which goes on in text that is not read yet, to `each`, and gives
    /// the start of the part whose tokens may depend on that text.
    pub fn encode_open(
        &self,
        text: &str,
        each: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<usize, TokenizerError> {
        if !self.cuts.exist() {
            return Ok(0);
        }
        let pieces = self.cuts.pieces(text);
        let (last, whole) = pieces.split_last().expect("a text has pieces");
        self.encode_pieces(whole, each)?;
        Ok(text.len() - last.len())
    }

    fn encode_pieces(
        &self,
        pieces: &[&str],
        each: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<(), TokenizerError> {
        for pieces in pieces.chunks(PIECES) {
            let tokens: Vec<Vec<u32>> = pieces
                .into_par_iter()
                .map(|piece| self.encode_piece(piece))
                .collect::<Result<_, _>>()?;
            for tokens in tokens {
                if each(&tokens).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn encode_piece(&self, piece: &str) -> Result<Vec<u32>, TokenizerError> {
        self.growth.check(piece)?;
        let encoded = contained(|| self.tokenizer.encode_fast(piece, false))
            .map_err(|message| TokenizerError::Panicked { during: "encoding a text", message })?;
        match encoded {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(source) => {
                let refused = piece.chars().find(|c| {
                    let alone = c.to_string();
                    !c.is_whitespace()
                        && !matches!(
                            contained(|| self.tokenizer.encode_fast(alone, false)),
                            Ok(Ok(_))
                        )
                });
                Err(match refused {
                    Some(c) => TokenizerError::Inexpressible { characters: format!("{c:?}") },
                    None => {
                        TokenizerError::Encode { text: piece.chars().take(60).collect(), source }
                    }
                })
            }
        }
    }

    /// Number of occurrences in `text` of each character that has no token and is dropped silently.
    pub fn left_out(&self, text: &str) -> BTreeMap<char, u64> {
        let mut found = BTreeMap::new();
        if !self.expression.leaves_out() {
            return found;
        }
        for piece in self.cuts.pieces(text) {
            // Texts that grow too much are rejected when they are encoded.
            if self.expression.missing(&self.tokenizer, piece).is_empty()
                || self.growth.check(piece).is_err()
            {
                continue;
            }
            // Text covered by added tokens needs no other tokens.
            let added = self.tokenizer.get_added_vocabulary();
            let normalizer = self.tokenizer.get_normalizer();
            let extract = || added.extract_and_normalize(normalizer, piece);
            let Ok(parts) = contained(extract) else { continue }; // encoding will report the error
            let parts = parts.get_splits(OffsetReferential::Original, OffsetType::Byte);
            for (_, (from, to), _) in parts.into_iter().filter(|(_, _, token)| token.is_none()) {
                let text = piece.get(from..to).unwrap_or_default();
                for (character, count) in self.expression.missing(&self.tokenizer, text) {
                    *found.entry(character).or_default() += count;
                }
            }
        }
        found
    }

    /// The text of tokens, without special tokens.
    pub fn decode(&self, tokens: &[u32]) -> String {
        // Decoders were tested when the file was read. If one fails nevertheless, the tokens themselves are returned.
        self.try_decode(tokens)
            .unwrap_or_else(|_| tokens.iter().filter_map(|&id| self.shown_token(id)).collect())
    }

    fn try_decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        // Some decoders panic for an empty list.
        if tokens.iter().all(|&id| self.shown_token(id).is_none()) {
            return Ok(String::new());
        }
        contained(|| self.tokenizer.decode(tokens, true))
            .map_err(|message| TokenizerError::Panicked { during: "decoding a text", message })?
            .map_err(TokenizerError::Syntax)
    }

    /// A token for the decoder; none if it is special or not in the vocabulary.
    pub fn shown_token(&self, id: u32) -> Option<String> {
        let special = self.tokenizer.get_added_vocabulary();
        self.tokenizer.id_to_token(id).filter(|token| !special.is_special_token(token))
    }

    /// The steps of its decoder, if all are known.
    pub fn decoding_steps(&self) -> Option<Steps> {
        Steps::of(self.tokenizer.get_decoder())
    }

    /// The bytes that a token of a byte-level vocabulary represents; its own UTF-8 bytes if it has other characters.
    pub fn byte_level_bytes(token: &str) -> Vec<u8> {
        static BYTES: LazyLock<HashMap<char, u8>> =
            LazyLock::new(|| byte_characters().into_iter().zip(0..=255).collect());
        let bytes: Option<Vec<u8>> = token.chars().map(|c| BYTES.get(&c).copied()).collect();
        bytes.unwrap_or_else(|| token.as_bytes().to_vec())
    }

    /// Places at which a text can be cut.
    #[cfg(test)]
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// The id of a token.
    #[cfg(test)]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Whether this id is a token.
    pub fn has(&self, id: u32) -> bool {
        self.tokenizer.id_to_token(id).is_some()
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The token that ends a document.
    pub fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    /// The unknown token.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The dropout in the file, which is ignored.
    pub fn dropout(&self) -> Option<f64> {
        self.dropout
    }

    /// The file's text, without its dropout.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Whether earlier versions, which cut every text after line breaks, gave the same ids.
    pub fn ids_are_as_before(&self) -> bool {
        self.cuts.after_line_breaks()
            && self.end_of_text == end_of_text::known_before(&self.tokenizer)
    }

    /// Bytes of text of a token.
    pub fn token_bytes(&self, id: u32) -> u32 {
        /// A token placed first, because decoders treat the first token of a text differently.
        const BEFORE: &str = "a";
        // The length of the text of the unknown token is unknown.
        if Some(id) == self.unknown || Some(id) == self.end_of_text {
            return 0;
        }
        let Some(token) = self.tokenizer.id_to_token(id) else { return 0 };
        match self.tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id) {
            Some(added) if added.special => return 0,
            Some(added) => return added.content.len() as u32,
            None => {}
        }
        if token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') {
            return 1; // a byte that has no other token
        }
        let length = match self.tokenizer.get_decoder() {
            // One character represents one byte.
            Some(decoder) if is_byte_level(decoder) => token.chars().count(),
            Some(decoder) => {
                let decode = || decoder.decode(vec![BEFORE.to_owned(), token.clone()]);
                let decoded = contained(decode).ok().and_then(Result::ok);
                decoded.map_or(token.len(), |text| text.len().saturating_sub(BEFORE.len()))
            }
            None => token.len(),
        };
        length as u32
    }
}

/// Parses a part of the file, or all of it.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, TokenizerError> {
    contained(|| serde_json::from_value(value))
        .map_err(|message| TokenizerError::Panicked { during: "reading the file", message })?
        .map_err(|error| TokenizerError::Syntax(error.into()))
}

/// The growth of texts by the normalizer. It is determined before the rest is read, because the library normalises
/// added tokens while reading them.
fn growth(value: &Value) -> Result<Growth, TokenizerError> {
    let normalizer = value.get("normalizer").cloned().unwrap_or_default();
    let normalizer: Option<NormalizerWrapper> = read(normalizer)?;
    let growth = Growth::of(normalizer.as_ref());
    for token in value.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
        if let Some(content) = token.get("content").and_then(Value::as_str) {
            growth.check(content)?;
        }
    }
    Ok(growth)
}

fn is_byte_level(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteLevel(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(is_byte_level),
        _ => false,
    }
}
