//! A prepared folder as a corpus.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use memmap2::Mmap;
use nitp_core::data::{Shard, Shards, TokenCorpus, Tokenizer, Tokens, hexadecimal};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::index::{self, Index, ShardEntry, TOKENIZER};

/// The corpus in a prepared folder. Its shards are mapped into memory, so that the system reads the tokens that a run
/// uses, and may drop them again. All of them are read once, to compare their digests with the index.
///
/// # Errors
/// If the folder was prepared with another tokenizer or is not complete, or a shard is missing, cut short or damaged.
pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<TokenCorpus> {
    let (index, fingerprint) = complete_index(folder)?;
    if index.tokenizer != index::identity(tokenizer) {
        let file = folder.join(TOKENIZER);
        let given = match file.exists() {
            true => format!("data.tokenizer={}", file.display()),
            false => format!("data.tokenizer=byte and model.vocab_size={}", index.vocab_size),
        };
        let end_of_text = match index.end_of_text {
            None => "none".to_owned(),
            Some(id) => tokenizer.token(id).unwrap_or_else(|| format!("the token {id}")),
        };
        bail!(
            "{} was prepared with another tokenizer, or another data.end_of_text, than the run has: set {given} and \
             data.end_of_text={end_of_text}, or prepare the text again with the tokenizer of the run",
            folder.display()
        );
    }
    let (shards, starts) = shards(folder, &index)?;
    let tokens = Tokens::Shards(shards);
    Ok(TokenCorpus::stored(tokens, starts, index.notes, tokenizer.end_of_text(), fingerprint))
}

/// Compares all shards of a prepared folder with its index, and gives the index.
///
/// # Errors
/// If the folder is not complete, or a shard is missing, cut short or damaged.
pub fn check(folder: &Path) -> Result<Index> {
    let (index, _) = complete_index(folder)?;
    shards(folder, &index)?;
    Ok(index)
}

/// The index of a folder, and its fingerprint.
fn complete_index(folder: &Path) -> Result<(Index, String)> {
    let name = folder.display();
    let Some(index) = Index::read(folder)? else {
        bail!("{name} holds no prepared tokens: `nitp data prepare` writes such folders");
    };
    let Some(fingerprint) = index.fingerprint.clone() else {
        bail!(
            "the preparation of {name} has not ended: it has {} tokens so far. The same `nitp data prepare` goes on \
             where it stopped",
            index.tokens
        );
    };
    Ok((index, fingerprint))
}

/// The tokens of all shards, and the positions at which documents start.
///
/// # Errors
/// If a shard is missing, cut short or damaged.
pub fn shards(folder: &Path, index: &Index) -> Result<(Shards, Vec<u64>)> {
    let open = |shard| read(folder, shard, index.vocab_size);
    let shards: Vec<(Shard, Vec<u64>)> =
        index.shards.par_iter().map(open).collect::<Result<_>>()?;
    let mut starts = Vec::new();
    for (number, (_, of_shard)) in shards.iter().enumerate() {
        let before = (number * index.shard_tokens) as u64;
        starts.extend(of_shard.iter().map(|start| before + start));
    }
    ensure!(
        starts.first() == Some(&0) || shards.is_empty(),
        "{} is damaged: its first document does not start at its first token",
        folder.display()
    );
    Ok((Shards::new(shards.into_iter().map(|(shard, _)| shard).collect()), starts))
}

fn read(folder: &Path, entry: &ShardEntry, vocab_size: usize) -> Result<(Shard, Vec<u64>)> {
    let path = folder.join(&entry.file);
    let name = path.display();
    let file = File::open(&path).with_context(|| format!("opening the shard {name}"))?;
    let bytes = file.metadata().with_context(|| format!("opening the shard {name}"))?.len();
    ensure!(
        bytes == entry.bytes,
        "the shard {name} has {bytes} bytes, and the index counts {}: it was not copied whole, or has changed",
        entry.bytes
    );
    // SAFETY: shards are written under another name, renamed once, and never changed by this program. Whoever changes
    // the file of a running process changes its tokens, whose ids were checked; who shortens it ends the process.
    let map = unsafe { Mmap::map(&file) }.with_context(|| format!("mapping the shard {name}"))?;
    let sha256 = hexadecimal(&Sha256::digest(&map));
    ensure!(
        sha256 == entry.sha256,
        "the shard {name} is damaged: its SHA-256 is {sha256}, and the index has {}. Copy it again, or prepare the \
         text again",
        entry.sha256
    );
    let (shard, starts) =
        Shard::parse(Arc::new(map), vocab_size).with_context(|| format!("the shard {name}"))?;
    ensure!(
        (shard.len(), starts.len()) == (entry.tokens, entry.documents),
        "the shard {name} has {} tokens and {} documents, and the index counts {} and {}",
        shard.len(),
        starts.len(),
        entry.tokens,
        entry.documents
    );
    Ok((shard, starts))
}
