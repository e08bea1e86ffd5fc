//! Models in Hugging Face's format: opened as two runs that begin from the same weights, and made from a run.

use nitp_core::config::{Config, DataConfig, preset};
use nitp_core::data::Tokenizer;
use nitp_core::hugging_face::{
    ElementType, Export, HuggingFaceError, describe, file, import, indexed_files,
};
use nitp_core::train::Tensors;

use super::archive::Files;
use super::corpus::is_built_in;
use super::lane::Lane;
use super::session::{Draft, Failure};
use crate::protocol::{self, Experiment, Text};

/// Largest context: a tab's memory and patience are small.
const CONTEXT: usize = 128;

/// Opens the files of a folder, from which both runs begin. `text` is the text to train on.
///
/// # Errors
/// The missing, broken or unsupported part.
pub fn open(mut files: Files, text: Text) -> Result<Draft, Failure> {
    let words = |files: &Files, name: &str| {
        files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let described = words(&files, file::CONFIG).unwrap_or_default();
    let described = describe(file::CONFIG, &described).map_err(|error| error.to_string())?;
    let end_of_text = described.end_of_text;
    let mut config = described.recipe();
    let train = preset("mini").map_err(|error| error.to_string())?.train;
    config.train = nitp_core::config::TrainConfig {
        context_length: config.train.context_length.min(CONTEXT),
        batch_size: config.train.batch_size,
        learning_rate: config.train.learning_rate,
        ..train
    };
    config.data.paths = DataConfig::default().paths;
    let tokenizer = words(&files, file::TOKENIZER).ok_or_else(|| {
        format!("the model's {} is missing: choose its whole folder", file::TOKENIZER)
    })?;
    let end = Tokenizer::new(&tokenizer, config.model.vocab_size)
        .map_err(|error| error.to_string())
        .map(|it| end_of_text.and_then(|id| it.token(id)))?;
    config.data.end_of_text = end.unwrap_or(config.data.end_of_text);
    let tokenizer = Some(tokenizer).filter(|it| !is_built_in(it));
    if tokenizer.is_some() {
        config.data.tokenizer = file::TOKENIZER.to_owned();
    }
    let weights = weights(&mut files, &mut config).map_err(|error| error.to_string())?;
    let lanes = protocol::Lane::ALL.to_vec();
    Draft::from_weights(Experiment { config: config.to_toml(), text, tokenizer, lanes }, &weights)
}

fn weights(files: &mut Files, config: &mut Config) -> Result<Tensors, HuggingFaceError> {
    let names = match files.get(file::INDEX) {
        Some(index) => indexed_files(file::INDEX, &String::from_utf8_lossy(index))?,
        None => vec![file::WEIGHTS.to_owned()],
    };
    // Each file is freed after its weights were read. A missing one is read as an empty one, which is refused by name.
    let read = |name: &str| Ok::<_, HuggingFaceError>(files.remove(name).unwrap_or_default());
    import("the model", config, &names, read)
}

/// The files of a folder with a run's model.
///
/// # Errors
/// What the format can't hold.
pub fn files(
    config: &Config,
    tokenizer: &Tokenizer,
    lane: &Lane,
    weights: Tensors,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let export =
        Export::new(config, weights, ElementType::F32).map_err(|error| error.to_string())?;
    let shards = export.shards(usize::MAX);
    let end_of_text = tokenizer.end_of_text();
    let content = end_of_text.and_then(|id| tokenizer.token(id));
    let texts = export.texts(&shards, end_of_text.zip(content.as_deref()));
    let mut files: Vec<(String, Vec<u8>)> =
        texts.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
    files.push((file::TOKENIZER.to_owned(), tokenizer.to_json().into_bytes()));
    files.push((file::CARD.to_owned(), card(config, lane).into_bytes()));
    files.extend(shards.iter().map(|shard| (shard.file.clone(), export.bytes(shard))));
    Ok(files)
}

/// A short model card: the last measurements and the settings.
fn card(config: &Config, lane: &Lane) -> String {
    let mut text = format!(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- nitp\n---\n\n\
         # {} model\n\nTrained in a browser by `nitp`.\n\n",
        lane.lane.name()
    );
    if let Some(last) = lane.history.evaluations().last() {
        text +=
            &format!("Held-out loss at step {}: {:.4} nats a token.\n\n", last.step, last.val_loss);
    }
    text + "```toml\n" + &config.to_toml() + "```\n"
}
