//! Writes a prepared folder: one thread reads text, the others tokenise it, and one writes shards.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nitp_core::data::{CorpusBuilder, Fingerprint, TextDigest, Tokenizer, Tokens};

use super::index::{INDEX, Index, SourceEntry, State, TOKENIZER, identity, write_file};
use super::open;
use super::shard_writer::{self, Job};
use super::text_reader::{self, Message};
use crate::documents::{self, Changes, Meter, Part, Source};
use crate::token_cache::check_ids;
use crate::whole_file;

/// Held while a folder is written.
const LOCK: &str = ".lock";

/// How to prepare text.
#[derive(Debug)]
pub struct Options<'a> {
    /// The tokenizer, with its end-of-text token.
    pub tokenizer: &'a Tokenizer,
    /// Whether the tokenizer is written beside the shards: not if it is known by its name.
    pub keep_tokenizer: bool,
    /// The column of tables that holds the text.
    pub text_column: Option<&'a str>,
    /// Tokens of each shard but the last.
    pub shard_tokens: usize,
}

/// How far a preparation is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes of the files so far, compressed as they are.
    pub bytes: u64,
    /// Tokens so far.
    pub tokens: u64,
}

/// Tokenises `sources` into a prepared folder, and gives its index. If an earlier preparation of the same text did not
/// end, this one goes on where it stopped.
///
/// `told` gets the progress, and `warn` notes about the text.
///
/// # Errors
/// A folder with other files, another preparation of the same folder at the same time, other options or another text
/// than those of the earlier preparation; errors about the text, the tokenizer and the file system. Shards that were
/// written before stay.
pub fn prepare(
    sources: &[Source],
    folder: &Path,
    options: &Options<'_>,
    mut told: impl FnMut(Progress),
    mut warn: impl FnMut(String),
) -> Result<Index> {
    ensure!(options.shard_tokens > 0, "a shard needs at least one token");
    let (index, _lock) = begin(folder, options, &mut warn)?;
    let state = index.state.clone().unwrap_or_default();
    let (shards, starts) = open::shards(folder, &index)?;
    let known = Known { tokens: Tokens::Shards(shards), starts };
    let (text, parts) = sync_channel(1);
    let (to_writer, jobs) = sync_channel(1);
    let meter = Meter::default();
    let (made, written) = thread::scope(|scope| {
        let (column, start, meter) = (options.text_column, &state, &meter);
        let reader = scope.spawn(move || text_reader::read(sources, column, start, meter, &text));
        let writer = scope.spawn(move || shard_writer::write(folder, index, &jobs));
        let mut maker = Maker::new(sources, options, state.clone(), &known, to_writer);
        let made = parts.iter().try_for_each(|message| {
            maker.take(message)?;
            told(Progress { bytes: meter.bytes(), tokens: maker.position() });
            Ok(())
        });
        // A reader that waits for room ends when no one receives any more.
        drop(parts);
        let read = reader.join().expect("the reader does not panic");
        // The reader's error ends the parts. An error here ends the reader, whose error then says no more.
        let made = made.and(read).and_then(|()| maker.finish());
        (made, writer.join().expect("the writer does not panic"))
    });
    // The writer's error ends the others, so that it comes first.
    let (mut index, made) = (written?, made?);
    ensure!(index.tokens > 0, "the text has no tokens");
    documents::equal_texts(sources, &made.digests).into_iter().for_each(&mut warn);
    let mut fingerprint = Fingerprint::new(options.tokenizer);
    made.digests.iter().for_each(|digest| fingerprint.add(digest));
    index.fingerprint = Some(fingerprint.finish());
    index.notes = made.notes;
    index.sources = made.sources;
    index.state = None;
    index.write(folder)?;
    Ok(index)
}

/// Makes or continues a folder, and locks it.
fn begin(
    folder: &Path,
    options: &Options<'_>,
    warn: &mut impl FnMut(String),
) -> Result<(Index, File)> {
    let name = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("creating {name}"))?;
    match Index::read(folder)? {
        Some(index) => check_open(folder, &index)?,
        None => check_no_other_files(folder, options)?,
    }
    let path = folder.join(LOCK);
    let lock = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another process prepares text in {name}: wait for its end, or give another --out"
            )
        }
        Err(TryLockError::Error(_)) => warn(format!(
            "the file system of {name} has no locks: make sure that no other process prepares text there"
        )),
    }
    whole_file::clear_abandoned(folder);
    // Read under the lock: another process may just have ended.
    let Some(index) = Index::read(folder)? else {
        let index = Index::new(options.tokenizer, options.shard_tokens);
        if options.keep_tokenizer {
            let json = options.tokenizer.to_json();
            write_file(folder, TOKENIZER, json.as_bytes())?;
        }
        index.write(folder)?;
        return Ok((index, lock));
    };
    check_open(folder, &index)?;
    ensure!(
        index.tokenizer == identity(options.tokenizer),
        "{name} was begun with another tokenizer or end-of-text token: give the same, or another --out"
    );
    ensure!(
        index.shard_tokens == options.shard_tokens,
        "{name} was begun with --shard-tokens {}: give the same, or another --out",
        index.shard_tokens
    );
    Ok((index, lock))
}

/// Checks that the preparation of a folder has not ended.
fn check_open(folder: &Path, index: &Index) -> Result<()> {
    ensure!(
        index.fingerprint.is_none(),
        "{} is prepared already ({} tokens): train on it with --data, or give another --out",
        folder.display(),
        index.tokens
    );
    Ok(())
}

/// Checks that a folder without an index has no files of others.
fn check_no_other_files(folder: &Path, options: &Options<'_>) -> Result<()> {
    // A preparation may have ended between the tokenizer and the index.
    let json = fs::read(folder.join(TOKENIZER)).unwrap_or_default();
    let is_tokenizer = json == options.tokenizer.to_json().into_bytes();
    let other = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| ![LOCK, INDEX].contains(&name.as_str()) && !whole_file::is_unfinished(name))
        .find(|name| name != TOKENIZER || !is_tokenizer);
    match other {
        Some(other) => bail!(
            "{} holds other files ({other}): give a new or empty folder as --out",
            folder.display()
        ),
        None => Ok(()),
    }
}

/// Makes shards from text.
struct Maker<'a> {
    sources: &'a [Source],
    options: &'a Options<'a>,
    builder: CorpusBuilder,
    /// The last place at which no document was open, without the files before it.
    place: State,
    /// Files that ended before the place.
    files_before: usize,
    /// Parts and ends of files so far, and their digest.
    parts: u64,
    sha256: String,
    /// The tokens of earlier shards.
    known: &'a Known,
    /// Tokens and documents that left the builder.
    tokens: u64,
    documents: u64,
    text_bytes: u64,
    finished: Vec<SourceEntry>,
    /// Tokens and documents of the files that have ended.
    counted: (u64, u64),
    digests: Vec<TextDigest>,
    changes: Changes,
    to: SyncSender<Job>,
}

/// The tokens that shards hold already, and the starts of their documents.
struct Known {
    tokens: Tokens,
    starts: Vec<u64>,
}

impl Known {
    /// Whether the tokens from `first` on are these, and documents start at these positions among them.
    fn holds(&self, first: usize, tokens: &[u32], starts: &[u64]) -> bool {
        let end = first + tokens.len();
        let part =
            |position: usize| self.starts.partition_point(|&start| (start as usize) < position);
        let known = &self.starts[part(first)..part(end)];
        let starts = starts.iter().map(|start| first as u64 + start);
        *self.tokens.get(first..end) == *tokens && known.iter().copied().eq(starts)
    }
}

/// What is known at the end.
struct Made {
    digests: Vec<TextDigest>,
    sources: Vec<SourceEntry>,
    notes: Vec<String>,
}

impl<'a> Maker<'a> {
    fn new(
        sources: &'a [Source],
        options: &'a Options<'a>,
        mut place: State,
        known: &'a Known,
        to: SyncSender<Job>,
    ) -> Self {
        let builder = CorpusBuilder::new(options.tokenizer.end_of_text());
        Self {
            sources,
            options,
            builder: builder.with_left_out(place.left_out.clone()),
            parts: place.parts,
            sha256: place.sha256.clone(),
            known,
            tokens: place.tokens,
            documents: place.documents,
            text_bytes: place.text_bytes,
            counted: place
                .sources
                .iter()
                .fold((0, 0), |sum, it| (sum.0 + it.tokens, sum.1 + it.documents)),
            files_before: place.sources.len(),
            finished: std::mem::take(&mut place.sources),
            place,
            digests: Vec::new(),
            changes: Changes::default(),
            to,
        }
    }

    /// Tokens so far.
    fn position(&self) -> u64 {
        self.tokens + self.builder.len() as u64
    }

    fn take(&mut self, message: Message) -> Result<()> {
        let source = &self.sources[self.digests.len()];
        match message {
            Message::Part { part, sha256 } => {
                let tokenizer = self.options.tokenizer;
                match part {
                    Part::Texts { texts, continues } => {
                        self.text_bytes += texts.iter().map(|text| text.len() as u64).sum::<u64>();
                        self.builder
                            .push_texts(tokenizer, texts, continues)
                            .with_context(|| format!("tokenising {}", source.name()))?;
                    }
                    Part::Tokens { ids, first } => {
                        check_ids(&ids, first, source, tokenizer)?;
                        self.builder.push_ids(&ids);
                    }
                }
                self.parts += 1;
                self.sha256 = sha256;
            }
            Message::End { sha256, digest, changes } => {
                self.builder.end_ids();
                self.changes = self.changes.and(changes);
                match sha256 {
                    Some(sha256) => {
                        self.parts += 1;
                        self.sha256 = sha256;
                        self.count(source.name());
                    }
                    // A file before the place is counted already, and may have another name now.
                    None => self.finished[self.digests.len()].name = source.name(),
                }
                self.digests.push(digest);
            }
        }
        self.give()?;
        if !self.builder.is_open() {
            self.place = State {
                parts: self.parts,
                sha256: self.sha256.clone(),
                tokens: self.position(),
                documents: self.documents + self.builder.documents() as u64,
                left_out: self.builder.left_out().clone(),
                sources: Vec::new(),
                text_bytes: self.text_bytes,
            };
            self.files_before = self.finished.len();
        }
        Ok(())
    }

    /// Counts the file that has ended.
    fn count(&mut self, name: String) {
        let documents = self.documents + self.builder.documents() as u64;
        let all = (self.position(), documents);
        self.finished.push(SourceEntry {
            name,
            text_bytes: std::mem::take(&mut self.text_bytes),
            tokens: all.0 - self.counted.0,
            documents: all.1 - self.counted.1,
        });
        self.counted = all;
    }

    /// Gives all whole shards to the writer.
    fn give(&mut self) -> Result<()> {
        let first = self.tokens as usize;
        let known = self.known.tokens.len().saturating_sub(first).min(self.builder.len());
        if known > 0 {
            let (tokens, starts) = self.builder.take(known);
            self.tokens += tokens.len() as u64;
            self.documents += starts.len() as u64;
            ensure!(self.known.holds(first, &tokens, &starts), text_reader::changed());
        }
        while self.builder.len() >= self.options.shard_tokens {
            self.give_shard(self.options.shard_tokens)?;
        }
        Ok(())
    }

    fn give_shard(&mut self, tokens: usize) -> Result<()> {
        let (tokens, starts) = self.builder.take(tokens);
        self.tokens += tokens.len() as u64;
        self.documents += starts.len() as u64;
        let sources = self.finished[..self.files_before].to_vec();
        let job = Job { tokens, starts, state: State { sources, ..self.place.clone() } };
        self.to.send(job).map_err(|_| anyhow!("no more shards can be written"))
    }

    fn finish(mut self) -> Result<Made> {
        // The text may have lost its end.
        ensure!(self.position() >= self.known.tokens.len() as u64, text_reader::changed());
        if !self.builder.is_empty() {
            self.give_shard(self.builder.len())?;
        }
        let mut notes = self.builder.finish().notes;
        notes.extend(self.changes.told());
        Ok(Made { digests: self.digests, sources: self.finished, notes })
    }
}
