//! Models in Hugging Face's format. In a browser this is a program of its own, which the worker loads when a visitor
//! first needs it, so that the page stays small. Requests and answers are bytes there, in MessagePack.

use std::collections::BTreeMap;
use std::fmt::Display;

use nitp_core::config::{Config, DataConfig, TrainConfig, preset};
use nitp_core::hugging_face::{
    ElementType, Export, HuggingFaceError, describe, file, import, indexed_files,
};
use nitp_core::train::{Tensor, read_weights, serialize};
use serde::{Deserialize, Serialize};

use crate::protocol::File;

/// Largest context: a tab's memory and patience are small.
const CONTEXT: usize = 128;

/// The model's name in messages.
const MODEL: &str = "the model";

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Read the model in a folder's files.
    Open(Vec<File>),
    /// Make the files of a model, except its tokenizer and its card.
    Save {
        /// The run's configuration, as TOML.
        config: String,
        /// The run's weights, as safetensors.
        #[serde(with = "serde_bytes")]
        weights: Vec<u8>,
        /// The token that ends a text, by id and content.
        end_of_text: Option<(u32, String)>,
    },
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The model.
    Opened(Opened),
    /// The files.
    Saved(Vec<File>),
    /// The missing, broken or unsupported part, in words.
    Failed(String),
}

/// A model that was read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Opened {
    /// A configuration for training it on, as TOML; without its tokenizer.
    pub config: String,
    /// Its weights, as safetensors.
    #[serde(with = "serde_bytes")]
    pub weights: Vec<u8>,
    /// Its `tokenizer.json`.
    pub tokenizer: String,
    /// The token that ends a text.
    pub end_of_text: Option<u32>,
}

/// Does what is asked.
pub fn answer(request: Request) -> Answer {
    let answer = match request {
        Request::Open(files) => open(files).map(Answer::Opened),
        Request::Save { config, weights, end_of_text } => {
            save(&config, &weights, end_of_text).map(Answer::Saved)
        }
    };
    answer.unwrap_or_else(Answer::Failed)
}

fn words(error: impl Display) -> String {
    error.to_string()
}

fn open(files: Vec<File>) -> Result<Opened, String> {
    let mut files: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|it| (it.name, it.bytes)).collect();
    let mut text = |name: &str| {
        let bytes = files.remove(name);
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let described = text(file::CONFIG).unwrap_or_default();
    let described = describe(file::CONFIG, &described).map_err(words)?;
    let end_of_text = described.end_of_text;
    let mut config = described.recipe();
    // A gate of 1/2 is removed with the weights.
    let mut without_gate = config.clone();
    without_gate.model.moe.iter_mut().for_each(|moe| moe.shared_expert_gate = false);
    supported(&without_gate)?;
    let TrainConfig { context_length, batch_size, learning_rate, .. } = config.train;
    let context_length = context_length.min(CONTEXT);
    let train = preset("mini").map_err(words)?.train;
    config.train = TrainConfig { context_length, batch_size, learning_rate, ..train };
    config.data.paths = DataConfig::default().paths;
    config.validate().map_err(words)?;
    let tokenizer = text(file::TOKENIZER);
    let tokenizer = tokenizer.ok_or_else(|| {
        format!("the model's {} is missing: choose its whole folder", file::TOKENIZER)
    })?;
    let names = match text(file::INDEX) {
        Some(index) if !files.contains_key(file::WEIGHTS) => {
            indexed_files(file::INDEX, &index).map_err(words)?
        }
        _ => vec![file::WEIGHTS.to_owned()],
    };
    // Each file is freed after its weights were read.
    let read = |name: &str| {
        let (folder, file) = (MODEL.to_owned(), name.to_owned());
        files.remove(name).ok_or(HuggingFaceError::Absent { folder, file })
    };
    let weights = import(MODEL, &mut config, &names, read).map_err(words)?;
    supported(&config)?;
    let named: Vec<(String, &Tensor)> =
        weights.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    let weights = serialize(&named, Default::default());
    Ok(Opened { config: config.to_toml(), weights, tokenizer, end_of_text })
}

/// Checks that the page's programs have all parts of the model.
///
/// # Errors
/// The part that they lack, in words.
pub fn supported(config: &Config) -> Result<(), String> {
    match config.lacking() {
        None => Ok(()),
        Some(key) => Err(format!(
            "the model has {key}, which the page leaves out to stay small: use the program `nitp`"
        )),
    }
}

fn save(
    config: &str,
    weights: &[u8],
    end_of_text: Option<(u32, String)>,
) -> Result<Vec<File>, String> {
    let config = Config::from_toml(config).map_err(words)?;
    let weights = read_weights("the run's weights", &config, weights).map_err(words)?;
    let export = Export::new(&config, weights, ElementType::F32).map_err(words)?;
    let shards = export.shards(usize::MAX);
    let end_of_text = end_of_text.as_ref().map(|(id, content)| (*id, content.as_str()));
    let texts = export.texts(&shards, end_of_text).into_iter();
    let texts = texts.map(|(name, text)| File { name: name.to_owned(), bytes: text.into_bytes() });
    let shards =
        shards.iter().map(|shard| File { name: shard.file.clone(), bytes: export.bytes(shard) });
    Ok(texts.chain(shards).collect())
}
