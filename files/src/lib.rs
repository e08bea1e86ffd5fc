//! Files as text and tokens: what [`nitp_core::data`] trains on, read from disk.
//!
//! [`documents`] finds and reads texts, tables and token ids; [`token_cache`] makes a corpus of them, once;
//! [`prepared`] is a folder of token shards for texts that are larger than memory; [`whole_file`] writes files that
//! appear whole or not at all.

pub mod cache;
pub mod documents;
pub mod prepared;
pub mod token_cache;
pub mod whole_file;

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
