//! Where text is read from.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use nitp_core::data::TextDigest;

use super::content::Content;
use super::meter::{Meter, Metered};

/// A file, or what came out of a pipe: that can be read only once.
#[derive(Debug)]
pub enum Source {
    /// A file that can be read again.
    File(PathBuf),
    /// The bytes of a pipe.
    Pipe {
        /// As messages call it.
        name: String,
        /// All that came out of it.
        bytes: Bytes,
    },
}

impl Source {
    /// Reads the standard input to its end.
    ///
    /// # Errors
    /// If it is a terminal, or empty.
    pub fn standard_input() -> Result<Self> {
        let mut input = std::io::stdin();
        ensure!(
            !input.is_terminal(),
            "--data - reads the standard input, but that is a terminal: pipe text into it, as in \
             `zcat book.gz | nitp train --data -`"
        );
        Self::pipe("the standard input", &mut input)
    }

    /// Reads a pipe to its end.
    ///
    /// # Errors
    /// What the system says, or if it is empty.
    pub fn named_pipe(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let mut file = File::open(path).with_context(|| format!("reading {name}"))?;
        Self::pipe(&name, &mut file)
    }

    fn pipe(name: &str, from: &mut dyn Read) -> Result<Self> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).with_context(|| format!("reading {name}"))?;
        ensure!(!bytes.is_empty(), "{name} is empty: there is nothing to train on");
        Ok(Self::Pipe { name: name.to_owned(), bytes: bytes.into() })
    }

    /// As messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Pipe { name, .. } => name.clone(),
        }
    }

    /// Its bytes, compressed as they are.
    ///
    /// # Errors
    /// What the file system says.
    pub fn size(&self) -> Result<u64> {
        match self {
            Self::File(path) => {
                let metadata = path.metadata();
                Ok(metadata.with_context(|| format!("reading {}", path.display()))?.len())
            }
            Self::Pipe { bytes, .. } => Ok(bytes.len() as u64),
        }
    }

    /// Begins to read its documents; those of a table are in `column`. The meter counts its bytes.
    ///
    /// # Errors
    /// What the file system says, and first bytes that are no text.
    pub fn open(&self, column: Option<&str>, meter: &Meter) -> Result<Content> {
        let name = self.name();
        match self {
            Self::File(path) => {
                let file = File::open(path).with_context(|| format!("reading {name}"))?;
                Content::open(&name, Metered(file, meter.clone()), column)
            }
            Self::Pipe { bytes, .. } => {
                Content::open(&name, Metered(bytes.clone(), meter.clone()), column)
            }
        }
    }

    /// The digest of its text.
    ///
    /// # Errors
    /// As [`open`](Self::open), and what can't be read.
    pub fn digest(&self, column: Option<&str>) -> Result<TextDigest> {
        self.open(column, &Meter::default())?.digest()
    }
}
