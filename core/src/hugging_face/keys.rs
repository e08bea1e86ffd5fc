//! The keys of a `config.json`. Readers take them one by one; the keys left over are unknown.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::HuggingFaceError;

/// Keys without an effect on the model's results, or that only concern its training.
const WITHOUT_EFFECT: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "bos_token_id",
    "dtype",
    "is_llama_config",
    "max_length",
    "max_sequence_length",
    "max_window_layers",
    "model_max_length",
    "model_type",
    "output_router_logits",
    "pad_token_id",
    "tokenizer_class",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
];

/// The keys not taken yet.
pub(super) struct Keys {
    file: String,
    left: Map<String, Value>,
}

impl Keys {
    /// All keys of the file; `file` is its name in messages.
    pub fn read(file: &str, text: &str) -> Result<Self, HuggingFaceError> {
        let left = serde_json::from_str(text).map_err(|error| HuggingFaceError::Json {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { file: file.to_owned(), left })
    }

    /// Takes the value of a key; none if it is absent or null.
    pub fn take<T: DeserializeOwned>(
        &mut self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, HuggingFaceError> {
        match self.left.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|_| self.wrong(key, &value.to_string(), expected)),
        }
    }

    /// Takes a required whole number.
    pub fn size(&mut self, key: &str) -> Result<usize, HuggingFaceError> {
        let expected = "a whole number of at least 0";
        self.take(key, expected)?.ok_or_else(|| self.wrong(key, "missing", expected))
    }

    /// Takes a number; `default` if the key is absent.
    pub fn number(&mut self, key: &str, default: f64) -> Result<f64, HuggingFaceError> {
        Ok(self.take(key, "a number")?.unwrap_or(default))
    }

    /// Takes a flag; `default` if the key is absent.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool, HuggingFaceError> {
        Ok(self.take(key, "true or false")?.unwrap_or(default))
    }

    /// Takes a key whose value must be this one, or absent; `reason` says what is supported.
    pub fn only(&mut self, key: &str, value: Value, reason: &str) -> Result<(), HuggingFaceError> {
        match self.left.remove(key) {
            Some(found) if found != value && !found.is_null() => {
                Err(self.unsupported(key, &found.to_string(), reason))
            }
            _ => Ok(()),
        }
    }

    /// A table of keys within this one.
    pub fn table(&mut self, key: &str) -> Result<Option<Self>, HuggingFaceError> {
        let left = self.take(key, "a table")?;
        Ok(left.map(|left| Self { file: format!("{}, {key}", self.file), left }))
    }

    /// Whether a key is present, even with the value null.
    pub fn has_key(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Whether a key is present with a value.
    pub fn has(&self, key: &str) -> bool {
        self.left.get(key).is_some_and(|value| !value.is_null())
    }

    /// Checks that every key was taken, has no effect on the model's results, or is off.
    pub fn finish(self) -> Result<(), HuggingFaceError> {
        let is_off = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(table) => table.is_empty(),
            _ => false,
        };
        let unknown: Vec<String> = self
            .left
            .iter()
            .filter(|(key, value)| !WITHOUT_EFFECT.contains(&key.as_str()) && !is_off(value))
            .map(|(key, value)| format!("{key} = {}", shortened(&value.to_string())))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(HuggingFaceError::UnknownKeys { file: self.file, keys: unknown.join(", ") })
    }

    pub fn wrong(&self, key: &str, found: &str, expected: &str) -> HuggingFaceError {
        HuggingFaceError::Key {
            file: self.file.clone(),
            key: key.to_owned(),
            found: shortened(found),
            expected: expected.to_owned(),
        }
    }

    pub fn unsupported(&self, key: &str, found: &str, reason: &str) -> HuggingFaceError {
        HuggingFaceError::Unsupported {
            file: self.file.clone(),
            key: key.to_owned(),
            found: shortened(found),
            reason: reason.to_owned(),
        }
    }
}

/// A value for a message.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
