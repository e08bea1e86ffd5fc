//! The name of a run's data.

use sha2::{Digest, Sha256};

use super::super::tokenizer::Tokenizer;
use super::format::Format;

/// The digest of a file's text and format. Equal ones are of equal documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextDigest {
    format: Format,
    sha256: [u8; 32],
}

impl TextDigest {
    pub(super) fn new(format: Format, sha256: Sha256) -> Self {
        Self { format, sha256: sha256.finalize().into() }
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
        self.0.update([u8::from(digest.format == Format::JsonLines)]);
        self.0.update(digest.sha256);
    }

    /// In hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
