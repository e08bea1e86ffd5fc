//! Errors of reading checkpoints.

use thiserror::Error;

use super::meaning::Differences;

/// A checkpoint that can't be read.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CheckpointError {
    /// A file is not in the format safetensors, or is truncated.
    #[error(
        "{file} is no valid safetensors file ({reason}). It may be truncated or of another format; use \
        another checkpoint"
    )]
    Broken {
        /// The file.
        file: String,
        /// The reader's message.
        reason: String,
    },
    /// A file differs from the one that was written.
    #[error(
        "{file} was truncated, damaged or changed after it was written: {found}, and {trainer} \
         says {expected}. Put the file back as it was, or use another checkpoint of the run"
    )]
    Changed {
        /// The file.
        file: String,
        /// The file that holds the digests.
        trainer: String,
        /// Its recorded number of bytes or SHA-256.
        expected: String,
        /// Its actual number of bytes or SHA-256.
        found: String,
    },
    /// A tensor of the model is missing.
    #[error(
        "{file} has no tensor `{name}` {shape:?}, which this configuration needs. Is it the \
         checkpoint of another model? It holds {found} tensors, such as `{example}`"
    )]
    Missing {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Number of tensors in the file.
        found: usize,
        /// One of them.
        example: String,
    },
    /// The file has tensors that the model lacks.
    #[error(
        "{file} holds {count} tensor{} that this configuration lacks: {names}. Without {} it would be \
         another model. {advice}",
        if *count == 1 { "" } else { "s" },
        if *count == 1 { "it" } else { "them" }
    )]
    Surplus {
        /// The file.
        file: String,
        /// Number of such tensors.
        count: usize,
        /// The first of them.
        names: String,
        /// Advice for the kind of the first one.
        advice: &'static str,
    },
    /// A tensor has another shape.
    #[error(
        "{file}: `{name}` is {found:?}, this configuration needs {expected:?}. Use the configuration that the checkpoint was trained with"
    )]
    Shape {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
    /// A tensor has an unsupported element type.
    #[error(
        "{file}: `{name}` has elements of type {dtype}; F32, F16 and BF16 are read. Convert it to one of them"
    )]
    Type {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A weight is not finite.
    #[error(
        "{file}: element {index} of `{name}` is {value}: the weights are broken. Use an earlier \
         checkpoint"
    )]
    NotFinite {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// The first such element.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// Settings that determine the meaning of the weights differ.
    #[error(
        "the weights in {file} were made with other settings of [model]: {differences}. With these \
         settings they would be another model. Restore the settings of the weights"
    )]
    Model {
        /// The file.
        file: String,
        /// Each key with both values.
        differences: Differences,
    },
    /// The trainer's state is broken or of another version.
    #[error("{file}: {reason}")]
    State {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}
