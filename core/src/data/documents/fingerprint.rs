//! The name of a run's data.

use sha2::{Digest, Sha256};

use super::super::tokenizer::Tokenizer;
use super::format::Format;

/// The digest of a file's text and of the way to cut it into documents. Equal ones are of equal documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextDigest {
    content: Content,
    sha256: [u8; 32],
}

/// What a digest is of. The numbers are part of the names of runs' data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Content {
    Text = 0,
    JsonLines = 1,
    Rows = 2,
    Tokens = 3,
}

impl TextDigest {
    pub(super) fn new(format: Format, sha256: Sha256) -> Self {
        let content = match format {
            Format::Text => Content::Text,
            Format::JsonLines => Content::JsonLines,
        };
        Self { content, sha256: sha256.finalize().into() }
    }

    /// That of a table's texts: the SHA-256 of each text behind its length in bytes, a u64 in little-endian order.
    pub fn of_rows(sha256: [u8; 32]) -> Self {
        Self { content: Content::Rows, sha256 }
    }

    /// The kind of the content, and the SHA-256.
    pub fn to_bytes(&self) -> [u8; 33] {
        let mut bytes = [self.content as u8; 33];
        bytes[1..].copy_from_slice(&self.sha256);
        bytes
    }

    /// That of token ids: their SHA-256 as u32 in little-endian order.
    pub fn of_tokens(sha256: [u8; 32]) -> Self {
        Self { content: Content::Tokens, sha256 }
    }
}

/// By which a run knows its data: a digest of the tokenizer and of each file's text in UTF-8. The
/// files' names have no part in it, so that data can be moved and compressed.
#[derive(Clone, Debug)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of no file yet.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        /// Changes when the same files would be tokenised otherwise.
        const VERSION: &[u8] = b"nitptok1";
        Self(Sha256::new_with_prefix(VERSION).chain_update(tokenizer.identity()))
    }

    /// Adds the next file.
    pub fn add(&mut self, digest: &TextDigest) {
        self.0.update(digest.to_bytes());
    }

    /// In hexadecimal.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// Bytes in lower-case hexadecimal, two digits each, as digests are written.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
