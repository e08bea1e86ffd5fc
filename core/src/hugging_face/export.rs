//! Export of a model to the files that transformers reads.

use std::collections::{BTreeMap, HashMap};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::describe::{Class, config_json, pretty};
use super::error::HuggingFaceError;
use super::{file, shared_expert};
use crate::config::Config;
use crate::model::is_of_training_head;
use crate::train::{Tensor, Tensors};

/// The type of the weights in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32 bits.
    F32,
    /// 16 bits, 10 of them for the fraction; up to 65,504.
    F16,
    /// 16 bits, 7 of them for the fraction; the range of f32.
    Bf16,
}

impl ElementType {
    /// Name in PyTorch.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn largest(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            Self::F16 => f16::MAX.to_f32(),
            Self::Bf16 => bf16::MAX.to_f32(),
        }
    }

    /// The values rounded to the nearest number of the type, little-endian.
    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|&it| f16::from_f32(it).to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|&it| bf16::from_f32(it).to_le_bytes()).collect(),
        }
    }
}

/// One file of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub file: String,
    /// The tensors in it.
    tensors: Vec<String>,
}

/// A model to export.
#[derive(Clone, Debug)]
pub struct Export {
    config: Config,
    weights: Tensors,
    element_type: ElementType,
    class: Class,
}

impl Export {
    /// Takes the model without the heads that only training uses.
    ///
    /// # Errors
    /// If transformers has no such model, or a weight is too large for the type.
    pub fn new(
        config: &Config,
        mut weights: Tensors,
        element_type: ElementType,
    ) -> Result<Self, HuggingFaceError> {
        let class = Class::of(&config.model)?;
        weights.retain(|name, _| !is_of_training_head(name));
        shared_expert::add_gates(&config.model, &mut weights);
        let largest = element_type.largest();
        for (name, tensor) in &weights {
            if let Some(index) = tensor.data.iter().position(|value| value.abs() > largest) {
                return Err(HuggingFaceError::TooLarge {
                    name: name.clone(),
                    index,
                    value: tensor.data[index],
                    dtype: element_type.name(),
                    largest,
                });
            }
        }
        Ok(Self { config: config.clone(), weights, element_type, class })
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.weights.values().map(|tensor| tensor.data.len()).sum()
    }

    /// Divides the weights into files of at most this many bytes each. A larger tensor gets a file of its own.
    pub fn shards(&self, most_bytes: usize) -> Vec<Shard> {
        let mut shards: Vec<Vec<String>> = Vec::new();
        let mut bytes = 0;
        for (name, tensor) in &self.weights {
            let own = self.bytes_of(tensor);
            match shards.last_mut() {
                Some(shard) if bytes + own <= most_bytes => {
                    shard.push(name.clone());
                    bytes += own;
                }
                _ => {
                    shards.push(vec![name.clone()]);
                    bytes = own;
                }
            }
        }
        let count = shards.len();
        let name = |index: usize| match count {
            1 => file::WEIGHTS.to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
        shards
            .into_iter()
            .enumerate()
            .map(|(index, tensors)| Shard { file: name(index), tensors })
            .collect()
    }

    /// The bytes of a file of weights.
    pub fn bytes(&self, shard: &Shard) -> Vec<u8> {
        let stored: Vec<(&str, &[usize], Vec<u8>)> = shard
            .tensors
            .iter()
            .map(|name| {
                let Tensor { shape, data } = &self.weights[name];
                (name.as_str(), shape.as_slice(), self.element_type.bytes(data))
            })
            .collect();
        let views = stored.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(self.element_type.dtype(), shape.to_vec(), bytes);
            (*name, view.expect("a tensor's shape matches its data"))
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(metadata)).expect("views serialise")
    }

    /// The other files, besides weights and tokenizer, by name; `end_of_text` is the token that ends a text, by id and
    /// content.
    pub fn texts(
        &self,
        shards: &[Shard],
        end_of_text: Option<(u32, &str)>,
    ) -> Vec<(&'static str, String)> {
        let context = self.config.train.context_length;
        let (id, content) = end_of_text.unzip();
        let mut texts = vec![
            (
                file::CONFIG,
                config_json(self.class, &self.config.model, context, id, self.element_type.name()),
            ),
            (
                file::GENERATION_CONFIG,
                pretty(&without_nulls(json!({ "bos_token_id": id, "eos_token_id": id }))),
            ),
            (
                file::TOKENIZER_CONFIG,
                pretty(&without_nulls(json!({
                    "bos_token": content,
                    "clean_up_tokenization_spaces": false,
                    "eos_token": content,
                    "model_input_names": ["input_ids", "attention_mask"],
                    "model_max_length": context,
                    "tokenizer_class": "PreTrainedTokenizerFast",
                }))),
            ),
            (
                file::SPECIAL_TOKENS,
                pretty(&without_nulls(json!({ "bos_token": content, "eos_token": content }))),
            ),
        ];
        if shards.len() > 1 {
            texts.push((file::INDEX, self.index(shards)));
        }
        texts
    }

    /// The index file: the file of each tensor.
    fn index(&self, shards: &[Shard]) -> String {
        let places = shards
            .iter()
            .flat_map(|shard| shard.tensors.iter().map(|name| (name.clone(), shard.file.clone())));
        let places: BTreeMap<String, String> = places.collect();
        let total: usize = self.weights.values().map(|tensor| self.bytes_of(tensor)).sum();
        pretty(&json!({ "metadata": { "total_size": total }, "weight_map": places }))
    }

    fn bytes_of(&self, tensor: &Tensor) -> usize {
        tensor.data.len() * self.element_type.size()
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(table) = &mut value {
        table.retain(|_, value| !value.is_null());
    }
    value
}
