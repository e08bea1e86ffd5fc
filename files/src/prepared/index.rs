//! The index of a prepared folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nitp_core::data::{Fingerprint, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::whole_file;

/// The name of the index.
pub const INDEX: &str = "index.json";

/// The name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";

/// The value of [`Index::format`].
const FORMAT: &str = "nitp-tokens";

/// The value of [`Index::version`]. It changes with the format, and with the parts in which text is read, because an
/// unfinished preparation counts them.
const VERSION: u32 = 1;

/// What a prepared folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// "nitp-tokens".
    pub format: String,
    /// The version of the format.
    pub version: u32,
    /// One more than the largest token id.
    pub vocab_size: usize,
    /// The token that ends a document, if there is one.
    pub end_of_text: Option<u32>,
    /// Digest of the tokenizer and its end-of-text token.
    pub tokenizer: String,
    /// Tokens of each shard but the last.
    pub shard_tokens: usize,
    /// Tokens of all shards.
    pub tokens: u64,
    /// Documents that start in them.
    pub documents: u64,
    /// The shards, in order.
    pub shards: Vec<ShardEntry>,
    /// The files of the text, in order; complete once the fingerprint is there.
    pub sources: Vec<SourceEntry>,
    /// Notes for the user about the text.
    pub notes: Vec<String>,
    /// The digest by which a run recognises its data; absent as long as shards are missing.
    pub fingerprint: Option<String>,
    /// Where an unfinished preparation goes on.
    pub state: Option<State>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Its file, in the folder of the index.
    pub file: String,
    /// Its tokens.
    pub tokens: usize,
    /// Documents that start in it.
    pub documents: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// A file of the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Its name.
    pub name: String,
    /// Bytes of its text in UTF-8; 0 for token ids.
    pub text_bytes: u64,
    /// Its tokens, with those that end documents.
    pub tokens: u64,
    /// Its documents.
    pub documents: u64,
}

/// A place between two parts of the text at which no document is open, and the counts up to there. The shards hold all
/// tokens of the text before this place, and maybe some after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Parts of the text before the place, and ends of files.
    pub parts: u64,
    /// Digest of them.
    pub sha256: String,
    /// Their tokens.
    pub tokens: u64,
    /// Their documents.
    pub documents: u64,
    /// Number of occurrences in them of each character without a token.
    pub left_out: BTreeMap<char, u64>,
    /// The files that ended before the place.
    pub sources: Vec<SourceEntry>,
    /// Bytes of text before the place of the file that is open there.
    pub text_bytes: u64,
}

impl Index {
    /// The index of a folder that has no shards yet.
    pub fn new(tokenizer: &Tokenizer, shard_tokens: usize) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            vocab_size: tokenizer.vocab_size(),
            end_of_text: tokenizer.end_of_text(),
            tokenizer: identity(tokenizer),
            shard_tokens,
            tokens: 0,
            documents: 0,
            shards: Vec::new(),
            sources: Vec::new(),
            notes: Vec::new(),
            fingerprint: None,
            state: None,
        }
    }

    /// Reads the index of a folder; `None` if there is none.
    ///
    /// # Errors
    /// If it can't be read, or is no index of this version.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(INDEX);
        let text = match fs::read_to_string(&path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            text => text.with_context(|| format!("reading {}", path.display()))?,
        };
        Self::parse(&path.display().to_string(), &text).map(Some)
    }

    /// The index in the text of the file `name`.
    ///
    /// # Errors
    /// If it is no index of this version.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        ensure!(
            is_named(text),
            "{name} is no index of token shards: `nitp data prepare` writes one"
        );
        let damaged = || format!("{name} is damaged: prepare the text again");
        let value: serde_json::Value = serde_json::from_str(text).with_context(damaged)?;
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        ensure!(
            version.is_none_or(|version| version == u64::from(VERSION)),
            "{name} has version {} of its format, and this program knows version {VERSION}: prepare the text again with \
             `nitp data prepare`",
            version.unwrap_or_default()
        );
        let index: Self = serde_json::from_value(value).with_context(damaged)?;
        index.check().with_context(|| format!("{name} is damaged"))?;
        Ok(index)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.shard_tokens > 0, "its shards have no tokens");
        for (number, shard) in self.shards.iter().enumerate() {
            ensure!(
                shard.file == file_name(number),
                "shard {number} has the file {:?}, not {}",
                shard.file,
                file_name(number)
            );
            let is_last = number + 1 == self.shards.len();
            let fits = if is_last && self.fingerprint.is_some() {
                (1..=self.shard_tokens).contains(&shard.tokens)
            } else {
                shard.tokens == self.shard_tokens
            };
            ensure!(
                fits,
                "{} has {} tokens, but each shard has {}",
                shard.file,
                shard.tokens,
                self.shard_tokens
            );
        }
        let sum = |count: fn(&ShardEntry) -> usize| {
            self.shards.iter().try_fold(0u64, |sum, shard| sum.checked_add(count(shard) as u64))
        };
        ensure!(
            sum(|it| it.tokens) == Some(self.tokens)
                && sum(|it| it.documents) == Some(self.documents),
            "its counts are not the sums of those of its shards"
        );
        let of_files = |count: fn(&SourceEntry) -> u64, sources: &[SourceEntry]| {
            sources.iter().try_fold(0u64, |sum, source| sum.checked_add(count(source)))
        };
        let counts =
            |sources| (of_files(|it| it.tokens, sources), of_files(|it| it.documents, sources));
        if self.fingerprint.is_some() {
            ensure!(
                counts(&self.sources) == (Some(self.tokens), Some(self.documents)),
                "its counts are not the sums of those of the text's files"
            );
        }
        if let Some(state) = &self.state {
            let (tokens, documents) = counts(&state.sources);
            ensure!(
                state.tokens <= self.tokens
                    && tokens.is_some_and(|tokens| tokens <= state.tokens)
                    && documents.is_some_and(|documents| documents <= state.documents),
                "its state does not agree with its shards"
            );
        }
        Ok(())
    }

    /// Writes the index of a folder.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_file(folder, INDEX, serde_json::to_string_pretty(self)?.as_bytes())
    }
}

/// Writes a file of an unfinished folder.
///
/// # Errors
/// Errors of the file system, such as a full disk, with the way to go on.
pub fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    whole_file::write(&folder.join(name), bytes).with_context(|| {
        format!(
            "preparing text in {}; the shards so far are intact. Free disk space, then the same `nitp data prepare` \
             goes on where it stopped",
            folder.display()
        )
    })
}

/// Whether `path` is a prepared folder.
pub fn is_prepared(path: &Path) -> bool {
    fs::read_to_string(path.join(INDEX)).is_ok_and(|text| is_named(&text))
}

/// Whether a text names the format; it may be damaged.
fn is_named(text: &str) -> bool {
    text.contains(&format!("{FORMAT:?}"))
}

/// The file of a shard.
pub fn file_name(number: usize) -> String {
    format!("tokens-{number:05}.safetensors")
}

/// Digest of everything that determines the ids of a text and the ends of its documents.
pub fn identity(tokenizer: &Tokenizer) -> String {
    Fingerprint::new(tokenizer).finish()
}
