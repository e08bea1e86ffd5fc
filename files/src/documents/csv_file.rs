//! The texts in a column of a CSV or TSV file.

use std::io::{self, BufRead, Cursor, Read};

use anyhow::{Result, anyhow, bail, ensure};
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use nitp_core::data::DocumentError;

use super::rows::text_column;

/// A row behind the last of a file. Where it is part of another row, quotes opened and did not close, which the crate
/// does not tell.
const END: &[u8] = b"\x02nitp: the end of the table\x03";

/// The texts in `column` of the table `text`, the file `name`, whose first row has the names of the columns.
///
/// # Errors
/// If there is no such column. The iterator gives errors for rows that are no rows of this table.
pub fn texts<'a>(
    name: &str,
    text: Box<dyn BufRead + 'a>,
    delimiter: u8,
    column: Option<&str>,
) -> Result<impl Iterator<Item = Result<Option<String>>> + use<'a>> {
    let end = [b"\n", END].concat();
    let reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(LineEnds { text: text.chain(Cursor::new(end)), last: 0, crlf: None });
    let mut table = Table { name: name.to_owned(), reader, line: 1, columns: 0, place: 0 };
    let Some(header) = table.next_row()? else { return Ok(None.into_iter().flatten()) };
    let columns: Vec<String> =
        header.iter().map(|column| String::from_utf8_lossy(column).into_owned()).collect();
    table.place = text_column(name, column, &columns).map_err(|error| match columns.as_slice() {
        [only] if only.contains([';', '\t', ',', '|']) => anyhow!(
            "{error}. If another character than {:?} separates the columns, write the file with that one",
            char::from(delimiter)
        ),
        _ => error,
    })?;
    table.columns = columns.len();
    Ok(Some(table).into_iter().flatten())
}

/// Notes how the first line of a file ends.
struct LineEnds<R> {
    text: R,
    /// The last byte that was read.
    last: u8,
    crlf: Option<bool>,
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.text.read(to)?;
        if self.crlf.is_none()
            && let Some(end) = to[..len].iter().position(|&byte| byte == b'\n')
        {
            let before = if end == 0 { self.last } else { to[end - 1] };
            self.crlf = Some(before == b'\r');
        }
        self.last = to[..len].last().copied().unwrap_or(self.last);
        Ok(len)
    }
}

struct Table<R> {
    name: String,
    reader: Reader<LineEnds<R>>,
    /// The line on which the last row begins.
    line: u64,
    /// As many as the header has; 0 before it is read.
    columns: usize,
    /// Of the text among them.
    place: usize,
}

impl<R: Read> Table<R> {
    /// The next row; `None` behind the last.
    fn next_row(&mut self) -> Result<Option<ByteRecord>> {
        let name = &self.name;
        let mut row = ByteRecord::new();
        let more =
            self.reader.read_byte_record(&mut row).map_err(|error| match error.into_kind() {
                ErrorKind::Io(error) => DocumentError::of(name, error).into(),
                other => anyhow!("{name} can't be read as a table: {other:?}"),
            })?;
        let last = row.iter().next_back().filter(|value| value.ends_with(END));
        // The crate counts the line breaks so far. Those of the row itself are within its values, and one behind them,
        // unless the crate has stopped between the two characters of `\r\n`, or at the end of the file.
        let within = row.iter().flatten().filter(|&&byte| byte == b'\n').count() as u64;
        let behind = u64::from(last.is_none() && self.reader.get_ref().crlf == Some(false));
        self.line = self.reader.position().line().saturating_sub(within + behind).max(1);
        let line = self.line;
        if !more || last.is_some() {
            ensure!(
                row.len() == 1 && last == Some(END),
                "{name}, line {line}: the row has a quotation mark that opens a value, and none \
                 that closes it. The file may be cut short, or the mark must be written twice"
            );
            return Ok(None);
        }
        if self.columns > 0 && row.len() != self.columns {
            bail!(
                "{name}, line {line}: the row has {} values, but the header names {} columns. A \
                 value that holds the separator must be in quotation marks",
                row.len(),
                self.columns
            );
        }
        Ok(Some(row))
    }

    fn next_text(&mut self) -> Result<Option<String>> {
        let Some(row) = self.next_row()? else { return Ok(None) };
        let text = String::from_utf8(row[self.place].to_vec()).map_err(|_| {
            anyhow!(
                "{}, line {}: the text is not UTF-8. Convert the file with `iconv -f ENCODING -t \
                 UTF-8`, where ENCODING is the name of the encoding that it was saved in",
                self.name,
                self.line
            )
        })?;
        Ok(Some(text))
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = Result<Option<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_text().transpose().map(|text| text.map(Some))
    }
}
