//! The documents in a file's bytes, wherever they come from.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::tokenizer::Tokenizer;

/// Bytes that hold no text to train on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DocumentError {
    /// Nothing is there.
    #[error("{name} holds no text: there is nothing to train on")]
    Empty {
        /// The file.
        name: String,
    },
    /// A zero byte.
    #[error("{name} is no text but binary: byte {at} is 0. Give text in UTF-8, or JSONL")]
    Binary {
        /// The file.
        name: String,
        /// Where the byte is.
        at: usize,
    },
    /// Another encoding.
    #[error(
        "{name} is not UTF-8: line {line} (byte {at}) holds the byte {byte:#04x}. Convert it, for \
         example with `iconv -f latin1 -t utf-8`"
    )]
    Encoding {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Where the byte is.
        at: usize,
        /// The byte.
        byte: u8,
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
        /// What the reader said.
        reason: String,
    },
}

/// By which a run knows its data: a digest of the tokenizer and of each file's bytes. The files'
/// names have no part in it, so that data can be moved, but for being JSONL or not.
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
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.update([u8::from(is_jsonl(name))]);
        self.0.update(Sha256::digest(bytes));
    }

    /// In hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn is_jsonl(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".jsonl")
}

/// A line of a JSONL file; other fields are not read.
#[derive(Deserialize)]
struct Record {
    text: String,
}

/// The documents in a file's bytes: its lines for JSONL (by its name), else all of it as one.
///
/// # Errors
/// What is no UTF-8 text, lines that are no JSON with a `text` field: with the line.
pub fn documents(name: &str, bytes: Vec<u8>) -> Result<Vec<String>, DocumentError> {
    let text = utf8(name, bytes)?;
    let documents: Vec<String> = if is_jsonl(name) { json_lines(name, &text)? } else { vec![text] };
    if documents.iter().all(String::is_empty) {
        return Err(DocumentError::Empty { name: name.to_owned() });
    }
    Ok(documents)
}

fn utf8(name: &str, bytes: Vec<u8>) -> Result<String, DocumentError> {
    let name = name.to_owned();
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(DocumentError::Binary { name, at });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        DocumentError::Encoding { name, line, at, byte: error.as_bytes()[at] }
    })
}

fn json_lines(name: &str, text: &str) -> Result<Vec<String>, DocumentError> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let record: Result<Record, _> = serde_json::from_str(line);
            record.map(|record| record.text).map_err(|error| DocumentError::Line {
                name: name.to_owned(),
                line: number + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_file_is_a_document_and_a_jsonl_file_has_many() {
        assert_eq!(documents("a.txt", b"one\ntwo\n".to_vec()).unwrap(), ["one\ntwo\n"]);
        let lines = b"{\"text\": \"one\", \"topic\": 3}\n\n{\"text\": \"two\\n\"}\n";
        assert_eq!(documents("a.JSONL", lines.to_vec()).unwrap(), ["one", "two\n"]);
    }

    #[test]
    fn what_is_no_text_is_named_with_its_place() {
        let message =
            |name: &str, bytes: &[u8]| documents(name, bytes.to_vec()).unwrap_err().to_string();
        assert!(message("a.txt", b"ab\0c").contains("binary: byte 2"));
        assert!(message("a.txt", b"ab\nc\xe9").contains("line 2 (byte 4) holds the byte 0xe9"));
        let bad = b"{\"text\": \"x\"}\n{\"body\": 1}";
        assert!(message("a.jsonl", bad).contains("a.jsonl, line 2"));
        assert!(message("a.jsonl", b"\n\n").contains("holds no text"));
    }
}
