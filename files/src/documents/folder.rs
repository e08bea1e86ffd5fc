//! The text in a folder, and what else is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nitp_core::data::decompressed;
use walkdir::{DirEntry, WalkDir};

use super::content::{self, endings};
use super::tokens;

/// Most kinds of skipped files that are told apart.
const MOST_KINDS: usize = 8;

/// What was left out of a folder: how many of each kind, and for faults the first of them.
#[derive(Debug, Default)]
struct Skipped(BTreeMap<Kind, (usize, Option<PathBuf>)>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    BrokenLink,
    Loop,
    Unreadable,
    UnreadableFolder,
    Special,
    Empty,
    Hidden,
    /// `.bin`, as many kinds of files are named.
    Unmarked,
    Extension(String),
    NoExtension,
}

/// The text files in a folder, in the order of their names, and a note of what was skipped.
///
/// # Errors
/// If the folder itself can't be read, or has no text.
pub fn files(path: &Path) -> Result<(Vec<PathBuf>, Option<String>)> {
    let mut files = Vec::new();
    let mut skipped = Skipped::default();
    let mut walk = WalkDir::new(path).sort_by_file_name().follow_links(true).into_iter();
    while let Some(entry) = walk.next() {
        match entry {
            Ok(entry) if entry.depth() > 0 && is_hidden(&entry) => {
                skipped.add(Kind::Hidden, None);
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
            }
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => match fault(&entry) {
                Some((kind, at)) => skipped.add(kind, at),
                None => files.push(entry.into_path()),
            },
            Err(error) if error.depth() == 0 => {
                return Err(error)
                    .with_context(|| format!("reading the folder {}", path.display()));
            }
            Err(error) => {
                let is_denied =
                    error.io_error().map(std::io::Error::kind) == Some(ErrorKind::PermissionDenied);
                let kind = if error.loop_ancestor().is_some() {
                    Kind::Loop
                } else if !is_denied && error.path().is_some_and(Path::is_symlink) {
                    // Its target is gone, or is a link back to it.
                    Kind::BrokenLink
                } else {
                    Kind::UnreadableFolder
                };
                let hidden = |path: &Path| {
                    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
                };
                match error.path() {
                    Some(path) if hidden(path) => skipped.add(Kind::Hidden, None),
                    at => skipped.add(kind, at.map(Path::to_owned)),
                }
            }
        }
    }
    let note = skipped.told(path);
    ensure!(
        !files.is_empty(),
        "the folder {} holds no text: files that end in {} are read there{}",
        path.display(),
        endings(),
        note.map(|note| format!(" ({note})")).unwrap_or_default()
    );
    Ok((files, note))
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

/// Why a file in a folder is not read, and where it is if that is a fault.
fn fault(entry: &DirEntry) -> Option<(Kind, Option<PathBuf>)> {
    let path = entry.path();
    let (kind, is_packed) = content::kind(&entry.file_name().to_string_lossy());
    // A Parquet file is read at its end first.
    let kind = kind.filter(|&kind| kind != content::Kind::Parquet || !is_packed);
    let Some(kind) = kind else {
        let extension = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
        return Some((extension.map_or(Kind::NoExtension, Kind::Extension), None));
    };
    if !entry.file_type().is_file() {
        return Some((Kind::Special, Some(path.to_owned())));
    }
    match File::open(path).and_then(|file| file.metadata()) {
        Err(_) => Some((Kind::Unreadable, Some(path.to_owned()))),
        // Empty files in a folder are no one's mistake.
        Ok(metadata) if metadata.len() == 0 => Some((Kind::Empty, None)),
        Ok(_) => (kind == content::Kind::Tokens && !has_header(path))
            .then(|| (Kind::Unmarked, Some(path.to_owned()))),
    }
}

/// Whether a file begins as llm.c's token files do.
fn has_header(path: &Path) -> bool {
    let file = File::open(path).ok();
    let bytes = file.and_then(|file| decompressed(&path.display().to_string(), file).ok());
    bytes.is_some_and(|mut bytes| bytes.fill_buf().is_ok_and(tokens::has_header))
}

impl Skipped {
    fn add(&mut self, kind: Kind, at: Option<PathBuf>) {
        let (count, first) = self.0.entry(kind).or_default();
        *count += 1;
        *first = first.take().or(at);
    }

    fn told(&self, folder: &Path) -> Option<String> {
        let plural = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        let mut parts: Vec<String> = self
            .0
            .iter()
            .map(|(kind, (count, first))| {
                let text = match kind {
                    Kind::BrokenLink => plural(*count, "broken link"),
                    Kind::Loop => plural(*count, "link") + " in a loop",
                    Kind::Unreadable => plural(*count, "unreadable file"),
                    Kind::UnreadableFolder => plural(*count, "unreadable folder"),
                    Kind::Special => plural(*count, "special file"),
                    Kind::Empty => plural(*count, "empty file"),
                    Kind::Hidden => format!("{count} hidden"),
                    Kind::Unmarked => format!("{count} .bin without llm.c's header"),
                    Kind::Extension(extension) => format!("{count} .{extension}"),
                    Kind::NoExtension => plural(*count, "file") + " without an extension",
                };
                let first = first.as_deref().map(|path| path.strip_prefix(folder).unwrap_or(path));
                match first {
                    Some(first) if *count > 1 => format!("{text} ({}, …)", first.display()),
                    Some(first) => format!("{text} ({})", first.display()),
                    None => text,
                }
            })
            .collect();
        if parts.len() > MOST_KINDS {
            let others = parts.len() - MOST_KINDS;
            parts.truncate(MOST_KINDS);
            parts.push(format!("files of {others} other kinds"));
        }
        (!parts.is_empty())
            .then(|| format!("skipped in {}: {}", folder.display(), parts.join(", ")))
    }
}
