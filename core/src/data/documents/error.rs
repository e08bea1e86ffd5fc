//! Why bytes hold no text to train on.

use std::io;

use thiserror::Error;

/// Most characters of a file's name that a message shows.
const LONGEST_NAME: usize = 300;

/// Bytes that hold no text to train on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DocumentError {
    /// Nothing is there.
    #[error("{name} holds no text: there is nothing to train on")]
    Empty {
        /// The file.
        name: String,
    },
    /// The file system, or whoever gives the bytes, fails.
    #[error("reading {name}: {reason}")]
    Read {
        /// The file.
        name: String,
        /// What was said.
        reason: String,
    },
    /// The compressed data are damaged.
    #[error(
        "{name} can't be decompressed to its end: {reason}. Get or make the {} file again; `{} -t` \
         checks one", packing.ending(), packing.program()
    )]
    Compressed {
        /// The file.
        name: String,
        /// The format.
        packing: Packing,
        /// What the decoder said.
        reason: String,
    },
    /// A file of a kind that is known by its first bytes.
    #[error("{name} is {kind}, not text: {advice}")]
    Kind {
        /// The file.
        name: String,
        /// With an article.
        kind: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A zero byte.
    #[error(
        "{name} is not text but binary: line {line} (byte {at}) holds the byte 0. Give text in \
         UTF-8, or JSONL"
    )]
    Binary {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Where the byte is, from 0.
        at: u64,
    },
    /// Every other byte is zero.
    #[error(
        "{name} is not UTF-8 but seems to be {encoding} without a byte order mark: convert it with \
         `iconv -f {encoding} -t UTF-8`"
    )]
    Utf16WithoutMark {
        /// The file.
        name: String,
        /// By which of the two bytes is zero.
        encoding: &'static str,
    },
    /// A byte order mark of UTF-16, and then something else.
    #[error(
        "{name} begins with the byte order mark of UTF-16, but line {line} (byte {at}) is no \
         character: the file is damaged, or cut short"
    )]
    Utf16 {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Where the bad unit is, from 0.
        at: u64,
    },
    /// Another encoding.
    #[error("{name} is not UTF-8: line {line} (byte {at}) holds the byte {byte:#04x}. {advice}")]
    Encoding {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Where the byte is, from 0.
        at: u64,
        /// The byte.
        byte: u8,
        /// What to do.
        advice: &'static str,
    },
    /// JSON, but no JSONL.
    #[error("{name} ends in .json, but is {found}. {advice}")]
    Json {
        /// The file.
        name: String,
        /// What it is instead of lines of objects.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A line of a JSONL file that is no document.
    #[error(
        "{name}, line {line}: {reason}. Each line must be a JSON object with the document in its \
         field `text`"
    )]
    Line {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A format of compressed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gz.
    Gzip,
    /// zstd.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Packing {
    fn ending(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            #[cfg(feature = "zstd")]
            Self::Zstd => ".zst",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }
}

/// What a layer between the bytes and the documents found; it passes through readers as an
/// [`io::Error`].
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error("{reason}")]
    Compressed { packing: Packing, reason: String },
    #[error("{kind}")]
    Kind { kind: &'static str, advice: &'static str },
    #[error("not UTF-16")]
    Utf16 { line: usize, at: u64 },
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}

impl DocumentError {
    /// The error that a reader of [`decompressed`](super::decompressed()) or [`decoded`](super::decoded()) bytes of the
    /// file `name` gave.
    pub fn of(name: &str, error: io::Error) -> Self {
        let name = name.to_owned();
        match error.downcast::<Fault>() {
            Ok(Fault::Compressed { packing, reason }) => Self::Compressed { name, packing, reason },
            Ok(Fault::Kind { kind, advice }) => Self::Kind { name, kind, advice },
            Ok(Fault::Utf16 { line, at }) => Self::Utf16 { name, line, at },
            Err(error) => Self::Read { name, reason: error.to_string() },
        }
    }
}

/// A name as messages show it: its end, where it is very long.
pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().rev().nth(LONGEST_NAME) {
        Some((first, _)) => format!("…{}", &name[first..]),
        None => name.to_owned(),
    }
}
