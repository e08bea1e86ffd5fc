//! Models from transformers (made by `tests/reference/hugging_face.py`): read, run on every executor, and written
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nitp_core::config::{Config, preset};
use nitp_core::executor::Executor;
use nitp_core::hugging_face::{
    ElementType, Export, HuggingFaceError, describe, file, import, indexed_files,
};
use nitp_core::model::parameters;
use nitp_core::train::{Generator, Tensors, initialize};
use nitp_tests::model_case::{fast_executor, gpu_executor};
use nitp_tests::vectors::Vectors;
use safetensors::SafeTensors;

fn folder(name: &str) -> PathBuf {
    Vectors::folder().join("hugging_face").join(name)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files of weights.
fn names(folder: &Path) -> Vec<String> {
    let index = folder.join(file::INDEX);
    if index.exists() {
        indexed_files("index", &text(&index)).unwrap()
    } else {
        vec![file::WEIGHTS.to_owned()]
    }
}

/// The bytes of each file of weights.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| (name.clone(), fs::read(folder.join(name)).unwrap());
    names(folder).into_iter().map(read).collect()
}

/// The model, with rows of its own context length.
fn model(name: &str) -> (Config, Tensors) {
    let folder = folder(name);
    let described = describe(name, &text(&folder.join(file::CONFIG))).unwrap();
    let mut config =
        Config { model: described.model, ..preset("nano").unwrap().next_token_alone() };
    config.train.context_length = described.max_position_embeddings;
    config.data.tokenizer = "unused".to_owned();
    config.validate().unwrap();
    let read = |name: &str| Ok::<_, HuggingFaceError>(fs::read(folder.join(name)).unwrap());
    let weights = import(name, &mut config, &names(&folder), read).unwrap();
    (config, weights)
}

/// Logits against those of transformers in f64, and the likeliest continuation.
fn check(name: &str, config: &Config, weights: &Tensors, mut executor: impl Executor, most: f64) {
    let executor: &mut dyn Executor = &mut executor;
    initialize(executor, &parameters(config), 0, weights).unwrap();
    let mut generator = Generator::new(executor, config).unwrap();
    let expected = Vectors::load(&format!("hugging_face/{name}/expected"));
    let ids = |name: &str| -> Vec<u32> { expected.get(name).iter().map(|&id| id as u32).collect() };
    let tokens = ids("tokens");
    let vocab = config.model.vocab_size;
    let logits = expected.get("logits");
    for (at, expected) in logits.chunks_exact(vocab).enumerate() {
        let found = generator.logits(executor, &tokens[..=at]).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference <= most, "{name}, position {at}: {found} and {expected}");
        }
    }
    let mut row = tokens[..8].to_vec();
    for _ in 0..50 {
        let logits = generator.logits(executor, &row).unwrap();
        let likeliest = (0..vocab).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        row.push(likeliest.unwrap() as u32);
    }
    assert_eq!(row[8..], ids("greedy"), "{name}");
}

/// Every tensor of these files, by name.
fn tensors(files: &[(String, Vec<u8>)]) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for (_, bytes) in files {
        for (name, view) in SafeTensors::deserialize(bytes).unwrap().tensors() {
            all.insert(name, (view.shape().to_vec(), view.data().to_vec()));
        }
    }
    all
}

/// Checks that the export equals transformers' files, tensor by tensor and bit by bit, and describes the same model.
fn check_written(name: &str, config: &Config, weights: &Tensors) {
    let folder = folder(name);
    let theirs: serde_json::Value =
        serde_json::from_str(&text(&folder.join(file::CONFIG))).unwrap();
    let element_type = [ElementType::F32, ElementType::F16, ElementType::Bf16]
        .into_iter()
        .find(|it| theirs["dtype"] == it.name())
        .unwrap();
    let export = Export::new(config, weights.clone(), element_type).unwrap();
    for most_bytes in [usize::MAX, 10_000] {
        let shards = export.shards(most_bytes);
        assert_eq!(shards.len() > 1, most_bytes == 10_000);
        let written: Vec<_> =
            shards.iter().map(|shard| (shard.file.clone(), export.bytes(shard))).collect();
        assert!(tensors(&written) == tensors(&files(&folder)), "{name}");
        let texts: BTreeMap<_, _> = export.texts(&shards, None).into_iter().collect();
        if let Some(index) = texts.get(file::INDEX) {
            let listed = indexed_files("index", index).unwrap();
            assert!(listed.iter().eq(shards.iter().map(|shard| &shard.file)));
        }
        let again = describe(name, &texts[file::CONFIG]).unwrap();
        let described = describe(name, &text(&folder.join(file::CONFIG))).unwrap();
        assert_eq!(again, described);
    }
}

fn check_all(name: &str) {
    let (config, weights) = model(name);
    check(name, &config, &weights, fast_executor(&config), 1e-4);
    check(name, &config, &weights, gpu_executor(&config), 1e-3);
    check_written(name, &config, &weights);
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check_all(stringify!($name));
        })*

        #[test]
        fn every_folder_has_a_test() {
            let entries = fs::read_dir(folder("")).unwrap();
            let mut folders: Vec<String> =
                entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            folders.sort();
            assert_eq!(folders, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    llama
    llama_3
    llama_tied
    mistral
    qwen2
    qwen2_moe
    qwen2_moe_gated
    qwen2_moe_plain
    qwen2_tied
    qwen3
}
