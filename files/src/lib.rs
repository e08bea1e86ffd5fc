//! Files as text and tokens: what [`nitp_core::data`] trains on, read from disk.
//!
//! [`documents`] finds and reads texts, tables and token ids; [`token_cache`] makes a corpus of them, once;
//! [`prepared`] is a folder of token shards for texts that are larger than memory; [`whole_file`] writes files that
//! appear whole or not at all.
//!
//! A text becomes shards, and these a corpus:
//!
//! ```
//! use nitp_core::data::Tokenizer;
//! use nitp_files::documents::{self, Named};
//! use nitp_files::prepared::{self, Options};
//!
//! # fn main() -> anyhow::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let text = folder.join("text.jsonl");
//! std::fs::write(&text, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n")?;
//! let tokenizer = Tokenizer::new("byte", 257)?;
//! let options = Options {
//!     tokenizer: &tokenizer,
//!     keep_tokenizer: false,
//!     text_column: None,
//!     shard_tokens: 1 << 24,
//! };
//! let sources = documents::find(&[text], Named::Now)?.sources;
//! let out = folder.join("tokens");
//! let index = prepared::prepare(&sources, &out, &options, |_| {}, |note| eprintln!("{note}"))?;
//! let corpus = prepared::open(&out, &tokenizer)?;
//! assert_eq!((index.tokens, corpus.documents()), (8, 2));
//! assert_eq!(*corpus.tokens(0..4), [111, 110, 101, 256]);
//! # Ok(())
//! # }
//! ```

pub mod cache;
pub mod documents;
pub mod prepared;
pub mod token_cache;
pub mod whole_file;
