//! From text to batches, without files: [`Tokenizer`] → [`TokenCorpus`] (tokens with document
//! boundaries) → [`Split`] (training and held-out text) → [`Dataset`], which hands out a
//! [`Batch`] by its number. Nothing here has a state: the n-th batch follows from data and seed.

mod batch;
mod corpus;
mod dataset;
mod documents;
mod sampler;
mod split;
mod tokenizer;
pub mod tokenizer_training;

pub use batch::{Batch, IGNORED_LABEL};
pub use corpus::{CorpusBuilder, TokenCorpus, Tokenised};
pub use dataset::{DataError, Dataset};
pub use documents::{
    DocumentError, Fingerprint, Packing, TextDigest, TextFile, decoded, decompressed, documents,
};
pub use sampler::WindowSampler;
pub use split::{Split, Stream, Window};
pub use tokenizer::{HuggingFace, TextStream, Tokenizer, TokenizerError, contained};
