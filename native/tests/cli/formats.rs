//! Tables and token ids as people have them.

use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::harness::{Place, fail, succeed};

const ONE_STEP: &[&str] = &["--device", "cpu", "--steps", "1"];

/// A Parquet file with one column of texts.
fn parquet(column: &str, texts: &[Option<&str>]) -> Vec<u8> {
    let schema = format!("message rows {{ optional binary {column} (UTF8); }}");
    let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    let mut pages = group.next_column().expect("a column").expect("a column");
    let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
    let values: Vec<ByteArray> = texts.iter().flatten().map(|&text| text.into()).collect();
    pages.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).expect("values");
    pages.close().expect("it is closed");
    group.close().expect("it is closed");
    writer.into_inner().expect("it is written")
}

fn fingerprint(place: &Place, run: &str) -> String {
    place.metrics(run)[0]["data_fingerprint"].as_str().expect("a digest").to_owned()
}

#[test]
fn a_column_of_a_table_is_trained_on_and_asked_for_once() {
    let place = Place::new();
    let texts: Vec<String> =
        (0..60).map(|i| format!("Scene {i}: the tide turns, and turns again.")).collect();
    let mut rows: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    rows.insert(7, None);
    place.write("a.parquet", parquet("body", &rows));
    let csv: String = texts.iter().map(|text| format!("1,\"{text}\"\n")).collect();
    place.write(
        "a.csv.zst",
        zstd::encode_all(format!("id,body\n{csv}").as_bytes(), 0).expect("zstd"),
    );
    let train = |run: &str, more: &[&str]| {
        let more = [&["--device", "cpu", "--steps", "4", "--stop-at", "1"], more].concat();
        place.train(run, &more)
    };
    let error = fail(train("none", &["--data", "a.parquet"]), 1);
    assert!(error.contains("but `body`") && error.contains("--text-column"), "{error}");
    let (out, _) = succeed(train("parquet", &["--data", "a.parquet", "--text-column", "body"]));
    assert!(out.contains("60 documents"), "{out}");
    assert!(out.contains("1 row without a value (null)"), "{out}");
    let config = String::from_utf8(place.read("parquet/config.toml")).expect("UTF-8");
    assert!(config.contains("text_column = \"body\""), "{config}");
    succeed(train("csv", &["--data", "a.csv.zst", "--set", "data.text_column=body"]));
    assert_eq!(fingerprint(&place, "csv"), fingerprint(&place, "parquet"));
    // The run knows its column.
    succeed(place.nitp(&["train", "--resume", "parquet", "--device", "cpu"]));
    succeed(place.nitp(&["eval", "parquet", "--device", "cpu"]));
    place.write("b.tsv", format!("content\n{}\n", texts.concat()));
    let eval = ["eval", "parquet", "--device", "cpu", "--data", "b.tsv"];
    assert!(fail(place.nitp(&eval), 1).contains("no column `body`, but `content`"));
    succeed(place.nitp(&[&eval[..], &["--text-column", "content"]].concat()));
    let tokenizer = ["tokenizer", "train", "--vocab-size", "270", "--out", "t.json", "--data"];
    succeed(place.nitp(&[&tokenizer[..], &["a.parquet", "--text-column=body"]].concat()));
}

#[test]
fn token_ids_train_as_their_text_does() {
    let place = Place::new();
    let text = place.read("text.txt");
    let ids: Vec<u32> = text.iter().map(|&byte| u32::from(byte)).chain([256]).collect();
    let narrow: Vec<u8> = ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect();
    let header = [20240801, 7, ids.len() as u32].into_iter().chain([0; 253]);
    let wide: Vec<u8> = header.chain(ids).flat_map(u32::to_le_bytes).collect();
    place.write("train.bin", &narrow);
    place.write("shards/train_000.bin", &wide);
    place.write("shards/model.bin", "x");
    const END: &str = "--set=model.vocab_size=257";
    let train = |run: &str, data: &str| {
        succeed(place.train(run, &[ONE_STEP, &[END, "--data", data]].concat())).0
    };
    train("text", "text.txt");
    train("narrow", "train.bin");
    let out = train("sharded", "shards");
    assert!(out.contains("1 .bin without llm.c's header (model.bin)"), "{out}");
    assert_eq!(fingerprint(&place, "narrow"), fingerprint(&place, "sharded"));
    let weights =
        |run: &str| place.read(&format!("{run}/checkpoints/step-00000001/model.safetensors"));
    assert!(weights("text") == weights("narrow") && weights("text") == weights("sharded"));
    succeed(place.nitp(&["generate", "narrow", "--prompt", "The", "--device", "cpu"]));

    place.write("foreign.bin", [&narrow[..40], &300u16.to_le_bytes(), &narrow].concat());
    let error =
        fail(place.train("foreign", &[ONE_STEP, &[END, "--data", "foreign.bin"]].concat()), 1);
    for part in ["foreign.bin", "the id 300 at position 20", "257"] {
        assert!(error.contains(part), "`{part}` is not in\n{error}");
    }
    let tokenizer =
        ["tokenizer", "train", "--vocab-size", "270", "--out", "t.json", "--data", "train.bin"];
    let error = fail(place.nitp(&tokenizer), 1);
    assert!(error.contains("train.bin holds token ids"), "{error}");
}
