//! Characters that a tokenizer has no token for, and drops silently.

use std::collections::{BTreeMap, HashMap};

use tokenizers::{
    Model, ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper, PreTokenizerWrapper,
};

use super::bytes::{BYTES, byte_characters};
use super::safe::contained;

/// The characters that a tokenizer drops silently.
#[derive(Clone, Debug)]
pub enum Expression {
    /// No character is dropped: every one has a token, becomes the unknown token, or gives an error.
    All,
    /// A byte-level vocabulary that lacks some bytes, which are dropped.
    Bytes(Box<[bool; BYTES]>),
    /// Characters without a token are dropped.
    Characters,
}

impl Expression {
    /// The dropped characters of a tokenizer with the unknown token `unknown`.
    pub fn of(tokenizer: &tokenizers::Tokenizer, unknown: Option<u32>) -> Self {
        // The other models have an unknown token or fail.
        let ModelWrapper::BPE(model) = tokenizer.get_model() else { return Self::All };
        if unknown.is_some() || model.unk_token.is_some() {
            return Self::All;
        }
        let normalizer = tokenizer.get_normalizer().is_some_and(normalizes_bytes);
        if normalizer || tokenizer.get_pre_tokenizer().is_some_and(splits_bytes) {
            let missing = byte_characters().map(|c| model.token_to_id(&c.to_string()).is_none());
            return match missing.contains(&true) {
                true => Self::Bytes(Box::new(missing)),
                false => Self::All,
            };
        }
        let byte = |byte: usize| model.token_to_id(&format!("<0x{byte:02X}>")).is_some();
        if model.byte_fallback && (0..BYTES).all(byte) { Self::All } else { Self::Characters }
    }

    /// Whether any character may be dropped.
    pub fn leaves_out(&self) -> bool {
        !matches!(self, Self::All)
    }

    /// Number of occurrences in `text` of each dropped character.
    pub fn missing(&self, tokenizer: &tokenizers::Tokenizer, text: &str) -> BTreeMap<char, u64> {
        let mut found = BTreeMap::new();
        match self {
            Self::All => {}
            Self::Bytes(missing) => {
                let bytes = text.bytes().any(|byte| missing[byte as usize]);
                for c in text.chars().filter(|_| bytes) {
                    let mut buffer = [0; 4];
                    if c.encode_utf8(&mut buffer).bytes().any(|byte| missing[byte as usize]) {
                        *found.entry(c).or_default() += 1;
                    }
                }
            }
            Self::Characters => {
                let mut known = HashMap::new();
                // Spaces don't count: pre-tokenizers may replace or remove them.
                for c in text.chars().filter(|c| !c.is_whitespace()) {
                    if !*known.entry(c).or_insert_with(|| has_token(tokenizer, c)) {
                        *found.entry(c).or_default() += 1;
                    }
                }
            }
        }
        found
    }
}

/// Whether the model has tokens for the normalised form of a character.
fn has_token(tokenizer: &tokenizers::Tokenizer, c: char) -> bool {
    let normalized = |text: String| {
        let mut normalized = NormalizedString::from(text);
        let normalize = || match tokenizer.get_normalizer() {
            Some(normalizer) => normalizer.normalize(&mut normalized),
            None => Ok(()),
        };
        matches!(contained(normalize), Ok(Ok(()))).then(|| normalized.get().to_owned())
    };
    let (Some(once), Some(twice)) = (normalized(c.to_string()), normalized(format!("{c}{c}")))
    else {
        return true; // encoding will report the error
    };
    // The text that a normalizer prepends to every text does not belong to the character.
    let own = twice.strip_prefix(&once).unwrap_or(&once);
    own.chars().all(|c| {
        let tokens = contained(|| tokenizer.get_model().tokenize(&c.to_string()));
        !matches!(tokens, Ok(Ok(tokens)) if tokens.is_empty())
    })
}

fn normalizes_bytes(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::ByteLevel(_) => true,
        NormalizerWrapper::Sequence(all) => all.as_ref().iter().any(normalizes_bytes),
        _ => false,
    }
}

fn splits_bytes(pre_tokenizer: &PreTokenizerWrapper) -> bool {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(_) => true,
        PreTokenizerWrapper::Sequence(all) => all.as_ref().iter().any(splits_bytes),
        _ => false,
    }
}
