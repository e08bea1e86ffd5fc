//! Errors of import and export in Hugging Face's format.

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
        /// The reader's message.
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
    /// The model has a property that this program does not support.
    #[error("{file}: {key} is {found}. {reason}")]
    Unsupported {
        /// Which file.
        file: String,
        /// The key of this property.
        key: String,
        /// Its value.
        found: String,
        /// What is supported.
        reason: String,
    },
    /// No class of transformers computes the same function as the model.
    #[error("transformers has no class for a model with {with}, so it can't be exported")]
    NoClass {
        /// The combination of properties that no class has.
        with: &'static str,
    },
    /// Unknown keys.
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
    /// A file of weights is absent.
    #[error("{folder} has no {file}: choose its whole folder")]
    Absent {
        /// The folder of the files.
        folder: String,
        /// The absent file.
        file: String,
    },
    /// A file of weights was not fetched.
    #[error("{file} is a Git LFS pointer: fetch the file itself with `git lfs pull`")]
    Pointer {
        /// Which file.
        file: String,
    },
    /// Two files hold the same tensor.
    #[error("{folder}: two files hold `{name}`")]
    Twice {
        /// The folder of the files.
        folder: String,
        /// The tensor.
        name: String,
    },
    /// The unembedding differs from the embedding, although the configuration ties them.
    #[error(
        "{folder}: lm_head.weight differs from model.embed_tokens.weight, but config.json ties them \
         (tie_word_embeddings). Set it to false if the weights are right"
    )]
    Untied {
        /// The folder of the files.
        folder: String,
    },
    /// The weights do not fit the model.
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
