//! What a file holds: text, a table with a column of texts, or token ids.

use std::io::BufRead;

use anyhow::{Result, anyhow, bail};
use nitp_core::data::{DocumentError, TextDigest, TextFile, decoded, decompressed};
use parquet::file::reader::ChunkReader;

use super::rows::Rows;
use super::tokens::{self, TokenFile};
use super::{csv_file, parquet_file};

/// A file that is being read.
pub enum Content {
    /// A text, or JSONL.
    Text(TextFile<'static>),
    /// A table.
    Rows(Rows<'static>),
    /// Token ids.
    Tokens(TokenFile<'static>),
}

/// A kind of files that a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, or JSONL.
    Text,
    /// Parquet.
    Parquet,
    /// A table of rows, with this character between its columns.
    Rows(u8),
    /// Token ids.
    Tokens,
}

/// Endings of names.
const KINDS: [(&str, Kind); 11] = [
    ("txt", Kind::Text),
    ("text", Kind::Text),
    ("md", Kind::Text),
    ("jsonl", Kind::Text),
    ("ndjson", Kind::Text),
    ("parquet", Kind::Parquet),
    ("pq", Kind::Parquet),
    ("csv", Kind::Rows(b',')),
    ("tsv", Kind::Rows(b'\t')),
    ("tab", Kind::Rows(b'\t')),
    ("bin", Kind::Tokens),
];

/// Endings of compressed files, behind those of their kind.
const PACKED: [&str; 2] = ["gz", "zst"];

/// The kind of a file by its name, and whether it is compressed.
pub fn kind(name: &str) -> (Option<Kind>, bool) {
    let name = name.to_ascii_lowercase();
    let file = name.rsplit(['/', '\\']).next().unwrap_or(&name);
    let ending = |file: &str| file.rsplit_once('.').map(|(stem, it)| (stem.len(), it.to_owned()));
    let is_packed = ending(file).filter(|(_, it)| PACKED.contains(&it.as_str()));
    let inner = is_packed.as_ref().map_or(file, |&(len, _)| &file[..len]);
    let inner = ending(inner).map(|(_, it)| it);
    let kind = KINDS.iter().find(|&&(known, _)| inner.as_deref() == Some(known));
    (kind.map(|&(_, kind)| kind), is_packed.is_some())
}

/// The endings that a folder is searched for, in words.
pub fn endings() -> String {
    let endings: Vec<&str> = KINDS.iter().map(|&(ending, _)| ending).collect();
    format!(".{}, and .{} behind them", endings.join(", ."), PACKED.join(" or ."))
}

impl Content {
    /// Begins to read the file `name`; the texts of a table are in `column`.
    ///
    /// # Errors
    /// What the file system says, and first bytes that are not those of such a file.
    pub fn open<F: ChunkReader + 'static>(
        name: &str,
        file: F,
        column: Option<&str>,
    ) -> Result<Self> {
        let failed = |error| anyhow!("reading {name}: {error}");
        let size = file.len();
        let head = file.get_bytes(0, size.min(4) as usize).map_err(failed)?;
        if head == parquet_file::MAGIC {
            let texts = parquet_file::Texts::new(name, file, column)?;
            return Ok(Self::Rows(Rows::new(name, size, texts)));
        }
        let read = file.get_read(0).map_err(failed)?;
        match kind(name) {
            (Some(Kind::Parquet), true) => bail!(
                "{name} is compressed as a whole: decompress it first. The columns of a Parquet \
                 file are compressed in themselves"
            ),
            (Some(Kind::Parquet), false) => bail!(
                "{name} ends as a Parquet file, but does not begin as one, with `PAR1`: is it \
                 whole, and of that kind?"
            ),
            (Some(Kind::Rows(delimiter)), _) => {
                let texts = csv_file::texts(name, decoded(name, read)?, delimiter, column)?;
                // A compressed one is measured while it is decompressed.
                Ok(Self::Rows(Rows::new(name, u64::MAX, texts)))
            }
            (Some(Kind::Tokens), _) => {
                Ok(Self::Tokens(TokenFile::open(name, decompressed(name, read)?)?))
            }
            (Some(Kind::Text), _) => Ok(Self::Text(TextFile::open(name, read)?)),
            (None, _) => {
                let mut bytes = decompressed(name, read)?;
                let head = bytes.fill_buf().map_err(|error| DocumentError::of(name, error))?;
                match tokens::has_header(head) {
                    true => Ok(Self::Tokens(TokenFile::open(name, bytes)?)),
                    false => Ok(Self::Text(TextFile::open(name, bytes)?)),
                }
            }
        }
    }

    /// Reads what is left and gives the digest of the whole.
    ///
    /// # Errors
    /// What can't be read.
    pub fn digest(self) -> Result<TextDigest> {
        match self {
            Self::Text(file) => Ok(file.digest()?),
            Self::Rows(rows) => rows.digest(),
            Self::Tokens(file) => file.digest(),
        }
    }
}
