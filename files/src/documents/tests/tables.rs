//! Columns of texts, in the ways that programs write them.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

const TEXTS: [Option<&str>; 7] = [
    Some("The tide"),
    None,
    Some("turns, \"and\"\nturns"),
    Some("Früh"),
    Some(""),
    None,
    Some("x"),
];

/// A file with the columns `id`, of numbers, and `name`, of `texts`; three rows a group.
pub fn parquet(
    name: &str,
    texts: &[Option<&str>],
    set: impl Fn(WriterPropertiesBuilder) -> WriterPropertiesBuilder,
) -> Vec<u8> {
    let schema = format!("message rows {{ required int64 id; optional binary {name} (UTF8); }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(set(WriterProperties::builder()).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for group in texts.chunks(3) {
        let mut groups = writer.next_row_group().unwrap();
        let mut column = groups.next_column().unwrap().unwrap();
        let ids: Vec<i64> = (0..group.len() as i64).collect();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = groups.next_column().unwrap().unwrap();
        let levels: Vec<i16> = group.iter().map(|text| i16::from(text.is_some())).collect();
        let values: Vec<ByteArray> = group.iter().flatten().map(|&text| text.into()).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        groups.close().unwrap();
    }
    writer.into_inner().unwrap()
}

pub fn opened(name: &str, bytes: &[u8], column: Option<&str>) -> Result<Content> {
    Content::open(name, bytes::Bytes::copy_from_slice(bytes), column)
}

/// The texts of a file, how many are null, and the digest.
fn texts(
    name: &str,
    bytes: &[u8],
    column: Option<&str>,
) -> Result<(Vec<String>, usize, TextDigest)> {
    let Content::Rows(mut rows) = opened(name, bytes, column)? else { bail!("no table") };
    let texts = rows.by_ref().collect::<Result<_>>()?;
    let nulls = rows.nulls();
    assert_eq!(opened(name, bytes, column)?.digest()?, rows.digest()?);
    Ok((texts, nulls, opened(name, bytes, column)?.digest()?))
}

fn message(name: &str, bytes: &[u8], column: Option<&str>) -> String {
    let message = format!("{:#}", texts(name, bytes, column).unwrap_err());
    assert!(message.contains(name) && message.len() < 500, "{message}");
    message
}

#[test]
fn a_parquet_file_gives_its_texts_however_it_is_written() {
    let expected: Vec<String> = TEXTS.into_iter().flatten().map(str::to_owned).collect();
    let mut digests = Vec::new();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for encoding in [
                None,
                Some(Encoding::PLAIN),
                Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
                Some(Encoding::DELTA_BYTE_ARRAY),
            ] {
                let bytes = parquet("text", &TEXTS, |it| {
                    let it = it.set_compression(codec).set_writer_version(version);
                    match encoding {
                        None => it,
                        Some(encoding) => it
                            .set_dictionary_enabled(false)
                            .set_column_encoding("text".into(), encoding),
                    }
                });
                // The first bytes tell it, as in a pipe.
                for name in ["a.parquet", "the standard input"] {
                    let (texts, nulls, digest) = texts(name, &bytes, None).unwrap();
                    assert_eq!((texts.as_slice(), nulls), (&*expected, 2), "{codec} {encoding:?}");
                    digests.push(digest);
                }
            }
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "compression has no part in a digest");
    // Many pages, and more rows than are decoded at once.
    let many: Vec<String> = (0..5000).map(|i| format!("{i} tides").repeat(i % 7)).collect();
    let some: Vec<Option<&str>> = many.iter().map(|text| Some(text.as_str())).collect();
    let bytes = parquet("content", &some, |it| it.set_data_page_row_count_limit(2));
    assert_eq!(texts("a.pq", &bytes, None).unwrap().0, many);
    assert_eq!(texts("a.pq", &bytes, Some("content")).unwrap().0, many);
}

#[test]
fn a_parquet_file_without_texts_says_why() {
    let bytes = parquet("body", &TEXTS, |it| it);
    let missing = message("a.parquet", &bytes, None);
    assert!(missing.contains("no column `text` or `content`, but `id`, `body`"), "{missing}");
    assert!(missing.contains("--text-column"), "{missing}");
    let missing = message("a.parquet", &bytes, Some("Body"));
    assert!(missing.contains("no column `Body`, but `id`, `body`"), "{missing}");
    let other = message("a.parquet", &bytes, Some("id"));
    assert!(other.contains("the column `id` holds INT64, not text"), "{other}");
    let empty = message("a.parquet", &parquet("text", &[None, Some("")], |it| it), None);
    assert!(empty.contains("holds no text"), "{empty}");
    assert!(message("a.parquet", &parquet("text", &[], |it| it), None).contains("holds no text"));
    let garbage = message("a.parquet", b"id,text\n1,x\n", None);
    assert!(garbage.contains("does not begin as one"), "{garbage}");
    assert!(message("a.parquet", b"", None).contains("does not begin as one"));
    assert!(message("a.parquet.gz", b"\x1f\x8b", None).contains("decompress it first"));
    assert!(
        message("a.parquet", b"PAR1 and other bytes", None).contains("can't be read as Parquet")
    );
    for len in 4..bytes.len() {
        let cut = message("a.parquet", &bytes[..len], None);
        assert!(cut.contains("can't be read as Parquet") && cut.contains("cut short"), "{cut}");
    }
    let latin = parquet("text", &[Some("\u{e9}")], |it| it.set_dictionary_enabled(false));
    let at = latin.windows(2).position(|pair| pair == "\u{e9}".as_bytes()).unwrap();
    let latin = [&latin[..at], b"\xe9x", &latin[at + 2..]].concat();
    assert!(message("a.parquet", &latin, None).contains("row 1: the value is not text in UTF-8"));
}

#[test]
fn lists_are_not_text() {
    let schema = "message rows { repeated binary text (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let error = message("a.parquet", &writer.into_inner().unwrap(), None);
    assert!(error.contains("the column `text` holds lists, not text"), "{error}");
}

/// The bytes with i32::MAX in the place of a number: that of so many numbers in the header of the first page, from 0.
fn inflated(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut at = parquet_file::MAGIC.len();
    for index in 0.. {
        // The number of a field, before the fourth that of a struct too.
        at += if index == 3 { 2 } else { 1 };
        let len = 1 + bytes[at..].iter().take_while(|&&byte| byte & 0x80 != 0).count();
        if index == number {
            return [&bytes[..at], &HUGE, &bytes[at + len..]].concat();
        }
        at += len;
    }
    unreachable!("a page has many numbers")
}

/// i32::MAX as a number of variable length, with its sign.
const HUGE: [u8; 5] = [0xfe, 0xff, 0xff, 0xff, 0xf];

#[test]
fn a_count_that_can_not_be_true_takes_no_memory() {
    // The root of the columns, with i32::MAX children.
    let footer = [&[0x15, 4, 0x19, 0x1c, 0x48, 1, b'm', 0x15][..], &HUGE, &[0, 0]].concat();
    let footer = [b"PAR1", &footer[..], &[footer.len() as u8, 0, 0, 0], b"PAR1"].concat();
    let schema = Arc::new(parse_message_type("message rows { required binary text; }").unwrap());
    let written = |set: fn(WriterPropertiesBuilder) -> WriterPropertiesBuilder| {
        let properties = Arc::new(set(WriterProperties::builder()).build());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema.clone(), properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = ["the", "tide", "the", "tide"].map(Into::into).to_vec();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.into_inner().unwrap()
    };
    let plain = written(|it| it.set_compression(Compression::SNAPPY));
    assert_eq!(texts("a.parquet", &plain, None).unwrap().0.len(), 4);
    let delta = |encoding| {
        let bytes = match encoding {
            1 => written(|it| {
                it.set_dictionary_enabled(false).set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY)
            }),
            _ => written(|it| {
                it.set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY)
            }),
        };
        // Blocks of 128 numbers in 4 parts, 4 numbers in all; the last such run in the page.
        let at = bytes.windows(4).rposition(|it| it == [0x80, 1, 4, 4]).unwrap();
        [&bytes[..at + 3], &HUGE, &bytes[at + 4..]].concat()
    };
    for (bytes, reason) in [
        (footer, "lists other columns than it counts"),
        (inflated(&plain, 1), "claims 2147483647 bytes"),
        (inflated(&plain, 2), "is not whole"),
        (inflated(&plain, 3), "claims 2147483647 entries"),
        (delta(1), "the lengths of a page's texts are damaged"),
        (delta(2), "the lengths of a page's texts are damaged"),
    ] {
        let mut error = String::new();
        let largest = allocations::largest(|| error = message("a.parquet", &bytes, None));
        assert!(error.contains(reason), "{error}");
        assert!(largest < 1 << 20, "{largest} bytes: {error}");
    }
}

#[test]
fn gzip_pages_hold_what_they_claim() {
    let text = "tide ".repeat(2000);
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let bytes = parquet("text", &[Some(text.as_str()); 3], |it| {
            it.set_compression(Compression::GZIP(GzipLevel::default()))
                .set_writer_version(version)
                .set_dictionary_enabled(false)
                .set_column_encoding("text".into(), Encoding::PLAIN)
        });
        assert_eq!(texts("a.parquet", &bytes, None).unwrap().0.len(), 3);
        // The page has the texts with their lengths, and some bytes of levels: a number of three bytes in Thrift.
        let varint =
            |number: usize| [number as u8 | 0x80, (number >> 7) as u8 | 0x80, (number >> 14) as u8];
        let size =
            (3 * (4 + text.len())..).find(|size| bytes.windows(3).any(|it| it == varint(2 * size)));
        let claimed = varint(2 * size.unwrap());
        let at = bytes.windows(3).position(|it| it == claimed).unwrap();
        let lying = [&bytes[..at], &varint(2 * 100), &bytes[at + 3..]].concat();
        let error = message("a.parquet", &lying, None);
        assert!(error.contains("unpacks to more than 100 bytes"), "{error}");
    }
}

#[test]
fn few_of_long_texts_are_decoded_at_once() {
    // In this encoding, a page has what a text shares with the one before only once.
    let long = "tide ".repeat(1 << 20);
    let schema = Arc::new(parse_message_type("message rows { required binary text; }").unwrap());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BYTE_ARRAY)
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values = vec![ByteArray::from(long.as_str()); 32];
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let bytes = writer.into_inner().unwrap();
    let held = allocations::most_held(|| {
        let Content::Rows(rows) = opened("a.parquet", &bytes, None).unwrap() else { panic!() };
        assert_eq!(rows.map(|text| text.unwrap().len()).sum::<usize>(), 32 * long.len());
    });
    assert!(held < 100 << 20, "{held} bytes");
}

#[test]
fn csv_and_tsv_give_a_column() {
    let expected = ["The \"tide\",\nturns", "Früh", ""];
    let csv = "id,text\r\n1,\"The \"\"tide\"\",\nturns\"\r\n\r\n2,Früh\n3,\n";
    let plain = texts("a.csv", csv.as_bytes(), None).unwrap();
    assert_eq!((plain.0.as_slice(), plain.1), (&expected.map(str::to_owned)[..], 0));
    let mut gz = GzEncoder::new(Vec::new(), Level::fast());
    gz.write_all(csv.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let zst = zstd::encode_all(csv.as_bytes(), 0).unwrap();
    let utf16: Vec<u8> =
        format!("\u{feff}{csv}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let tsv = "text\tid\n\"The \"\"tide\"\",\nturns\"\t1\nFrüh\t2\n\t3";
    let rows: Vec<Option<&str>> = expected.map(Some).to_vec();
    for (name, bytes) in [
        ("a.CSV.gz", gz.as_slice()),
        ("a.csv.zst", &zst),
        ("a.csv", &utf16),
        ("a.csv", format!("\u{feff}{csv}").as_bytes()),
        ("a.tsv", tsv.as_bytes()),
        ("a.tab", tsv.as_bytes()),
        // Equal texts have one name in Parquet too.
        ("a.parquet", &parquet("text", &rows, |it| it)),
    ] {
        assert!(texts(name, bytes, None).unwrap() == plain, "{name}");
    }
    assert_eq!(texts("a.csv", csv.as_bytes(), Some("id")).unwrap().0, ["1", "2", "3"]);
    assert_eq!(texts("a.csv", b"content\na\nb", None).unwrap().0, ["a", "b"]);
}

#[test]
fn rows_that_are_none_of_a_table_are_named() {
    let missing = message("a.csv", b"id;body\n1;x\n", None);
    assert!(missing.contains("but `id;body`") && missing.contains("separates"), "{missing}");
    let missing = message("a.csv", b"id,body\n1,x\n", Some("text"));
    assert!(missing.contains("no column `text`, but `id`, `body`"), "{missing}");
    let long = message("a.csv", format!("{}\n", "a,".repeat(50_000)).as_bytes(), None);
    assert!(long.contains("more"), "{long}");
    // Also behind empty lines, and with the line ends of Windows.
    for end in ["\n", "\r\n"] {
        let named = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).replace('\n', end);
            message(
                "a.csv",
                &text
                    .bytes()
                    .map(|byte| if byte == b'~' { 0xe9 } else { byte })
                    .collect::<Vec<u8>>(),
                None,
            )
        };
        let row = named(b"id,text\n1,\"a\nb\"\n\n\n2,a,b\n");
        assert!(
            row.contains("line 6: the row has 3 values, but the header names 2 columns"),
            "{row}"
        );
        let open = named(b"id,text\n1,a\n2,\"b\n3,c\n");
        assert!(open.contains("line 3") && open.contains("quotation mark"), "{open}");
        let latin = named(b"text\na\ncaf~\n");
        assert!(latin.contains("line 3") && latin.contains("UTF-8"), "{latin}");
    }
    for empty in [&b""[..], b"\n\n", b"text\n", b"text"] {
        assert!(message("a.csv", empty, None).contains("holds no text"), "{empty:?}");
    }
    let zst = zstd::encode_all(&b"text\na\nb\n"[..], 0).unwrap();
    assert!(message("a.csv.zst", &zst[..zst.len() - 1], None).contains("cut short"));
    assert!(message("a.csv", b"PK\x03\x04\0\0", None).contains("a zip archive"));
    message("a.csv", &[0xff, 0, 1, 0x80].repeat(99), None);
}
