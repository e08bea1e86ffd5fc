//! What keeps a model from going to Hugging Face's format or from coming from it.

use thiserror::Error;

use crate::train::CheckpointError;

/// A model that can't be read from, or written in, Hugging Face's format.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum HuggingFaceError {
    /// A file is no JSON, or not of the expected form.
    #[error("{file} can't be read: {reason}")]
    Json {
        /// Which file.
        file: String,
        /// What the reader said.
        reason: String,
    },
    /// A key has no value, or one of another kind.
    #[error("{file}: {key} is {found}, and must be {expected}")]
    Key {
        /// Which file.
        file: String,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// A model of a kind that this program has not.
    #[error("{file}: {key} is {found}. {reason}")]
    Unsupported {
        /// Which file.
        file: String,
        /// The key that says so.
        key: String,
        /// Its value.
        found: String,
        /// What is supported.
        reason: String,
    },
    /// No class of transformers computes what the model does.
    #[error("transformers has no class for a model with {with}, so it can't be exported")]
    NoClass {
        /// What none of them has together.
        with: &'static str,
    },
    /// Keys whose meaning is not known.
    #[error(
        "{file} has unknown keys: {keys}. Each may change the model's results. Remove the keys that \
         don't from a copy of the file"
    )]
    UnknownKeys {
        /// Which file.
        file: String,
        /// The keys with their values.
        keys: String,
    },
    /// The index of several weight files is wrong.
    #[error("{file}: {reason}")]
    Index {
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Two files hold the same tensor.
    #[error("{folder}: two files hold `{name}`")]
    Twice {
        /// Where the files lie.
        folder: String,
        /// The tensor.
        name: String,
    },
    /// The unembedding differs from the embedding that the configuration says it is.
    #[error(
        "{folder}: lm_head.weight differs from model.embed_tokens.weight, but config.json ties them \
         (tie_word_embeddings). Set it to false if the weights are right"
    )]
    Untied {
        /// Where the files lie.
        folder: String,
    },
    /// The weights are not those of the model.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// A weight is too large for a type.
    #[error(
        "element {index} of `{name}` is {value}, beyond {dtype}'s maximum {largest}. Write the weights as bf16 or f32"
    )]
    TooLarge {
        /// The tensor.
        name: String,
        /// The first such element.
        index: usize,
        /// Its value.
        value: f32,
        /// The type.
        dtype: &'static str,
        /// Its largest number.
        largest: f32,
    },
}
