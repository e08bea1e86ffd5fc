//! The texts in a column of a Parquet file, some rows at a time.
//!
//! The crate `parquet` reads the file. Counts in it are checked first ([`checks`]), and its panics are contained.

mod checks;
mod thrift;

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use nitp_core::data::contained;
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use super::rows::{nested, shown, text_column};
use checks::Checked;

/// First and last bytes of every file.
pub const MAGIC: &[u8] = b"PAR1";

/// Rows that are decoded at once.
const BATCH: usize = 64;

/// Bytes of rows that are decoded at once: each may hold a text as large as a page, if the page has what it shares with
/// the text before only once.
const BATCH_BYTES: u64 = 64 << 20;

/// The texts of a column, `None` for a null.
pub struct Texts<R> {
    name: String,
    file: Arc<R>,
    metadata: ParquetMetaData,
    /// The place of the column.
    column: usize,
    /// The row group that is read next.
    group: usize,
    reader: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Rows of the current group that are not read yet.
    left: usize,
    /// Rows of the current group that are decoded at once.
    at_once: usize,
    batch: std::vec::IntoIter<Option<ByteArray>>,
    /// Rows before that which is given next.
    row: u64,
}

impl<R: ChunkReader + 'static> Texts<R> {
    /// Those in `column` of the file `name`.
    ///
    /// # Errors
    /// If the file is damaged, has no such column, or that holds no text.
    pub fn new(name: &str, file: R, column: Option<&str>) -> Result<Self> {
        let metadata = guarded(name, || metadata(&file))?;
        let schema = metadata.file_metadata().schema_descr();
        let columns: Vec<String> =
            schema.columns().iter().map(|column| column.path().string()).collect();
        let column = match text_column(name, column, &columns) {
            Ok(place) => place,
            // The columns of a list, a map or a struct are below it.
            Err(error) => match nested(&columns, column) {
                Some(inner) => {
                    let place = columns.iter().position(|it| it == inner).unwrap_or_default();
                    let outer = shown(inner.split('.').next().unwrap_or(inner));
                    let advice = match other_than_text(&schema.column(place)) {
                        None => format!("name one of them with --text-column {inner}"),
                        Some(kind) => format!(
                            "{} holds {kind}, so name another column with --text-column NAME",
                            shown(inner)
                        ),
                    };
                    bail!("{name}: the column {outer} holds values of several parts: {advice}")
                }
                None => return Err(error),
            },
        };
        if let Some(kind) = other_than_text(&schema.column(column)) {
            bail!(
                "{name}: the column {} holds {kind}, not text: name another with --text-column \
                 NAME, or in data.text_column",
                shown(&columns[column])
            );
        }
        let (name, file) = (name.to_owned(), Arc::new(file));
        Ok(Self {
            name,
            file,
            metadata,
            column,
            group: 0,
            reader: None,
            left: 0,
            at_once: BATCH,
            batch: Vec::new().into_iter(),
            row: 0,
        })
    }

    fn next_text(&mut self) -> Result<Option<Option<String>>> {
        loop {
            if let Some(value) = self.batch.next() {
                self.row += 1;
                let text = value.map(|value| String::from_utf8(value.data().to_vec())).transpose();
                return text.map(Some).map_err(|_| {
                    anyhow!("{}, row {}: the value is not text in UTF-8", self.name, self.row)
                });
            }
            if self.left > 0 {
                self.read_batch()?;
            } else if self.group < self.metadata.num_row_groups() {
                self.open_group()?;
            } else {
                return Ok(None);
            }
        }
    }

    fn open_group(&mut self) -> Result<()> {
        let (reader, rows, largest) = guarded(&self.name, || {
            let group = self.metadata.row_group(self.group);
            let (chunk, rows) = (group.column(self.column), group.num_rows());
            let largest = checks::pages(&*self.file, chunk, rows)?;
            let pages = SerializedPageReader::new(self.file.clone(), chunk, rows as usize, None);
            let pages = pages.map_err(|error| error.to_string())?;
            let column = chunk.column_descr_ptr();
            let has_levels = column.max_def_level() > 0;
            let reader = get_column_reader(column, Box::new(Checked { pages, has_levels }));
            Ok((get_typed_column_reader(reader), rows as usize, largest))
        })?;
        (self.reader, self.left) = (Some(reader), rows);
        self.at_once = (BATCH_BYTES / largest.max(1)).clamp(1, BATCH as u64) as usize;
        self.group += 1;
        Ok(())
    }

    fn read_batch(&mut self) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let (most, whole) =
            (self.left.min(self.at_once), self.metadata.file_metadata().schema_descr());
        let whole = whole.column(self.column).max_def_level();
        let (count, values) = guarded(&self.name, || {
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let read = reader.read_records(most, Some(&mut levels), None, &mut values);
            let (count, ..) = read.map_err(|error| error.to_string())?;
            if whole == 0 {
                return Ok((count, values.into_iter().map(Some).collect()));
            }
            let mut values = values.into_iter();
            let value = |&level: &i16| if level == whole { values.next() } else { None };
            Ok((count, levels.iter().map(value).collect::<Vec<_>>()))
        })?;
        if count == 0 || values.len() != count {
            bail!(damaged(&self.name, "it has fewer rows than it counts"));
        }
        (self.batch, self.left) = (values.into_iter(), self.left - count);
        Ok(())
    }
}

impl<R: ChunkReader + 'static> Iterator for Texts<R> {
    type Item = Result<Option<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_text().transpose()
    }
}

/// Runs `work`, which calls the crate; its panics become errors.
fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T> {
    contained(work)
        .and_then(|done| done)
        .map_err(|reason| damaged(name, reason.strip_prefix("Parquet error: ").unwrap_or(&reason)))
}

fn damaged(name: &str, reason: &str) -> anyhow::Error {
    /// Characters of a reason: the crate may quote what it read.
    const MOST: usize = 200;
    let reason: String = reason.chars().take(MOST).collect();
    anyhow!(
        "{name} can't be read as Parquet: {reason}. If the file is damaged or cut short, get or \
         make it again"
    )
}

fn metadata(file: &impl ChunkReader) -> Result<ParquetMetaData, String> {
    let tail = file.len().checked_sub(8).ok_or("it is cut short")?;
    let bytes = file.get_bytes(tail, 8).map_err(|error| error.to_string())?;
    if !bytes.ends_with(MAGIC) {
        return Err("it does not end as such a file does".to_owned());
    }
    let len =
        u64::from(bytes[..4].iter().rev().fold(0, |len: u32, &byte| len << 8 | u32::from(byte)));
    let begin = tail.checked_sub(len).ok_or("its footer is longer than the file")?;
    let footer = file.get_bytes(begin, len as usize).map_err(|error| error.to_string())?;
    checks::footer(&footer)?;
    ParquetMetaDataReader::new().parse_and_finish(file).map_err(|error| error.to_string())
}

/// What a column holds, if that is no text.
fn other_than_text(column: &ColumnDescriptor) -> Option<String> {
    if column.max_rep_level() > 0 {
        return Some("lists".to_owned());
    }
    let (kind, converted) = (column.physical_type(), column.converted_type());
    let logical = column.logical_type_ref();
    let is_text = match logical {
        Some(logical) => {
            matches!(logical, LogicalType::String | LogicalType::Enum | LogicalType::Json)
        }
        // Some writers leave it out for text.
        None => matches!(
            converted,
            ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON
        ),
    };
    match (kind, logical) {
        (Type::BYTE_ARRAY, _) if is_text => None,
        (_, Some(logical)) => Some(format!("{kind} ({logical:?})")),
        (_, None) if converted != ConvertedType::NONE => Some(format!("{kind} ({converted})")),
        _ => Some(kind.to_string()),
    }
}
