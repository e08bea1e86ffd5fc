//! What the fuzz targets do: each reads bytes as files of one kind, reads back what was accepted, and says whether
//! anything was. The ordinary tests compile this file as well.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use nitp_core::config::{Config, flops_per_token, parameter_counts};
use nitp_core::data::{Shard, Shards, TextStream, Tokenizer, Tokens};
use nitp_core::hugging_face::{HuggingFaceError, describe, import, indexed_files};
use nitp_core::model::{initial_values, parameters};
use nitp_core::train::{Checkpoint, Manifest, Origin, Tensor, Tensors, read_weights, serialize};
use nitp_files::documents::{self, Source};
use nitp_files::prepared::Index;

/// Reads bytes, and says whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target, by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("safetensors", safetensors),
    ("tokenizer", tokenizer),
    ("config", config),
    ("shard", shard),
    ("parquet", parquet),
    ("documents", documents),
];

/// A dense model, and a mixture with everything that only imported models have; their weights take few bytes.
pub static MODELS: LazyLock<[Config; 2]> = LazyLock::new(|| {
    let common = "vocab_size = 5\nhidden_size = 4\nnum_attention_heads = 2\nnum_key_value_heads = 1\nhead_dim = 2\n\
                  intermediate_size = 3\n";
    let dense = format!("[model]\nnum_hidden_layers = 1\ntie_word_embeddings = true\n{common}");
    let mixture = format!(
        "[model]\nnum_hidden_layers = 2\nqkv_bias = true\n{common}\n[model.moe]\nnum_experts = 2\n\
         moe_intermediate_size = 3\nshared_expert_intermediate_size = 2\nshared_expert_gate = true"
    );
    let rest = "[data]\ntokenizer = \"tokenizer.json\"\n[nitp]\nenabled = false\n";
    [dense, mixture]
        .map(|model| Config::from_toml(&format!("{model}\n{rest}")).expect("a valid configuration"))
});

/// The initial weights of a model.
pub fn weights(config: &Config) -> Tensors {
    let parameters = parameters(config);
    let parts = parameters.iter().flat_map(|parameter| &parameter.parts);
    parts
        .map(|part| {
            let tensor = Tensor { shape: part.shape.clone(), data: initial_values(0, part) };
            (part.name.clone(), tensor)
        })
        .collect()
}

/// A safetensors file of these tensors.
pub fn archive(tensors: &Tensors) -> Vec<u8> {
    let named: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    serialize(&named, HashMap::new())
}

/// A `trainer.json` of the format's first version, which has no digests of the other files.
const WITHOUT_DIGESTS: &[u8] = br#"{"version": 1, "step": 0, "tokens": 0, "val_loss": null, "best": null, "data_fingerprint": ""}"#;

/// Weights, moments, and the description of a checkpoint.
pub fn safetensors(bytes: &[u8]) -> bool {
    static ARCHIVES: LazyLock<[Vec<u8>; 2]> =
        LazyLock::new(|| MODELS.each_ref().map(|config| archive(&weights(config))));
    let mut accepted = Manifest::read("it", bytes).is_ok();
    for (config, model) in MODELS.iter().zip(&*ARCHIVES) {
        if let Ok(weights) = read_weights("it", config, bytes) {
            accepted = true;
            let again = read_weights("it", config, &archive(&weights));
            assert!(again.is_ok_and(|it| it == weights), "weights are read back");
        }
        let mut simplified = config.clone();
        let read = |_: &str| Ok::<_, HuggingFaceError>(bytes.to_vec());
        if let Ok(weights) = import("it", &mut simplified, &["it".to_owned()], read) {
            accepted = true;
            let again = read_weights("it", &simplified, &archive(&weights));
            assert!(again.is_ok_and(|it| it == weights), "imported weights are read back");
        }
        let origin = Origin { path: "it", step: None };
        let checkpoint = Checkpoint::from_files(origin, config, model, bytes, WITHOUT_DIGESTS);
        if let Ok(checkpoint) = checkpoint {
            accepted = true;
            let files: Vec<_> = checkpoint.to_files().map(|(_, bytes)| bytes).collect();
            let again = Checkpoint::from_files(origin, config, &files[0], &files[1], &files[2]);
            let again = again.expect("a checkpoint is read back");
            // Moments may be no numbers, which differ from themselves.
            assert!(again.to_files().map(|(_, bytes)| bytes).eq(files), "it is the same");
        }
    }
    accepted
}

/// A `tokenizer.json`.
pub fn tokenizer(bytes: &[u8]) -> bool {
    const TEXT: &str = "The tide, 1999: \u{fc}nd\n\n\tb\u{f4}ats \u{6f6e} \u{1F600}. it's<s>\r\n ";
    /// A limit as models have, but a small one: a row of the vocabulary takes some time.
    const MOST_TOKENS: usize = 1 << 12;
    let Ok(json) = str::from_utf8(bytes) else { return false };
    let Ok(tokenizer) = Tokenizer::new(json, MOST_TOKENS) else { return false };
    let vocab_size = tokenizer.vocab_size();
    assert_eq!(tokenizer.token_mask().len(), vocab_size);
    assert_eq!(tokenizer.token_bytes().len(), vocab_size);
    _ = tokenizer.left_out(TEXT);
    if let Ok(tokens) = tokenizer.encode(TEXT) {
        assert!(tokens.iter().all(|&id| (id as usize) < vocab_size), "{tokens:?} of {vocab_size}");
        _ = tokenizer.decode(&tokens);
        let mut stream = TextStream::new(&tokenizer);
        for token in tokens {
            _ = stream.push(token);
        }
        _ = stream.finish();
    }
    let all: Vec<u32> = (0..vocab_size as u32 + 1).collect();
    _ = tokenizer.decode(&all);
    let again = Tokenizer::new(&tokenizer.to_json(), MOST_TOKENS).expect("it is read back");
    assert_eq!(again.identity(), tokenizer.identity());
    true
}

/// A configuration, a `config.json`, and an index of files of weights.
pub fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let mut accepted = indexed_files("it", text).is_ok();
    if let Ok(config) = Config::from_toml(text) {
        accepted = true;
        let again = Config::from_toml(&config.to_toml());
        assert_eq!(again.as_ref(), Ok(&config), "it is read back");
        _ = parameter_counts(&config);
        _ = flops_per_token(&config);
    }
    if let Ok(described) = describe("it", text) {
        let config = Config { model: described.model.clone(), ..Config::default() };
        if config.validate().is_ok() {
            accepted = true;
            assert!(described.is_of(&config.model), "a model is that of its own description");
        }
    }
    accepted
}

/// A shard of tokens, and the index of prepared text.
pub fn shard(bytes: &[u8]) -> bool {
    const VOCAB_SIZE: usize = 300;
    let mut accepted = false;
    if let Ok((shard, starts)) = Shard::parse(Arc::new(bytes.to_vec()), VOCAB_SIZE) {
        accepted = true;
        let len = shard.len();
        let tokens = Tokens::Shards(Shards::new(vec![shard])).get(0..len).into_owned();
        let again = Shard::to_bytes(&tokens, &starts, VOCAB_SIZE);
        let (again, again_starts) =
            Shard::parse(Arc::new(again), VOCAB_SIZE).expect("it is read back");
        let again = Tokens::Shards(Shards::new(vec![again]));
        assert_eq!((&*again.get(0..len), again_starts), (&*tokens, starts));
    }
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(index) = Index::parse("it", text)
    {
        accepted = true;
        let again = serde_json::to_string(&index).expect("an index is JSON");
        assert_eq!(Index::parse("it", &again).expect("it is read back"), index);
    }
    accepted
}

/// A Parquet file.
pub fn parquet(bytes: &[u8]) -> bool {
    read("a.parquet", bytes)
}

/// Names of files of text, of tables, and of token ids.
pub const NAMES: [&str; 12] = [
    "a.txt",
    "a.jsonl",
    "a.json",
    "a.csv",
    "a.tsv",
    "a.bin",
    "the standard input",
    "a.txt.gz",
    "a.jsonl.zst",
    "a.csv.gz",
    "a.bin.zst",
    "a.json.gz",
];

/// A file of text, a table, or token ids. The first byte tells the name.
pub fn documents(bytes: &[u8]) -> bool {
    let Some((&first, bytes)) = bytes.split_first() else { return false };
    read(NAMES[usize::from(first) % NAMES.len()], bytes)
}

/// Reads it in parts, and for its digest.
fn read(name: &str, bytes: &[u8]) -> bool {
    let source = Source::Pipe { name: name.to_owned(), bytes: bytes.to_vec().into() };
    let read = documents::read(&source, None, |_| Ok(()));
    if let Ok((digest, _)) = &read {
        assert!(source.digest(None).is_ok_and(|it| it == *digest), "it has one digest");
    }
    read.is_ok()
}
