//! Which characters a tokenizer has no token for, and drops without a word.

use std::collections::{BTreeMap, HashMap};

use tokenizers::{
    Model, ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper, PreTokenizerWrapper,
};

use super::bytes::{BYTES, byte_characters};
use super::safe::contained;

/// What a tokenizer does with a character that is not in its vocabulary.
#[derive(Clone, Debug)]
pub enum Expression {
    /// There is none, or it becomes the unknown token, or an error.
    All,
    /// A byte-level vocabulary without some of the bytes: they are left out.
    Bytes(Box<[bool; BYTES]>),
    /// Characters that have no token are left out.
    Characters,
}

impl Expression {
    /// Of this tokenizer, whose unknown token is `unknown`.
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

    /// Whether any may be.
    pub fn leaves_out(&self) -> bool {
        !matches!(self, Self::All)
    }

    /// How often each character that is left out is in `text`.
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
                // Spaces are the pre-tokenizer's, which may replace or remove them.
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

/// Whether the model has tokens for all that the normalizer makes of a character.
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
        return true; // encoding it will say what is wrong
    };
    // What a normalizer puts before every text is not the character's.
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
