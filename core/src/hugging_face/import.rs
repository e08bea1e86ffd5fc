//! Import of weights from Hugging Face's files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::error::HuggingFaceError;
use super::shared_expert;
use crate::config::Config;
use crate::model::{Init, Parameter, Part, parameters};
use crate::train::{Archive, CheckpointError, Tensors};

const EMBEDDING: &str = "model.embed_tokens.weight";
const UNEMBEDDING: &str = "lm_head.weight";

/// The sorted names of a model's files of weights, from `text`, a `model.safetensors.index.json`; `path` is its name in
/// messages.
///
/// # Errors
/// If the index is broken, or names a file outside of its folder.
pub fn indexed_files(path: &str, text: &str) -> Result<Vec<String>, HuggingFaceError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_str(text).map_err(|error| HuggingFaceError::Json {
        file: path.to_owned(),
        reason: error.to_string(),
    })?;
    let wrong = |reason: String| HuggingFaceError::Index { file: path.to_owned(), reason };
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    if let Some(file) = files.iter().find(|file| file.contains(['/', '\\', ':'])) {
        return Err(wrong(format!("it names the file {file:?}, which does not lie beside it")));
    }
    if files.is_empty() {
        return Err(wrong("it names no file".to_owned()));
    }
    Ok(files.into_iter().collect())
}

/// Reads the weights of the model in `config` from files by name, one after the other, as `read` gives their bytes;
/// `folder` is their folder, for messages. Every tensor must belong to the model. Shared experts are simplified if an
/// equal model with fewer weights exists here; this may change `config.model`.
///
/// # Errors
/// Errors of `read`; broken files; and tensors that are missing, duplicate, unknown, of another shape, or not finite.
pub fn import<E: From<HuggingFaceError>>(
    folder: &str,
    config: &mut Config,
    files: &[String],
    mut read: impl FnMut(&str) -> Result<Vec<u8>, E>,
) -> Result<Tensors, E> {
    let mut parameters = parameters(&config.clone().next_token_alone());
    let is_new = |gate: &Parameter| {
        !parameters.iter().flat_map(|it| &it.parts).any(|part| part.name == gate.name)
    };
    let gates: Vec<_> = shared_expert::gates(&config.model).into_iter().filter(is_new).collect();
    parameters.extend(gates);
    // Some programs write the unembedding even if it is tied to the embedding. It must then equal the embedding.
    let mut known = parameters.clone();
    if config.model.tie_word_embeddings {
        let shape = vec![config.model.vocab_size, config.model.hidden_size];
        let part = Part { name: UNEMBEDDING.into(), offset: 0, shape, init: Init::Zeros };
        let shape = part.shape.clone();
        known.push(Parameter { name: UNEMBEDDING.into(), shape, decay: true, parts: vec![part] });
    }
    let mut weights = Tensors::new();
    for file in files {
        let bytes = read(file)?;
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(HuggingFaceError::Pointer { file: format!("{folder}/{file}") }.into());
        }
        let own = Archive::open(format!("{folder}/{file}"), &bytes)
            .and_then(|archive| archive.weights(&known, |_| false))
            .map_err(HuggingFaceError::from)?;
        for (name, tensor) in own {
            if weights.insert(name.clone(), tensor).is_some() {
                return Err(HuggingFaceError::Twice { folder: folder.to_owned(), name }.into());
            }
        }
    }
    check_whole(folder, &parameters, &weights)?;
    if config.model.tie_word_embeddings
        && let Some(unembedding) = weights.remove(UNEMBEDDING)
        && unembedding != weights[EMBEDDING]
    {
        return Err(HuggingFaceError::Untied { folder: folder.to_owned() }.into());
    }
    shared_expert::remove_gates(&mut config.model, &mut weights);
    Ok(weights)
}

/// Checks that no parameter is missing.
fn check_whole(
    folder: &str,
    parameters: &[Parameter],
    weights: &Tensors,
) -> Result<(), HuggingFaceError> {
    let mut parts = parameters.iter().flat_map(|parameter| &parameter.parts);
    match parts.find(|part| !weights.contains_key(&part.name)) {
        None => Ok(()),
        Some(part) => Err(HuggingFaceError::Weights(CheckpointError::Missing {
            file: folder.to_owned(),
            name: part.name.clone(),
            shape: part.shape.clone(),
            found: weights.len(),
            example: weights.keys().next().map_or("none", String::as_str).to_owned(),
        })),
    }
}
