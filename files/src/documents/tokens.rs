//! Token ids that other programs wrote: nanoGPT's `.bin` files, which are ids of 16 bits and nothing else, and those of
//! llm.c, which have a header.

use std::io::{BufRead, Cursor, Read};

use anyhow::{Result, bail, ensure};
use nitp_core::data::{DocumentError, TextDigest};
use sha2::{Digest, Sha256};

/// Bytes of llm.c's header: 256 numbers of 32 bits.
const HEADER: usize = 1024;

/// By the first number of llm.c's header: the second, and the bytes of an id.
const KINDS: [(u32, u32, usize); 2] = [(20240520, 1, 2), (20240801, 7, 4)];

/// Ids that are read at once.
const SOME: u64 = 1 << 20;

/// Whether bytes begin as llm.c's files do.
pub fn has_header(bytes: &[u8]) -> bool {
    let first = bytes.first_chunk().map(|&first| u32::from_le_bytes(first));
    KINDS.iter().any(|&(magic, ..)| first == Some(magic))
}

/// A file of ids that is being read.
pub struct TokenFile<'a> {
    name: String,
    bytes: Box<dyn BufRead + 'a>,
    /// Bytes of an id.
    width: usize,
    /// How many ids the header counts.
    expected: Option<u64>,
    count: u64,
    sha256: Sha256,
}

impl<'a> TokenFile<'a> {
    /// Begins to read the file `name`.
    ///
    /// # Errors
    /// What the file system says, and a header of an unknown version.
    pub fn open(name: &str, mut bytes: Box<dyn BufRead + 'a>) -> Result<Self> {
        let mut head = Vec::new();
        let read = bytes.by_ref().take(HEADER as u64).read_to_end(&mut head);
        read.map_err(|error| DocumentError::of(name, error))?;
        let number = |index: usize| {
            let bytes = head.get(4 * index..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |&bytes| u32::from_le_bytes(bytes))
        };
        let kind = KINDS.iter().find(|&&(magic, ..)| magic == number(0));
        let (width, expected) = match kind {
            Some(&(_, version, width)) => {
                ensure!(
                    head.len() == HEADER && number(1) == version,
                    "{name} begins as llm.c's token files do, but its header of {} bytes has the \
                     version {}: known are {HEADER} bytes and the version {version}",
                    head.len(),
                    number(1)
                );
                (width, Some(u64::from(number(2))))
            }
            None => (2, None),
        };
        let rest = if kind.is_some() { Vec::new() } else { head };
        let bytes = Box::new(Cursor::new(rest).chain(bytes));
        let sha256 = Sha256::new();
        Ok(Self { name: name.to_owned(), bytes, width, expected, count: 0, sha256 })
    }

    /// The ids that come next, and the place of the first of them; `None` at the end.
    ///
    /// # Errors
    /// What the file system says, and a file that is cut short.
    pub fn next_some(&mut self) -> Result<Option<(u64, Vec<u32>)>> {
        let (name, width) = (&self.name, self.width);
        let mut bytes = Vec::new();
        let read = self.bytes.by_ref().take(SOME * width as u64).read_to_end(&mut bytes);
        read.map_err(|error| DocumentError::of(name, error))?;
        let ids: Vec<u32> = bytes.chunks_exact(width).map(id).collect();
        if bytes.len() % width != 0 {
            bail!(
                "{name} ends within its id {}: ids have {width} bytes. The file is cut short, or \
                 does not hold token ids",
                self.count + ids.len() as u64
            );
        }
        if ids.is_empty() {
            if let Some(expected) = self.expected.filter(|&expected| expected != self.count) {
                bail!(
                    "{name} has {} ids, but its header counts {expected}: the file is cut short \
                     or damaged",
                    self.count
                );
            }
            if self.count == 0 {
                return Err(DocumentError::Empty { name: name.clone() }.into());
            }
            return Ok(None);
        }
        let first = self.count;
        self.count += ids.len() as u64;
        self.sha256.update(ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
        Ok(Some((first, ids)))
    }

    /// Reads what is left and gives the digest of all ids.
    ///
    /// # Errors
    /// As [`next_some`](Self::next_some).
    pub fn digest(mut self) -> Result<TextDigest> {
        while self.next_some()?.is_some() {}
        Ok(TextDigest::of_tokens(self.sha256.finalize().into()))
    }
}

fn id(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte))
}
