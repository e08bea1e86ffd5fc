//! Texts that are too short.

use thiserror::Error;

/// A text that is too short for a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// The training text is shorter than a row.
    #[error(
        "the training text has {tokens} of {total} tokens, but a row needs train.context_length + 1 = \
         {needed}: {}",
        advice(*total, *needed, "set a smaller data.validation_fraction")
    )]
    TrainingTooShort {
        /// Tokens of the training text.
        tokens: usize,
        /// Tokens of the corpus.
        total: usize,
        /// Tokens of a row and its last label.
        needed: usize,
    },
    /// The held-out text is shorter than a row.
    #[error(
        "the held-out text has {tokens} of {total} tokens, but a row needs train.context_length + \
         1 = {needed}: {}",
        advice(*total, *needed, "set a larger data.validation_fraction")
    )]
    HeldOutTooShort {
        /// Tokens of the held-out text.
        tokens: usize,
        /// Tokens of the corpus.
        total: usize,
        /// Tokens of a row and its last label.
        needed: usize,
    },
    /// A text given for evaluation is shorter than a row.
    #[error(
        "the text to evaluate on has {tokens} tokens, but a row of this model needs \
         train.context_length + 1 = {needed}: give more text"
    )]
    EvaluationTooShort {
        /// Tokens of the text.
        tokens: usize,
        /// Tokens of a row and its last label.
        needed: usize,
    },
    /// One of several texts is too short.
    #[error("of the texts in data.paths, number {number}: {error}")]
    Source {
        /// The text, from 1.
        number: usize,
        /// Its fault.
        error: Box<DataError>,
    },
}

/// Advice about a text of `total` tokens, a part of which is shorter than a row of `needed` tokens. Another division
/// (`divide`) helps only if the text has a row for each part; holding nothing out helps only if it has one row.
fn advice(total: usize, needed: usize, divide: &str) -> String {
    let whole = "set data.validation_fraction=0 to train without evaluations";
    let mut ways = vec!["give more text"];
    ways.extend((total >= 2 * needed).then_some(divide));
    ways.extend((total >= needed).then_some(whole));
    format!("{}, or set a smaller train.context_length", ways.join(", "))
}
