//! From text to batches, without files: [`Tokenizer`] → [`TokenCorpus`] (tokens with document
//! boundaries) → [`Split`] (training and held-out text) → [`Dataset`], which gives a [`Batch`] by its number. There is
//! no state: the n-th batch is a function of data and seed.

mod batch;
mod corpus;
mod dataset;
mod documents;
mod sampler;
mod shards;
mod split;
mod tokenizer;
#[cfg(feature = "tokenizers")]
pub mod tokenizer_training;

pub use batch::{Batch, IGNORED_LABEL};
pub use corpus::{CorpusBuilder, TokenCorpus, Tokenised};
pub use dataset::{DataError, Dataset, Source, fingerprint_of};
pub use documents::{
    DocumentError, Fingerprint, Packing, Piece, TextDigest, TextFile, decoded, decompressed,
    documents, hexadecimal,
};
pub use sampler::WindowSampler;
pub use shards::{Shard, ShardError, Shards, SharedBytes, Tokens};
pub use split::{Split, Stream, Window};
pub use tokenizer::{HuggingFace, TextStream, Tokenizer, TokenizerError, contained};
