//! Text on disk or out of a pipe as documents: text files, JSONL files with a `text` field, tables with a column of
//! texts, token ids, folders of them all, compressed or not.

mod content;
mod csv_file;
mod folder;
mod meter;
mod parquet_file;
mod rows;
mod source;
mod tokens;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use nitp_core::data::{Piece, TextDigest};

use content::Content;

use crate::prepared::is_prepared;

pub use meter::Meter;
pub use source::Source;

/// The path that stands for the standard input.
pub const STANDARD_INPUT: &str = "-";

/// Who named the text.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// The user, now.
    Now,
    /// A run, when it began: its text may have been moved, and its pipes are gone. Holds what to
    /// do then.
    Before(&'a str),
}

/// The text behind paths.
#[derive(Debug)]
pub struct Found {
    /// Each once, in the order given, folders in the order of their file names.
    pub sources: Vec<Source>,
    /// What the user should hear: what was skipped, what is there twice.
    pub notes: Vec<String>,
}

/// The text behind `paths`.
///
/// # Errors
/// A path that does not exist, a folder without text, a pipe that can't be read again.
pub fn find(paths: &[impl AsRef<Path>], named: Named<'_>) -> Result<Found> {
    ensure!(
        !paths.is_empty(),
        "no text to read: give --data with files or folders, or set data.paths"
    );
    let mut found = Found { sources: Vec::new(), notes: Vec::new() };
    let mut seen = Seen::default();
    for path in paths.iter().map(AsRef::as_ref) {
        if is_standard_input(path) {
            ensure_now(path, named)?;
            if seen.is_new(path, path.to_owned()) {
                found.sources.push(Source::standard_input()?);
            }
            continue;
        }
        if is_descriptor(path) {
            ensure_now(path, named)?;
        }
        let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error, named))?;
        if metadata.is_dir() {
            ensure!(
                !is_prepared(path),
                "{} holds prepared tokens, which only training and evaluation read: give the text itself",
                path.display()
            );
            let (files, note) = folder::files(path)?;
            found.notes.extend(note);
            let new = files.into_iter().filter(|file| seen.is_new(file, canonical(file)));
            found.sources.extend(new.map(Source::File));
        } else if seen.is_new(path, canonical(path)) {
            if metadata.is_file() {
                ensure!(
                    metadata.len() > 0,
                    "{} is empty: there is nothing to train on",
                    path.display()
                );
                found.sources.push(Source::File(path.to_owned()));
            } else {
                ensure_now(path, named)?;
                found.sources.push(Source::named_pipe(path)?);
            }
        }
    }
    found.notes.extend(seen.told());
    Ok(found)
}

/// Whether a path stands for the standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// Whether a path is that of a process's open file, as shells give for `<(command)`.
fn is_descriptor(path: &Path) -> bool {
    let is_proc =
        path.starts_with("/proc") && path.components().any(|part| part.as_os_str() == "fd");
    path.starts_with("/dev/fd") || path == Path::new("/dev/stdin") || is_proc
}

fn ensure_now(pipe: &Path, named: Named<'_>) -> Result<()> {
    match named {
        Named::Now => Ok(()),
        Named::Before(advice) => bail!(
            "the run read its text from a pipe ({}), which can't be read again. {advice}",
            pipe.display()
        ),
    }
}

fn cannot_read(path: &Path, error: &std::io::Error, named: Named<'_>) -> anyhow::Error {
    let path = path.display();
    match named {
        Named::Now => anyhow!("can't read the data {path} ({error}): is the path right?"),
        Named::Before(advice) => anyhow!("can't read the run's data {path} ({error}). {advice}"),
    }
}

/// The same for every way to name a file; that a pipe has none does no harm.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Files that were met, by their canonical path, and those that were met again.
#[derive(Default)]
struct Seen {
    files: HashSet<PathBuf>,
    again: Vec<PathBuf>,
}

impl Seen {
    fn is_new(&mut self, path: &Path, canonical: PathBuf) -> bool {
        let is_new = self.files.insert(canonical);
        if !is_new {
            self.again.push(path.to_owned());
        }
        is_new
    }

    fn told(&self) -> Option<String> {
        let names = self.again.iter().map(|path| path.display().to_string());
        (!self.again.is_empty())
            .then(|| format!("given more than once, and used once: {}", listed(names)))
    }
}

/// What to tell of files with the same text, given the digest of each.
pub fn equal_texts(sources: &[Source], digests: &[TextDigest]) -> Option<String> {
    let mut first = HashMap::new();
    let pairs: Vec<String> = sources
        .iter()
        .zip(digests)
        .filter_map(|(source, digest)| match first.get(digest) {
            Some(&first) => Some(format!("{} and {}", Source::name(first), source.name())),
            None => {
                first.insert(digest, source);
                None
            }
        })
        .collect();
    (!pairs.is_empty()).then(|| {
        format!(
            "the same text under two names counts twice: {}. None of it is both trained on and \
             held out",
            listed(pairs.into_iter())
        )
    })
}

/// Some of many names, and how many more there are.
pub fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 4;
    let more = names.len().saturating_sub(MOST);
    let mut text = names.take(MOST).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// What was not taken from texts as it is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// Documents in which a half of a surrogate pair was replaced.
    pub replaced: usize,
    /// Rows of tables without a value in the column of the text.
    pub nulls: usize,
}

impl Changes {
    /// With those of another file.
    pub fn and(self, other: Self) -> Self {
        Self { replaced: self.replaced + other.replaced, nulls: self.nulls + other.nulls }
    }

    /// In words.
    pub fn told(self) -> impl Iterator<Item = String> {
        let plural = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            _ => format!("{count} {noun}s"),
        };
        let replaced = (self.replaced > 0).then(|| {
            format!(
                "halves of surrogate pairs, which are no characters, became U+FFFD in {} of the \
                 text",
                plural(self.replaced, "document")
            )
        });
        let nulls = (self.nulls > 0).then(|| {
            let rows = plural(self.nulls, "row");
            format!("{rows} without a value (null) in the column of the text left out")
        });
        replaced.into_iter().chain(nulls)
    }
}

/// Some of what a source holds.
#[derive(Debug)]
pub enum Part {
    /// Documents, in order.
    Texts {
        /// The texts.
        texts: Vec<String>,
        /// Whether the last text goes on in the next part.
        continues: bool,
    },
    /// Token ids, which go on those of the part before.
    Tokens {
        /// The ids.
        ids: Vec<u32>,
        /// How many ids of the source come before.
        first: u64,
    },
}

/// Calls `each` with the documents or tokens of a source, some at a time, and gives the digest of what was read. The
/// texts of a table are in `column`.
///
/// # Errors
/// What holds no text, with its place, and the errors of `each`.
pub fn read(
    source: &Source,
    column: Option<&str>,
    each: impl FnMut(Part) -> Result<()>,
) -> Result<(TextDigest, Changes)> {
    read_metered(source, column, &Meter::default(), each)
}

/// Like [`read()`], and counts the bytes of the source as they are read.
///
/// # Errors
/// As [`read()`].
pub fn read_metered(
    source: &Source,
    column: Option<&str>,
    meter: &Meter,
    mut each: impl FnMut(Part) -> Result<()>,
) -> Result<(TextDigest, Changes)> {
    match source.open(column, meter)? {
        Content::Text(mut file) => {
            in_parts(|| Ok(file.next_piece(PART)?), &mut each)?;
            let replaced = file.lone_surrogates();
            Ok((file.digest()?, Changes { replaced, ..Changes::default() }))
        }
        Content::Rows(mut rows) => {
            let next = || {
                let text = rows.next().transpose()?;
                Ok(text.map(|text| Piece { text, continues: false }))
            };
            in_parts(next, &mut each)?;
            let nulls = rows.nulls();
            Ok((rows.digest()?, Changes { nulls, ..Changes::default() }))
        }
        Content::Tokens(mut file) => {
            while let Some((first, ids)) = file.next_some()? {
                each(Part::Tokens { ids, first })?;
            }
            Ok((file.digest()?, Changes::default()))
        }
    }
}

/// Bytes of text in a part, about: enough to be tokenised side by side.
const PART: usize = 8 << 20;

fn in_parts(
    mut next: impl FnMut() -> Result<Option<Piece>>,
    each: &mut impl FnMut(Part) -> Result<()>,
) -> Result<()> {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    while let Some(Piece { text, continues }) = next()? {
        bytes += text.len();
        texts.push(text);
        if continues || bytes >= PART {
            each(Part::Texts { texts: std::mem::take(&mut texts), continues })?;
            bytes = 0;
        }
    }
    if texts.is_empty() { Ok(()) } else { each(Part::Texts { texts, continues: false }) }
}

#[cfg(test)]
mod tests;
