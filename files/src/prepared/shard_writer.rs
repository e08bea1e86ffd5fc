//! Writes shards, and after each of them the index.

use std::path::Path;
use std::sync::mpsc::Receiver;

use anyhow::Result;
use nitp_core::data::{Shard, hexadecimal};
use sha2::{Digest, Sha256};

use super::index::{Index, ShardEntry, State, file_name, write_file};

/// The next shard.
#[derive(Debug)]
pub struct Job {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Positions among them at which documents start.
    pub starts: Vec<u64>,
    /// Where to go on if the preparation ends after this shard.
    pub state: State,
}

/// Writes the shards of `jobs` until no more come.
///
/// # Errors
/// Errors of the file system. The folder then has the shards so far, and their index.
pub fn write(folder: &Path, mut index: Index, jobs: &Receiver<Job>) -> Result<Index> {
    for Job { tokens, starts, state } in jobs {
        let file = file_name(index.shards.len());
        let bytes = Shard::to_bytes(&tokens, &starts, index.vocab_size);
        write_file(folder, &file, &bytes)?;
        index.tokens += tokens.len() as u64;
        index.documents += starts.len() as u64;
        index.shards.push(ShardEntry {
            file,
            tokens: tokens.len(),
            documents: starts.len(),
            bytes: bytes.len() as u64,
            sha256: hexadecimal(&Sha256::digest(&bytes)),
        });
        // The last shard is shorter, and its index is written with the fingerprint.
        if tokens.len() == index.shard_tokens {
            index.state = Some(state);
            index.write(folder)?;
        }
    }
    Ok(index)
}
