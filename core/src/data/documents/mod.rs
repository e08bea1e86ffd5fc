//! The documents in a file's bytes, wherever they come from.
//!
//! Bytes are decompressed ([`compressed`]) and decoded to UTF-8 ([`encoding`]) as they are read, then cut
//! into documents by their `format`. The digest is of that UTF-8, so a text keeps its
//! name when it is compressed or saved in UTF-16.

mod compressed;
mod encoding;
mod error;
mod fingerprint;
mod format;
mod json_lines;

use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

pub use error::{DocumentError, Packing};
pub use fingerprint::{Fingerprint, TextDigest, hexadecimal};

use encoding::Position;
use format::Format;

/// A file that is being read: an iterator of its documents, each read when it is asked for.
///
/// A text is one document; each line of JSONL is one. The last item is an error where none of them
/// held any text. [`next_piece`](TextFile::next_piece) divides long texts.
pub struct TextFile<'a> {
    name: String,
    format: Format,
    text: Hashing<'a>,
    position: Position,
    /// Bytes that were read and are no whole character yet.
    rest: Vec<u8>,
    lone_surrogates: usize,
    has_text: bool,
    ended: bool,
}

/// A document, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether the document goes on in the next piece.
    pub continues: bool,
}

impl<'a> TextFile<'a> {
    /// Begins to read the bytes of the file `name`, which may be compressed and in UTF-16 and says
    /// by its ending what format it has.
    ///
    /// # Errors
    /// If the first bytes are no text, or the file can't be read.
    pub fn open(name: &str, bytes: impl Read + 'a) -> Result<Self, DocumentError> {
        let name = error::shortened(name);
        let text = decoded(&name, bytes)?;
        let (format, text) = format::format(&name, text)?;
        Ok(Self {
            name,
            format,
            text: Hashing { text, sha256: Sha256::new() },
            position: Position::default(),
            rest: Vec::new(),
            lone_surrogates: 0,
            has_text: false,
            ended: false,
        })
    }

    /// Reads what is left and gives the digest of the whole text.
    ///
    /// # Errors
    /// If the file can't be read or decoded; documents are not looked at.
    pub fn digest(mut self) -> Result<TextDigest, DocumentError> {
        io::copy(&mut self.text, &mut io::sink())
            .map_err(|error| DocumentError::of(&self.name, error))?;
        Ok(TextDigest::new(self.format, self.text.sha256))
    }

    /// Documents so far in which half of a surrogate pair became U+FFFD.
    pub fn lone_surrogates(&self) -> usize {
        self.lone_surrogates
    }

    /// The next document, or the next part of a text of more than about `most` bytes; `None` at the end.
    ///
    /// # Errors
    /// Those of the iterator.
    pub fn next_piece(&mut self, most: usize) -> Result<Option<Piece>, DocumentError> {
        if self.ended {
            return Ok(None);
        }
        let piece = match self.format {
            Format::Text => self.text_piece(most),
            Format::JsonLines => {
                let text = self.json_line();
                text.map(|text| text.map(|text| Piece { text, continues: false }))
            }
        };
        self.has_text |= matches!(&piece, Ok(Some(piece)) if !piece.text.is_empty());
        self.ended = match &piece {
            Ok(Some(piece)) => self.format == Format::Text && !piece.continues,
            _ => true,
        };
        match piece {
            Ok(None) if !self.has_text => Err(DocumentError::Empty { name: self.name.clone() }),
            piece => piece,
        }
    }

    fn text_piece(&mut self, most: usize) -> Result<Option<Piece>, DocumentError> {
        let mut bytes = std::mem::take(&mut self.rest);
        let read = self.text.by_ref().take(most as u64).read_to_end(&mut bytes);
        read.map_err(|error| DocumentError::of(&self.name, error))?;
        let at_end = self.text.fill_buf().map_err(|error| DocumentError::of(&self.name, error))?;
        let continues = !at_end.is_empty();
        if bytes.is_empty() {
            return Ok(None);
        }
        if continues
            && let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            self.rest = bytes.split_off(error.valid_up_to());
        }
        let start = self.position;
        self.position.pass(&bytes);
        let text = encoding::utf8(&self.name, bytes, start)?;
        Ok(Some(Piece { text, continues }))
    }

    fn json_line(&mut self) -> Result<Option<String>, DocumentError> {
        loop {
            let mut bytes = Vec::new();
            self.text
                .read_until(b'\n', &mut bytes)
                .map_err(|error| DocumentError::of(&self.name, error))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let start = self.position;
            self.position.pass(&bytes);
            let text = encoding::utf8(&self.name, bytes, start)?;
            if text.trim().is_empty() {
                continue;
            }
            let line = json_lines::parse(&text).map_err(|error| DocumentError::Line {
                name: self.name.clone(),
                line: start.line,
                reason: error.reason,
            })?;
            self.lone_surrogates += usize::from(line.lone_surrogate);
            return Ok(Some(line.text));
        }
    }
}

impl Iterator for TextFile<'_> {
    type Item = Result<String, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.next_piece(usize::MAX).transpose()?;
        Some(piece.map(|piece| piece.text))
    }
}

/// All documents of a file, and the digest of its text.
///
/// # Errors
/// What is no text, lines that are no JSON with a `text` field: with the line.
pub fn documents(name: &str, bytes: &[u8]) -> Result<(Vec<String>, TextDigest), DocumentError> {
    let mut file = TextFile::open(name, bytes)?;
    let documents = file.by_ref().collect::<Result<_, _>>()?;
    Ok((documents, file.digest()?))
}

/// The bytes of the file `name`, decompressed as they are read if they are compressed.
///
/// # Errors
/// If the first bytes can't be read; readers give errors for [`DocumentError::of`].
pub fn decompressed<'a>(
    name: &str,
    bytes: impl Read + 'a,
) -> Result<Box<dyn BufRead + 'a>, DocumentError> {
    compressed::decompressed(bytes).map_err(|error| DocumentError::of(name, error))
}

/// As [`decompressed()`], decoded to UTF-8 without a byte order mark; bytes that are no UTF-8 pass as they are.
///
/// # Errors
/// As [`decompressed()`], and first bytes that are no text.
pub fn decoded<'a>(
    name: &str,
    bytes: impl Read + 'a,
) -> Result<Box<dyn BufRead + 'a>, DocumentError> {
    compressed::decompressed(bytes)
        .and_then(encoding::decoded)
        .map_err(|error| DocumentError::of(name, error))
}

/// A text whose digest is taken of what is read.
struct Hashing<'a> {
    text: Box<dyn BufRead + 'a>,
    sha256: Sha256,
}

impl BufRead for Hashing<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // Filled before, so that nothing is read and nothing can fail.
        if let (1.., Ok(bytes)) = (amount, self.text.fill_buf()) {
            self.sha256.update(&bytes[..amount]);
            self.text.consume(amount);
        }
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(to)?;
        self.consume(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
