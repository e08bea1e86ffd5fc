//! The texts in a column of a table.

use anyhow::{Result, anyhow, ensure};
use nitp_core::data::{DocumentError, TextDigest};
use sha2::{Digest, Sha256};

use super::listed;

/// The columns that hold the text where no other is asked for, the likeliest first.
const USUAL: [&str; 2] = ["text", "content"];

/// A table whose texts make up this many times the bytes of its file holds none: it is made to fill a memory. A row
/// counts as one byte more, because one without a text takes time.
const MOST: u64 = 200;

/// From this many bytes of text on.
const MOST_FROM: u64 = 256 << 20;

/// The texts of a file, each read when it is asked for. A row without a value (null) is no document.
pub struct Rows<'a> {
    name: String,
    texts: Box<dyn Iterator<Item = Result<Option<String>>> + 'a>,
    /// Bytes of the file.
    size: u64,
    /// Bytes of the texts so far.
    bytes: u64,
    /// Rows so far.
    rows: u64,
    sha256: Sha256,
    nulls: usize,
    ended: bool,
}

impl<'a> Rows<'a> {
    /// Those of the file `name` with `size` bytes.
    pub fn new(
        name: &str,
        size: u64,
        texts: impl Iterator<Item = Result<Option<String>>> + 'a,
    ) -> Self {
        let (name, texts) = (name.to_owned(), Box::new(texts));
        Self { name, texts, size, bytes: 0, rows: 0, sha256: Sha256::new(), nulls: 0, ended: false }
    }

    /// Rows so far that had no value.
    pub fn nulls(&self) -> usize {
        self.nulls
    }

    /// Reads what is left and gives the digest of all texts.
    ///
    /// # Errors
    /// As the iterator.
    pub fn digest(mut self) -> Result<TextDigest> {
        self.by_ref().try_for_each(|text| text.map(drop))?;
        Ok(TextDigest::of_rows(self.sha256.finalize().into()))
    }

    fn next_text(&mut self) -> Result<Option<String>> {
        loop {
            let text = match self.texts.next().transpose()? {
                Some(text) => text,
                None if self.bytes == 0 => {
                    return Err(DocumentError::Empty { name: self.name.clone() }.into());
                }
                None => return Ok(None),
            };
            self.rows += 1;
            self.bytes += text.as_ref().map_or(0, |text| text.len() as u64);
            let sum = self.bytes + self.rows;
            ensure!(
                sum <= MOST_FROM || sum / MOST <= self.size,
                "the {} bytes of {} became more than {MOST} times as much text, or rows, which no \
                 table of texts does. If it is meant so, write the texts as JSONL",
                self.size,
                self.name
            );
            let Some(text) = text else {
                self.nulls += 1;
                continue;
            };
            self.sha256.update((text.len() as u64).to_le_bytes());
            self.sha256.update(&text);
            return Ok(Some(text));
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_text();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// The place of the text's column among the `columns` of the file `name`.
///
/// # Errors
/// If it is not there: with the columns that are.
pub fn text_column(name: &str, asked: Option<&str>, columns: &[String]) -> Result<usize> {
    let place = |wanted: &str| columns.iter().position(|column| column == wanted);
    let found = match asked {
        Some(asked) => place(asked),
        None => USUAL.iter().find_map(|usual| place(usual)),
    };
    found.ok_or_else(|| {
        let wanted = match asked {
            Some(asked) => shown(asked),
            None => USUAL.map(shown).join(" or "),
        };
        let columns = match columns {
            [] => "none at all".to_owned(),
            columns => listed(columns.iter().map(|column| shown(column))),
        };
        anyhow!(
            "{name} has no column {wanted}, but {columns}: name the column of the text with \
             --text-column NAME, or in data.text_column"
        )
    })
}

/// The first column below the one that is asked for, or below the usual ones, where that column has parts.
pub fn nested<'a>(columns: &'a [String], asked: Option<&str>) -> Option<&'a str> {
    let below = |wanted: &str| {
        let is_below =
            |column: &&String| column.strip_prefix(wanted).is_some_and(|it| it.starts_with('.'));
        columns.iter().find(is_below).map(String::as_str)
    };
    match asked {
        Some(asked) => below(asked),
        None => USUAL.iter().find_map(|usual| below(usual)),
    }
}

/// A column's name as messages show it.
pub fn shown(column: &str) -> String {
    const MOST: usize = 40;
    let mut characters = column.chars();
    let start: String = characters.by_ref().take(MOST).collect();
    let more = if characters.next().is_some() { "…" } else { "" };
    format!("`{}{more}`", start.escape_debug())
}
