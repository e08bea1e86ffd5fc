//! Whether a file is one text or JSONL: by its name where that says it, else by its first line.

use std::io::{self, BufRead, Cursor, Read};

use super::error::DocumentError;
use super::json_lines;

/// How a file becomes documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    /// All of it is one.
    Text,
    /// Each line is one: a JSON object with the field `text`.
    JsonLines,
}

/// What a file's name says of it.
enum Ending {
    Text,
    JsonLines,
    Json,
    Other,
}

/// The format of the file `name`, and all of its text.
///
/// # Errors
/// JSON in a `.json` that is no JSONL.
pub(super) fn format<'a>(
    name: &str,
    mut text: Box<dyn BufRead + 'a>,
) -> Result<(Format, Box<dyn BufRead + 'a>), DocumentError> {
    let is_json = match ending(name) {
        Ending::Text => return Ok((Format::Text, text)),
        Ending::JsonLines => return Ok((Format::JsonLines, text)),
        Ending::Json => true,
        Ending::Other => false,
    };
    let head = head(&mut text).map_err(|error| DocumentError::of(name, error))?;
    let is_empty = |text: &mut Box<dyn BufRead + 'a>| text.fill_buf().is_ok_and(<[u8]>::is_empty);
    let format = match is_json {
        // That nothing is there is told by who looks for documents.
        true if head.trim_ascii().is_empty() && is_empty(&mut text) => Format::JsonLines,
        true => json_format(name, &head)?,
        false => other_format(&head),
    };
    Ok((format, Box::new(Cursor::new(head).chain(text))))
}

fn ending(name: &str) -> Ending {
    let name = name.to_ascii_lowercase();
    let name = unpacked_name(&name);
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.').map(|(_, ending)| ending) {
        Some("txt" | "text" | "md") => Ending::Text,
        Some("jsonl" | "ndjson") => Ending::JsonLines,
        Some("json") => Ending::Json,
        _ => Ending::Other,
    }
}

/// The name of a file without the ending that says how it is compressed.
fn unpacked_name(name: &str) -> &str {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    #[cfg(feature = "zstd")]
    let name = name.strip_suffix(".zst").unwrap_or(name);
    name
}

/// White space, and the line behind it if that may be JSON.
fn head(text: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let buffer = text.fill_buf()?;
        let spaces = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let next = buffer.get(spaces).copied();
        let at_end = buffer.is_empty();
        head.extend_from_slice(&buffer[..spaces]);
        text.consume(spaces);
        if let Some(next) = next {
            match next {
                b'{' => text.read_until(b'\n', &mut head)?,
                b'[' => text.by_ref().take(1).read_to_end(&mut head)?,
                _ => 0,
            };
        }
        if at_end || next.is_some() {
            return Ok(head);
        }
    }
}

/// A file with another ending, or a pipe: JSONL if its first line is a document.
fn other_format(head: &[u8]) -> Format {
    let line = std::str::from_utf8(head).ok().map(str::trim_start);
    match line.filter(|line| line.starts_with('{')).map(json_lines::parse) {
        Some(Ok(_)) => Format::JsonLines,
        _ => Format::Text,
    }
}

fn json_format(name: &str, head: &[u8]) -> Result<Format, DocumentError> {
    let error = |found, advice| Err(DocumentError::Json { name: name.to_owned(), found, advice });
    let line = head.trim_ascii_start();
    match line.first() {
        Some(b'{') => match std::str::from_utf8(line).map(json_lines::parse) {
            Ok(Err(line)) if line.incomplete => error(
                "one JSON object over many lines, not an object a line",
                "If its documents are in an array, `jq -c '.ARRAY[]' FILE.json > FILE.jsonl` \
                 writes them one a line; each needs the field `text`",
            ),
            _ => Ok(Format::JsonLines),
        },
        Some(b'[') => error(
            "one JSON array, not an object a line",
            "`jq -c '.[]' FILE.json > FILE.jsonl` writes its elements one a line; each needs the \
             field `text`",
        ),
        _ => error("neither objects nor an array", "If it is plain text, rename it to end in .txt"),
    }
}
