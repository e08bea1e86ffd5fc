//! Prepared text: a folder of token shards, an index, and the tokenizer.
//!
//! ```text
//! index.json                 counts, digests, the text's files; `Index`
//! tokenizer.json             the tokenizer, unless it is `byte`
//! tokens-00000.safetensors   the first `shard_tokens` tokens; `nitp_core::data::Shard`
//! tokens-00001.safetensors   ...
//! .lock                      held while the folder is written
//! ```
//!
//! [`prepare()`] writes such a folder from texts of any size; [`open()`] maps it into memory.

mod index;
mod open;
mod prepare;
mod shard_writer;
mod text_reader;

pub use index::{INDEX, Index, ShardEntry, SourceEntry, TOKENIZER, is_prepared};
pub use open::{check, open};
pub use prepare::{Options, Progress, prepare};

#[cfg(test)]
mod tests;
