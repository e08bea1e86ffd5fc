//! Whether the numbers in a Parquet file can be true: the crate takes memory for many of them before it reads what they
//! count, and where there is less memory the process ends.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

use super::thrift::{Item, items, varint};

/// Groups lie at most this deep in each other.
const MOST_DEPTH: usize = 100;

/// A page may have this many bytes, whatever it is compressed to: writers make pages of a megabyte, or of one text.
const PAGE: u64 = 16 << 20;

/// A larger page may have so many times its compressed bytes.
const MOST: u64 = 256;

/// Bytes of a page's header that are read at first, and at most: it may hold the least and the greatest text.
const HEADER: (u64, u64) = (4096, 64 << 20);

/// The kinds of the fields of structs, by the fields that lead to a struct: a letter for each field, from 1 on, as in
/// [`Item::Field`]. The crate reads these fields as values of their kinds, whatever kinds they say they have, and would
/// go on at another place than the checks.
type Kinds = [(&'static [i16], &'static str)];

/// Those of the footer.
const FOOTER: &Kinds = &[
    (&[], "nlnllblsb"),
    // Columns, with what they hold.
    (&[2], "nnnbnnnnns"),
    (&[2, 10], "ssssssss-ssssssssss"),
    (&[2, 10, 5], "nn"),
    (&[2, 10, 7], "fs"),
    (&[2, 10, 7, 2], "sss"),
    (&[2, 10, 8], "fs"),
    (&[2, 10, 8, 2], "sss"),
    (&[2, 10, 10], "yf"),
    (&[2, 10, 16], "y"),
    (&[2, 10, 17], "b"),
    (&[2, 10, 18], "bn"),
    // Row groups, and their columns.
    (&[4], "lnnlnnn"),
    (&[4, 1], "bnsnnnnsb"),
    (&[4, 1, 3], "nllnnnnlnnnslnnss"),
    (&[4, 1, 3, 8], "bb"),
    (&[4, 1, 3, 12], STATISTICS),
    (&[4, 1, 3, 13], "nnn"),
    (&[4, 1, 3, 16], "nll"),
    (&[4, 1, 3, 17], "sl"),
    (&[4, 1, 3, 17, 1], "dddddddd"),
    (&[4, 4], "nff"),
    // Metadata, and the order of columns.
    (&[5], "bb"),
    (&[7], "sss"),
];

/// Those of the header of a page.
const PAGE_HEADER: &Kinds = &[
    (&[], "nnnnssss"),
    (&[5], "nnnns"),
    (&[5, 5], STATISTICS),
    (&[7], "nnf"),
    (&[8], "nnnnnnfs"),
    (&[8, 8], STATISTICS),
];

const STATISTICS: &str = "bbnnbbffn";

/// Whether an item is no field whose kind is known and another.
fn has_its_kind(kinds: &Kinds, path: &[i16], item: Item) -> bool {
    let (Item::Field(kind), Some((&id, before))) = (item, path.split_last()) else { return true };
    let known = kinds.iter().find(|(path, _)| *path == before).map_or("", |(_, letters)| letters);
    let place = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
    place.and_then(|place| known.chars().nth(place)).is_none_or(|it| it == kind || it == '-')
}

/// Checks that the tree of columns in a footer is one.
///
/// # Errors
/// What is wrong with the footer.
pub fn footer(bytes: &[u8]) -> Result<(), String> {
    let mut children: Vec<i64> = Vec::new();
    let mut kinds_fit = true;
    let whole = items(bytes, |path, item| {
        kinds_fit &= has_its_kind(FOOTER, path, item);
        match (path, item) {
            ([2], Item::Struct) => children.push(0),
            ([2, 5], Item::Number(count)) => {
                children.last_mut().into_iter().for_each(|it| *it = count);
            }
            _ => {}
        }
    });
    whole.filter(|_| kinds_fit).ok_or("its footer is damaged")?;
    let total = children.iter().try_fold(1, |sum: i64, &count| sum.checked_add(count));
    if children.iter().any(|&count| count < 0) || total != Some(children.len() as i64) {
        return Err("its footer lists other columns than it counts".to_owned());
    }
    let mut open: Vec<i64> = Vec::new();
    for count in children {
        while open.last() == Some(&0) {
            open.pop();
        }
        open.last_mut().into_iter().for_each(|left| *left -= 1);
        open.push(count);
        if open.len() > MOST_DEPTH {
            return Err(format!("its columns lie more than {MOST_DEPTH} groups deep"));
        }
    }
    Ok(())
}

/// What the header of a page says.
#[derive(Debug, Default)]
struct Header {
    /// Bytes of the page.
    unpacked: i64,
    /// Bytes of the page as they are in the file.
    packed: i64,
    /// Values of a page of data.
    values: i64,
    /// Values of a dictionary.
    entries: i64,
    /// Bytes of a page's levels that are not compressed.
    levels: i64,
}

/// Checks the headers of all pages of a column in a row group of `rows`, and gives the bytes of the largest page.
///
/// # Errors
/// What is wrong with them.
pub fn pages(
    file: &impl ChunkReader,
    chunk: &ColumnChunkMetaData,
    rows: i64,
) -> Result<u64, String> {
    if let codec @ (Compression::BROTLI(_) | Compression::LZO) = chunk.compression() {
        return Err(format!(
            "the column is compressed by {codec}. Write it with zstd, snappy, gzip, lz4 or none"
        ));
    }
    let (mut at, len) = chunk.byte_range();
    let end = at.checked_add(len).filter(|&end| end <= file.len());
    let end = end.ok_or("it ends before its pages do")?;
    let (mut values, mut largest) = (0i64, 0);
    while at < end {
        let (header, len) = header(file, at, end)?;
        at += len;
        let (unpacked, packed) = (header.unpacked, header.packed);
        if packed < 0 || packed as u64 > end - at || unpacked < 0 {
            return Err(format!("the page before byte {at} is not whole"));
        }
        at += packed as u64;
        if unpacked as u64 > PAGE.max((packed as u64).saturating_mul(MOST)) {
            return Err(format!(
                "the page before byte {at} claims {unpacked} bytes, compressed to {packed}"
            ));
        }
        if matches!(chunk.compression(), Compression::GZIP(_)) {
            let levels = header.levels.clamp(0, packed);
            let bytes = file.get_bytes(at - (packed - levels) as u64, (packed - levels) as usize);
            let bytes = bytes.map_err(|error| error.to_string())?;
            // The crate unpacks such a page whole, whatever it claims. What can't be unpacked it tells itself.
            let most = (unpacked as u64).saturating_add(1);
            let found = io::copy(&mut MultiGzDecoder::new(&*bytes).take(most), &mut io::sink());
            if found.is_ok_and(|found| found + levels as u64 > unpacked as u64) {
                return Err(format!(
                    "the page before byte {at} unpacks to more than {unpacked} bytes"
                ));
            }
        }
        largest = largest.max(unpacked.max(packed) as u64);
        // The crate does not look at the first number if a page is not compressed.
        let bytes =
            if chunk.compression() == Compression::UNCOMPRESSED { packed } else { unpacked };
        // Each entry has its length, of four bytes, before it.
        if header.entries < 0 || header.entries > bytes / 4 {
            return Err(format!(
                "the page before byte {at} claims {} entries in {bytes} bytes",
                header.entries
            ));
        }
        values = values.checked_add(header.values.max(0)).ok_or("its pages overflow")?;
    }
    if values != rows {
        return Err(format!("the pages of {rows} rows have {values} values"));
    }
    Ok(largest)
}

/// The header at `at`, and its length.
fn header(file: &impl ChunkReader, at: u64, end: u64) -> Result<(Header, u64), String> {
    let (mut window, most) = HEADER;
    loop {
        let len = window.min(end - at);
        let bytes = file.get_bytes(at, len as usize).map_err(|error| error.to_string())?;
        let mut header = Header::default();
        let mut kinds_fit = true;
        let whole = items(&bytes, |path, item| {
            kinds_fit &= has_its_kind(PAGE_HEADER, path, item);
            let Item::Number(number) = item else { return };
            match path {
                [2] => header.unpacked = number,
                [3] => header.packed = number,
                [5 | 8, 1] => header.values = number,
                [7, 1] => header.entries = number,
                // They are not compressed, and before the values that are.
                [8, 5 | 6] => header.levels = header.levels.saturating_add(number),
                _ => {}
            }
        });
        match whole {
            Some(len) if kinds_fit => return Ok((header, len as u64)),
            None if len == window && window < most => window *= 16,
            _ => return Err(format!("the header of the page at byte {at} is damaged")),
        }
    }
}

/// A reader of pages that checks what is known of them only when they are decompressed: the lengths in delta encodings.
pub struct Checked<P> {
    /// Of the pages.
    pub pages: P,
    /// Whether a page has levels before its values that say which are null.
    pub has_levels: bool,
}

impl<P: PageReader> Iterator for Checked<P> {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Checked<P> {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.pages.get_next_page()?;
        match &page {
            Some(page) if !is_sound(page, self.has_levels) => {
                Err(ParquetError::General("the lengths of a page's texts are damaged".to_owned()))
            }
            _ => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.pages.at_record_boundary()
    }
}

/// Whether the lengths of a page's texts, in delta encodings, are whole and not too many.
fn is_sound(page: &Page, has_levels: bool) -> bool {
    let (bytes, encoding): (&[u8], _) = match page {
        Page::DataPage { buf, encoding, .. } => (buf, encoding),
        Page::DataPageV2 { buf, encoding, .. } => (buf, encoding),
        Page::DictionaryPage { .. } => return true,
    };
    let runs = match encoding {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return true,
    };
    let levels = match page {
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            Some(*def_levels_byte_len as usize + *rep_levels_byte_len as usize)
        }
        _ if !has_levels => Some(0),
        _ => bytes.first_chunk().map(|&len| 4 + u32::from_le_bytes(len) as usize),
    };
    let mut values = levels.and_then(|levels| bytes.get(levels..));
    // A length takes four bytes when it is read, and hardly any in the page if it is that of the text before.
    let most = u64::from(page.num_values()).min(PAGE / 4);
    for _ in 0..runs {
        values = values.and_then(|values| behind_delta_run(values, most));
    }
    values.is_some()
}

/// What follows numbers in the encoding `DELTA_BINARY_PACKED`; `None` if they are not whole or more than `most`.
fn behind_delta_run(mut bytes: &[u8], most: u64) -> Option<&[u8]> {
    /// Writers take 128 numbers a block.
    const MOST_IN_BLOCK: u64 = 1 << 16;
    let (block, parts) = (varint(&mut bytes)?, varint(&mut bytes)?);
    let (total, _first) = (varint(&mut bytes)?, varint(&mut bytes)?);
    if total > most || block > MOST_IN_BLOCK || parts == 0 || block % parts != 0 {
        return None;
    }
    let in_part = block / parts;
    let mut left = total.saturating_sub(1);
    while left > 0 {
        let _least = varint(&mut bytes)?;
        let (widths, rest) = bytes.split_at_checked(parts as usize)?;
        bytes = rest;
        for &width in widths {
            if left == 0 {
                break; // parts without a number have no bytes
            }
            bytes = bytes.get((u64::from(width) * in_part / 8) as usize..)?;
            left = left.saturating_sub(in_part.max(1));
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_other_kinds_are_damage() {
        // The version: a number, then a text.
        assert_eq!(
            footer(&[0x15, 2, 0]).unwrap_err(),
            "its footer lists other columns than it counts"
        );
        assert_eq!(footer(&[0x18, 0, 0]).unwrap_err(), "its footer is damaged");
    }

    #[test]
    fn lengths_that_are_hardly_any_bytes_are_not_too_many() {
        // Blocks of 2^16 lengths, each in one part and without a bit for any: all are that of the text before.
        let page = |total: u32| {
            let mut bytes = vec![0x80, 0x80, 4, 1];
            bytes.extend(
                (0..5).map(|i| (total >> (7 * i)) as u8 & 0x7f | if i < 4 { 0x80 } else { 0 }),
            );
            bytes.push(0);
            bytes.resize(bytes.len() + 2 * total.div_ceil(1 << 16) as usize, 0);
            Page::DataPage {
                buf: bytes.into(),
                num_values: total,
                encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            }
        };
        assert!(is_sound(&page(1 << 20), false));
        assert!(!is_sound(&page(1 << 28), false));
    }
}
