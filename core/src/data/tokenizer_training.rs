//! Training of a byte-level BPE tokenizer, as a Hugging Face `tokenizer.json`.
//!
//! The pieces are those of GPT-2 (Radford et al. 2019): text is split by GPT-2's regular expression, each byte becomes
//! one of 256 printable characters, and the most frequent neighbouring pair is merged until the vocabulary is full.
//! The vocabulary has all 256 bytes, so it covers every text, and there is no unknown token.

use thiserror::Error;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, NormalizerWrapper, TokenizerBuilder};

use crate::config::MAX_VOCAB;

/// The token that ends a document; it always has id 0, before the 256 bytes.
pub use super::tokenizer::END_OF_TEXT;

/// The smallest vocabulary: 256 bytes and [`END_OF_TEXT`], with no merge at all.
pub const MIN_VOCAB_SIZE: usize = 257;

/// Errors of training a tokenizer.
#[derive(Debug, Error)]
pub enum TokenizerTrainingError {
    /// The vocabulary is too small for the bytes.
    #[error(
        "vocabulary size {vocab_size} is too small for a byte-level tokenizer: it needs 256 bytes and {END_OF_TEXT}; \
         ask for {MIN_VOCAB_SIZE} or more"
    )]
    VocabularyTooSmall {
        /// The requested size, in tokens.
        vocab_size: usize,
    },
    /// The vocabulary is larger than a model's can be.
    #[error(
        "vocabulary size {vocab_size} is more than a model can have: ask for {MAX_VOCAB} tokens or \
         fewer; usual sizes are 4,096 to 262,144"
    )]
    MoreThanAModel {
        /// The requested size, in tokens.
        vocab_size: usize,
    },
    /// The size exceeds the number of tokens that merges of any text of this length could give.
    #[error(
        "vocabulary size {vocab_size} is too large for the text: its {bytes} bytes give at most {most} \
         tokens; give more text or ask for far fewer"
    )]
    MoreThanText {
        /// The requested size, in tokens.
        vocab_size: usize,
        /// Bytes of the text.
        bytes: usize,
        /// The upper bound: the bytes, [`END_OF_TEXT`], and a merge for each byte except one.
        most: usize,
    },
    /// All pairs in the text were merged before the vocabulary was full.
    #[error(
        "the text has too few different words for a vocabulary of {vocab_size}: all possible merges \
         give {reached} tokens; give more text or ask for {reached} or fewer"
    )]
    TooLittleText {
        /// The requested size, in tokens.
        vocab_size: usize,
        /// The size at which the merges ran out, in tokens.
        reached: usize,
    },
    /// The tokenizers crate failed.
    #[error("the tokenizers library could not train on this text")]
    Library(#[from] tokenizers::Error),
}

/// Trains a byte-level BPE tokenizer of exactly `vocab_size` tokens and returns the text of its `tokenizer.json`.
///
/// Each item of `texts` is a piece of text of any length; merges never cross items or words. Ids: 0 is [`END_OF_TEXT`],
/// 1 to 256 are the bytes, then the merges by descending frequency. The same texts, in any order, give the same file:
/// ties between pairs go to the lower ids.
///
/// # Errors
/// [`TokenizerTrainingError::VocabularyTooSmall`] under [`MIN_VOCAB_SIZE`], [`TokenizerTrainingError::MoreThanAModel`]
/// above [`MAX_VOCAB`], [`TokenizerTrainingError::MoreThanText`] and [`TokenizerTrainingError::TooLittleText`] if the
/// text can't fill the vocabulary: the first is found before training, the second after all merges.
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
    // The library allocates memory for the whole vocabulary before it reads the text.
    let texts: Vec<_> = texts.collect();
    let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
    // Each merge shortens the text by at least one token.
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
    // The library reads the iterator lazily and in parallel, so the iterator has to be Send, as that of a Vec is.
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
