//! From weights in Hugging Face's files to those of a model here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::error::HuggingFaceError;
use super::shared_expert;
use crate::config::Config;
use crate::model::{Init, Parameter, Part, parameters};
use crate::train::{Archive, Tensors};

/// Which files hold a model's weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// Their names, sorted.
    pub files: Vec<String>,
}

impl Shards {
    /// Those that an index names, the text of a `model.safetensors.index.json`; `path` is its name in messages.
    ///
    /// # Errors
    /// If it is broken, or names a file that does not lie beside it.
    pub fn of_index(path: &str, text: &str) -> Result<Self, HuggingFaceError> {
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
        Ok(Self { files: files.into_iter().collect() })
    }
}

/// Reads the weights of the model in `config` from files by name; `folder` is where they lie, for messages. Every
/// tensor in them must have a place. What says the same in fewer weights here is put so: `config.model` may change in
/// its shared experts.
///
/// # Errors
/// Files that are broken, and tensors that are missing, without a place, of another shape, or not finite.
pub fn import(
    folder: &str,
    config: &mut Config,
    files: &[(String, Vec<u8>)],
) -> Result<Tensors, HuggingFaceError> {
    let mut needed = parameters(&config.clone().next_token_alone());
    needed.extend(shared_expert::gates(&config.model).map(|name| {
        let shape = vec![1, config.model.hidden_size];
        let parts = vec![Part { name, offset: 0, shape: shape.clone(), init: Init::Ones }];
        Parameter { name: "shared_expert_gate".to_owned(), shape, decay: true, parts }
    }));
    let named = files.iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes.as_slice()));
    let mut weights = Archive::open_all(folder.to_owned(), named)?.weights(&needed, |_| true)?;
    shared_expert::remove_gates(folder, &mut config.model, &mut weights)?;
    Ok(weights)
}
