//! What can be wrong with a checkpoint.

use thiserror::Error;

use super::meaning::Differences;

/// A checkpoint that can't be read.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CheckpointError {
    /// Not a safetensors file, or cut short.
    #[error(
        "{file} is no valid safetensors file ({reason}). It may be truncated or of another format; use \
        another checkpoint"
    )]
    Broken {
        /// Which file.
        file: String,
        /// What the reader said.
        reason: String,
    },
    /// A file is not the one that was written.
    #[error(
        "{file} was truncated, damaged or changed after it was written: {found}, and {trainer} \
         says {expected}. Put the file back as it was, or use another checkpoint of the run"
    )]
    Changed {
        /// Which file.
        file: String,
        /// The file that holds the digests.
        trainer: String,
        /// What it should be: a number of bytes, or a SHA-256.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A tensor that the model needs is not there.
    #[error(
        "{file} has no tensor `{name}` {shape:?}, which this configuration needs. Is it the \
         checkpoint of another model? It holds {found} tensors, such as `{example}`"
    )]
    Missing {
        /// Which file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many tensors there are.
        found: usize,
        /// One of them.
        example: String,
    },
    /// There are tensors that the model has no place for.
    #[error(
        "{file} holds {count} tensor{} that this configuration lacks: {names}. Without {} it would be \
         another model. {advice}",
        if *count == 1 { "" } else { "s" },
        if *count == 1 { "it" } else { "them" }
    )]
    Surplus {
        /// Which file.
        file: String,
        /// How many there are.
        count: usize,
        /// The first of them.
        names: String,
        /// What to do, by the kind of the first.
        advice: &'static str,
    },
    /// A tensor has another shape.
    #[error(
        "{file}: `{name}` is {found:?}, this configuration needs {expected:?}. Use the configuration that the checkpoint was trained with"
    )]
    Shape {
        /// Which file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
    /// A tensor has an element type that is not read.
    #[error(
        "{file}: `{name}` has elements of type {dtype}; F32, F16 and BF16 are read. Convert it to one of them"
    )]
    Type {
        /// Which file.
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
        /// Which file.
        file: String,
        /// The tensor.
        name: String,
        /// The first such element.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// The settings that say what the weights mean are others.
    #[error(
        "the weights in {file} were made with other settings of [model]: {differences}. With these \
         settings they would be another model. Restore the settings of the weights"
    )]
    Model {
        /// Which file.
        file: String,
        /// Each key with both values.
        differences: Differences,
    },
    /// The trainer's state is broken or of another version.
    #[error("{file}: {reason}")]
    State {
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}
