//! Files of each kind with some of their bytes changed: no panic, and no more memory than a sound file needs.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterVersion;

use super::tables::parquet;
use super::*;

/// Bytes that a file of some hundred may take at once: buffers, and a page as large as any may be.
const MOST: usize = 17 << 20;

/// A file of each kind and encoding.
fn sound() -> Vec<(&'static str, Vec<u8>)> {
    let texts: Vec<Option<&str>> =
        (0..8).map(|i| (i % 5 > 0).then_some(["tide", "turns", "tidings"][i % 3])).collect();
    let written = |codec, version, encoding: Option<Encoding>| {
        let bytes = parquet("text", &texts, |it| {
            let it = it.set_compression(codec).set_writer_version(version);
            match encoding {
                None => it,
                Some(encoding) => {
                    it.set_dictionary_enabled(false).set_column_encoding("text".into(), encoding)
                }
            }
        });
        ("a.parquet", bytes)
    };
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let (one, two) = (WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0);
    let csv = "id,text\n1,\"The \"\"tide\"\",\nturns\"\n2,Früh\n".repeat(3);
    let ids: Vec<u8> = (0..40u16).flat_map(u16::to_le_bytes).collect();
    vec![
        written(Compression::UNCOMPRESSED, one, None),
        written(Compression::SNAPPY, one, Some(Encoding::PLAIN)),
        written(zstd, two, None),
        written(Compression::UNCOMPRESSED, one, Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        written(Compression::UNCOMPRESSED, two, Some(Encoding::DELTA_BYTE_ARRAY)),
        written(Compression::LZ4_RAW, two, Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        ("a.csv", csv.clone().into_bytes()),
        ("a.csv.zst", zstd::encode_all(csv.as_bytes(), 0).unwrap()),
        ("a.txt.zst", zstd::encode_all(csv.repeat(20).as_bytes(), 0).unwrap()),
        ("a.bin", [ids::header(20240520, 1, 40), ids].concat()),
    ]
}

/// Reads it all, whatever comes of it.
fn read_all(name: &str, bytes: &[u8]) -> Result<()> {
    let source = Source::Pipe { name: name.to_owned(), bytes: bytes.to_vec().into() };
    read(&source, None, |_| Ok(())).map(drop)
}

fn check(name: &str, bytes: &[u8]) {
    let mut message = String::new();
    let largest = allocations::largest(|| {
        if let Err(error) = read_all(name, bytes) {
            message = format!("{error:#}");
        }
    });
    assert!(largest <= MOST, "{largest} bytes at once: {message}");
    assert!(message.is_empty() || message.contains(name), "{message}");
    assert!(message.len() < 600, "{message}");
}

/// A change of bytes: at a place, in some way.
fn changes() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    let byte = prop_oneof![select(vec![0, 1, 0x7f, 0x80, 0xff]), any::<u8>()];
    proptest::collection::vec((any::<Index>(), 0..7u8, byte), 1..8)
}

fn changed(bytes: &[u8], changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, way, byte) in changes {
        let at = at.index(bytes.len());
        match way {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, byte),
            2 if bytes.len() > 1 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << (byte % 8),
            // A huge number.
            4 => drop(bytes.splice(at..=at, [0xfe, 0xff, 0xff, 0xff, 0xf])),
            // A number that does not end.
            5 => bytes.iter_mut().skip(at).take(4).for_each(|it| *it |= 0xf0),
            _ => bytes[at] = byte,
        }
    }
    bytes
}

#[test]
fn a_changed_byte_does_no_harm() {
    for (name, bytes) in sound() {
        assert!(read_all(name, &bytes).is_ok(), "{name}");
        for at in 0..bytes.len() {
            for byte in [0x7f, 0xff, bytes[at] ^ 0x80, bytes[at].wrapping_add(2)] {
                let mut bytes = bytes.clone();
                bytes[at] = byte;
                check(name, &bytes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn changed_bytes_do_no_harm((name, bytes) in select(sound()), changes in changes()) {
        check(name, &changed(&bytes, &changes));
    }
}
