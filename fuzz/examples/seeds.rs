//! Writes the seeds that are no texts: `cargo run --release --example seeds`. Those that are texts, and inputs that were
//! findings, are in seeds/ as they are.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flate2::write::GzEncoder;
use nitp_core::config::{Config, ModelConfig};
use nitp_core::data::Shard;
use nitp_core::hugging_face::{ElementType, Export};
use nitp_core::train::{Checkpoint, TrainerState, serialize};
use nitp_fuzz::targets::{MODELS, NAMES, archive, weights};
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    for (model, config) in ["dense", "mixture"].into_iter().zip(&*MODELS) {
        weights_and_checkpoint(model, config)?;
    }
    shards()?;
    tables()?;
    documents()
}

fn write(target: &str, name: &str, bytes: &[u8]) -> Result {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn weights_and_checkpoint(model: &str, config: &Config) -> Result {
    let weights = weights(config);
    write("safetensors", &format!("{model}.safetensors"), &archive(&weights))?;
    let moments = ["moment1", "moment2"].into_iter().flat_map(|prefix| {
        weights.iter().map(move |(name, tensor)| (format!("{prefix}/{name}"), tensor))
    });
    let moments = serialize(&moments.collect::<Vec<_>>(), HashMap::new());
    write("safetensors", &format!("{model}-moments.safetensors"), &moments)?;
    for (name, element_type) in [("bf16", ElementType::Bf16), ("f16", ElementType::F16)] {
        let export = Export::new(config, weights.clone(), element_type)?;
        let bytes: Vec<u8> =
            export.shards(usize::MAX).first().map(|shard| export.bytes(shard)).unwrap_or_default();
        write("safetensors", &format!("{model}-{name}.safetensors"), &bytes)?;
    }
    let state = TrainerState::new("a fingerprint".to_owned());
    let (moment1, moment2) = (weights.clone(), weights.clone());
    let model_config: ModelConfig = config.model.clone();
    let checkpoint = Checkpoint { weights, moment1, moment2, state, model: model_config };
    let (name, bytes) = checkpoint.to_files().last().ok_or("a checkpoint has files")?;
    write("safetensors", &format!("{model}-{name}"), &bytes)
}

fn shards() -> Result {
    let ids: Vec<u32> = (0..40).map(|i| i * 7 % 300).collect();
    write("shard", "narrow.safetensors", &Shard::to_bytes(&ids, &[0, 3, 20], 300))?;
    write("shard", "wide.safetensors", &Shard::to_bytes(&ids, &[0, 3, 20], 1 << 17))?;
    write("shard", "empty.safetensors", &Shard::to_bytes(&[], &[], 300))
}

/// Texts as each of the encodings and compressions has them.
fn tables() -> Result {
    let texts: Vec<Option<&str>> =
        (0..8).map(|i| (i % 5 > 0).then_some(["tide", "turns", "tidings"][i % 3])).collect();
    let (one, two) = (WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0);
    let lengths = Encoding::DELTA_LENGTH_BYTE_ARRAY;
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let gzip = Compression::GZIP(GzipLevel::default());
    for (name, codec, version, encoding) in [
        ("dictionary", Compression::UNCOMPRESSED, one, None),
        ("plain-snappy", Compression::SNAPPY, one, Some(Encoding::PLAIN)),
        ("dictionary-zstd", zstd, two, None),
        ("dictionary-gzip", gzip, two, None),
        ("lengths", Compression::UNCOMPRESSED, one, Some(lengths)),
        ("prefixes", Compression::UNCOMPRESSED, two, Some(Encoding::DELTA_BYTE_ARRAY)),
        ("lengths-lz4", Compression::LZ4_RAW, two, Some(lengths)),
    ] {
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_writer_version(version)
            .set_created_by("nitp".to_owned());
        let properties = match encoding {
            None => properties,
            Some(encoding) => properties
                .set_dictionary_enabled(false)
                .set_column_encoding("text".into(), encoding),
        };
        let schema = "message rows { required int64 id; optional binary text (UTF8); }";
        let schema = Arc::new(parse_message_type(schema)?);
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties.build().into())?;
        for group in texts.chunks(5) {
            let mut groups = writer.next_row_group()?;
            let mut column = groups.next_column()?.ok_or("the first column")?;
            let ids: Vec<i64> = (0..group.len() as i64).collect();
            column.typed::<Int64Type>().write_batch(&ids, None, None)?;
            column.close()?;
            let mut column = groups.next_column()?.ok_or("the second column")?;
            let levels: Vec<i16> = group.iter().map(|text| i16::from(text.is_some())).collect();
            let values: Vec<ByteArray> = group.iter().flatten().map(|&text| text.into()).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            column.close()?;
            groups.close()?;
        }
        write("parquet", &format!("{name}.parquet"), &writer.into_inner()?)?;
    }
    Ok(())
}

/// Files of every name, each behind a byte that tells the name.
fn documents() -> Result {
    let text = "The tide,\n\nturns. Fr\u{fc}h \u{1F600}\n";
    let lines =
        "{\"text\": \"The tide\"}\n{\"id\": 1, \"text\": \"turns \\ud83d\\ude00 \\ud83d\"}\n";
    let csv = "id,text\r\n1,\"The \"\"tide\"\",\nturns\"\r\n2,Fr\u{fc}h\n";
    let tsv = "text\tid\n\"The \"\"tide\"\"\"\t1\nturns\t2";
    let utf16: Vec<u8> =
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ids: Vec<u8> = (0..9u16).flat_map(u16::to_le_bytes).collect();
    let header = |magic: u32, version: u32, count: u32| -> Vec<u8> {
        let numbers = [magic, version, count].into_iter().chain([0; 253]);
        numbers.flat_map(u32::to_le_bytes).collect()
    };
    let wide: Vec<u8> = (0..9u32).flat_map(u32::to_le_bytes).collect();
    let gz = |bytes: &[u8]| -> Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes)?;
        Ok(encoder.finish()?)
    };
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 0);
    for (seed, name, bytes) in [
        ("text", "a.txt", text.into()),
        ("utf16", "a.txt", utf16),
        ("lines", "a.jsonl", lines.into()),
        ("json", "a.json", lines.into()),
        ("csv", "a.csv", csv.into()),
        ("tsv", "a.tsv", tsv.into()),
        ("ids", "a.bin", ids.clone()),
        ("ids16", "a.bin", [header(20240520, 1, 9), ids.clone()].concat()),
        ("ids32", "the standard input", [header(20240801, 7, 9), wide].concat()),
        ("piped-text", "the standard input", text.into()),
        ("piped-lines", "the standard input", lines.into()),
        ("text-gz", "a.txt.gz", gz(text.as_bytes())?),
        ("lines-zst", "a.jsonl.zst", zst(lines.as_bytes())?),
        ("csv-gz", "a.csv.gz", gz(csv.as_bytes())?),
        ("ids-zst", "a.bin.zst", zst(&ids)?),
        ("json-gz", "a.json.gz", gz(lines.as_bytes())?),
    ] {
        let first = NAMES.iter().position(|&it| it == name).ok_or("a known name")?;
        write("documents", seed, &[&[first as u8], &bytes[..]].concat())?;
    }
    Ok(())
}
