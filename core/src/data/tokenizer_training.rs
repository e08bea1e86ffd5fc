//! Training of a byte-level BPE tokenizer, as a Hugging Face `tokenizer.json`.
//!
//! The pieces are those of GPT-2 (Radford et al. 2019): text is split by GPT-2's regular expression, each byte becomes
//! one of 256 printable characters, and the most frequent neighbouring pair is merged until the vocabulary is full.
//! With all 256 bytes in the vocabulary no text is ever out of it, so there is no unknown token.

use thiserror::Error;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, NormalizerWrapper, TokenizerBuilder};

use crate::config::MAX_VOCAB;

/// The token that ends a document; it always has id 0, before the 256 bytes.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// The smallest vocabulary: 256 bytes and [`END_OF_TEXT`], with no merge at all.
pub const MIN_VOCAB_SIZE: usize = 257;

/// Why no tokenizer came out of the text.
#[derive(Debug, Error)]
pub enum TokenizerTrainingError {
    /// The vocabulary could not even hold the bytes.
    #[error(
        "vocabulary size {vocab_size} is too small for a byte-level tokenizer: it needs 256 bytes and {END_OF_TEXT}; \
         ask for {MIN_VOCAB_SIZE} or more"
    )]
    VocabularyTooSmall {
        /// The size that was asked for, in tokens.
        vocab_size: usize,
    },
    /// The vocabulary is larger than a model's can be.
    #[error(
        "vocabulary size {vocab_size} is more than a model can have: ask for {MAX_VOCAB} tokens or \
         fewer; usual sizes are 4,096 to 262,144"
    )]
    MoreThanAModel {
        /// The size that was asked for, in tokens.
        vocab_size: usize,
    },
    /// There are more tokens than merges could make of the text, whatever it says.
    #[error(
        "vocabulary size {vocab_size} is too large for the text: its {bytes} bytes give at most {most} \
         tokens; give more text or ask for far fewer"
    )]
    MoreThanText {
        /// The size that was asked for, in tokens.
        vocab_size: usize,
        /// Bytes of the text.
        bytes: usize,
        /// The bytes and [`END_OF_TEXT`], and a merge for each byte but one.
        most: usize,
    },
    /// Every pair in the text was merged before the vocabulary was full.
    #[error(
        "the text has too few different words for a vocabulary of {vocab_size}: all possible merges \
         give {reached} tokens; give more text or ask for {reached} or fewer"
    )]
    TooLittleText {
        /// The size that was asked for, in tokens.
        vocab_size: usize,
        /// The size at which the merges ran out, in tokens.
        reached: usize,
    },
    /// The tokenizers crate gave up.
    #[error("the tokenizers library could not train on this text")]
    Library(#[from] tokenizers::Error),
}

/// Trains a byte-level BPE tokenizer of exactly `vocab_size` tokens and returns the text of its `tokenizer.json`.
///
/// Each item of `texts` is a piece of text of any length; merges never cross from one item into the next, nor from one
/// word into the next. Ids: 0 is [`END_OF_TEXT`], 1 to 256 are the bytes, then the merges by falling frequency. The
/// same texts, in any order, give the same bytes: ties between pairs go to the lower ids.
///
/// # Errors
/// [`TokenizerTrainingError::VocabularyTooSmall`] under [`MIN_VOCAB_SIZE`], [`TokenizerTrainingError::MoreThanAModel`]
/// above [`MAX_VOCAB`], [`TokenizerTrainingError::MoreThanText`] and [`TokenizerTrainingError::TooLittleText`] where
/// the text can't fill the vocabulary: the first before anything is made of it, the second after every merge.
pub fn train_bpe(
    texts: impl Iterator<Item = impl AsRef<str> + Send> + Send,
    vocab_size: usize,
) -> Result<String, TokenizerTrainingError> {
    if vocab_size < MIN_VOCAB_SIZE {
        return Err(TokenizerTrainingError::VocabularyTooSmall { vocab_size });
    }
    if vocab_size > MAX_VOCAB {
        return Err(TokenizerTrainingError::MoreThanAModel { vocab_size });
    }
    // The library takes memory for the whole vocabulary before it looks at the text.
    let texts: Vec<_> = texts.collect();
    let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
    // Each merge leaves the text one token shorter at least.
    let most = MIN_VOCAB_SIZE + bytes.saturating_sub(1);
    if vocab_size > most {
        return Err(TokenizerTrainingError::MoreThanText { vocab_size, bytes, most });
    }
    let byte_level = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer = TokenizerBuilder::<BPE, NormalizerWrapper, _, _, _>::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(byte_level))
        .with_decoder(Some(byte_level))
        .build()?;
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    // The library parallelises over rayon and reads what it is fed lazily, so the iterator has to be Send: a Vec's is.
    tokenizer.train(&mut trainer, texts.into_iter())?;
    let reached = tokenizer.get_model().get_vocab_size();
    if reached != vocab_size {
        return Err(TokenizerTrainingError::TooLittleText { vocab_size, reached });
    }
    Ok(tokenizer.to_string(true)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Tokenizer;

    fn texts() -> Vec<String> {
        vec![
            "the tide turned and the boats turned with it".to_owned(),
            "the boats came in on the tide".to_owned(),
        ]
    }

    #[test]
    fn is_exact_in_size_and_turns_any_text_into_tokens_and_back() {
        let json = train_bpe(texts().into_iter(), 270).unwrap();
        let tokenizer: Tokenizer = json.parse().unwrap();
        assert_eq!(tokenizer.get_vocab_size(true), 270);
        assert_eq!(tokenizer.token_to_id(END_OF_TEXT), Some(0));
        for text in ["the boats", " Ünïcode, tabs\tand\n\nnewlines  ", "\u{0}"] {
            let ids = tokenizer.encode(text, true).unwrap();
            assert!(ids.get_ids().iter().all(|&id| (1..270).contains(&id)));
            assert_eq!(tokenizer.decode(ids.get_ids(), false).unwrap(), text);
        }
        let merged = tokenizer.encode("the boats", false).unwrap();
        assert!(merged.len() < "the boats".len());
    }

    #[test]
    fn does_not_depend_on_the_order_of_the_texts() {
        let backwards = texts().into_iter().rev();
        assert_eq!(
            train_bpe(texts().into_iter(), 280).unwrap(),
            train_bpe(backwards, 280).unwrap()
        );
    }

    #[test]
    fn says_what_is_wrong_with_a_size() {
        let error = train_bpe(texts().into_iter(), 256).unwrap_err();
        assert!(matches!(error, TokenizerTrainingError::VocabularyTooSmall { vocab_size: 256 }));
        for huge in [u32::MAX as usize + 1, usize::MAX, MAX_VOCAB + 1] {
            let error = train_bpe(texts().into_iter(), huge).unwrap_err();
            assert!(matches!(error, TokenizerTrainingError::MoreThanAModel { .. }), "{error}");
        }
        let error = train_bpe(texts().into_iter(), 5000).unwrap_err();
        let bytes = texts().concat().len();
        let TokenizerTrainingError::MoreThanText { most, .. } = error else { panic!("{error}") };
        assert_eq!(most, 256 + bytes);
        let error = train_bpe(texts().into_iter(), most).unwrap_err();
        let TokenizerTrainingError::TooLittleText { reached, .. } = error else {
            panic!("{error}");
        };
        assert!(train_bpe(texts().into_iter(), reached).is_ok());
    }
}
