//! Conversion between tensors by name and the bytes of a safetensors file.

use std::collections::{BTreeSet, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::error::CheckpointError;
use crate::config::Config;
use crate::model::{Parameter, is_of_training_head, parameters, training_head};
use crate::train::store::{Tensor, Tensors};

/// Largest number of tensors' names in a message.
const LISTED: usize = 5;

/// Reads the weights of this model. Heads that only training uses may be absent.
///
/// # Errors
/// [`CheckpointError`] names the file and the problem.
pub fn read_weights(file: &str, config: &Config, bytes: &[u8]) -> Result<Tensors, CheckpointError> {
    let needed = |name: &str| !is_of_training_head(name);
    Archive::open(file.to_owned(), bytes)?.weights(&parameters(config), needed)
}

/// An opened file, whose tensors are not read yet.
pub(crate) struct Archive<'a> {
    file: String,
    tensors: SafeTensors<'a>,
}

impl<'a> Archive<'a> {
    /// Reads the header.
    pub fn open(file: String, bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        match SafeTensors::deserialize(bytes) {
            Ok(tensors) => Ok(Self { file, tensors }),
            Err(error) => Err(CheckpointError::Broken { file, reason: error.to_string() }),
        }
    }

    /// Reads the weights, which must all be finite and belong to the model.
    pub fn weights(
        &self,
        parameters: &[Parameter],
        needed: impl Fn(&str) -> bool,
    ) -> Result<Tensors, CheckpointError> {
        let weights = self.read(parameters, "", needed)?;
        self.check_surplus(parameters, &[""])?;
        for (name, tensor) in &weights {
            if let Some(index) = tensor.data.iter().position(|value| !value.is_finite()) {
                return Err(CheckpointError::NotFinite {
                    file: self.file.clone(),
                    name: name.clone(),
                    index,
                    value: tensor.data[index],
                });
            }
        }
        Ok(weights)
    }

    /// Reads the tensors of all parameters under a prefix. Those for which `needed` is false may be absent.
    pub fn read(
        &self,
        parameters: &[Parameter],
        prefix: &str,
        needed: impl Fn(&str) -> bool,
    ) -> Result<Tensors, CheckpointError> {
        let mut tensors = Tensors::new();
        for part in parameters.iter().flat_map(|parameter| &parameter.parts) {
            let name = format!("{prefix}{}", part.name);
            let Ok(view) = self.tensors.tensor(&name) else {
                if !needed(&part.name) {
                    continue;
                }
                return Err(CheckpointError::Missing {
                    file: self.file.clone(),
                    name,
                    shape: part.shape.clone(),
                    found: self.tensors.len(),
                    example: self.tensors.names().first().map_or("none", |name| name).to_string(),
                });
            };
            if view.shape() != part.shape {
                return Err(CheckpointError::Shape {
                    file: self.file.clone(),
                    name,
                    found: view.shape().to_vec(),
                    expected: part.shape.clone(),
                });
            }
            let data = to_f32(&view).ok_or_else(|| CheckpointError::Type {
                file: self.file.clone(),
                name,
                dtype: format!("{:?}", view.dtype()),
            })?;
            tensors.insert(part.name.clone(), Tensor { shape: part.shape.clone(), data });
        }
        Ok(tensors)
    }

    /// Checks that every tensor of the file belongs to the model under one of the prefixes. Three kinds of surplus
    /// tensors are harmless and ignored: a head that only training uses, if the model lacks it; an unembedding bitwise
    /// equal to the embedding, if both are tied; and RoPE frequencies, which old versions of transformers stored
    /// although they follow from the configuration.
    pub fn check_surplus(
        &self,
        parameters: &[Parameter],
        prefixes: &[&str],
    ) -> Result<(), CheckpointError> {
        let parts = || parameters.iter().flat_map(|parameter| &parameter.parts);
        let known: BTreeSet<&str> = parts().map(|part| part.name.as_str()).collect();
        let has_head = |head: &str| known.iter().any(|name| name.starts_with(head));
        let has_place = |whole: &str| {
            let mut names = prefixes.iter().filter_map(|prefix| whole.strip_prefix(prefix));
            names.any(|name| {
                known.contains(name)
                    || training_head(name).is_some_and(|head| !has_head(head))
                    || (name == "lm_head.weight" && self.is_embedding(whole))
                    || name.ends_with(".rotary_emb.inv_freq")
            })
        };
        let mut surplus: Vec<&str> =
            self.tensors.names().into_iter().filter(|name| !has_place(name)).collect();
        surplus.sort_unstable();
        let Some(first) = surplus.first() else { return Ok(()) };
        let listed: Vec<String> =
            surplus.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
        let more = if surplus.len() > LISTED { ", ..." } else { "" };
        Err(CheckpointError::Surplus {
            file: self.file.clone(),
            count: surplus.len(),
            names: listed.join(", ") + more,
            advice: advice(first),
        })
    }

    /// Whether a tensor is a copy of the embedding.
    fn is_embedding(&self, name: &str) -> bool {
        let embedding = name.replace("lm_head.weight", "model.embed_tokens.weight");
        match (self.tensors.tensor(name), self.tensors.tensor(&embedding)) {
            (Ok(a), Ok(b)) => a.dtype() == b.dtype() && a.data() == b.data(),
            _ => false,
        }
    }
}

/// Advice for a tensor that the model lacks.
fn advice(name: &str) -> &'static str {
    if name.ends_with("lm_head.weight") {
        "It differs from the embedding: set model.tie_word_embeddings=false"
    } else if name.ends_with(".bias") {
        "Only queries, keys and values can have biases: set model.qkv_bias=true"
    } else if name.ends_with("q_norm.weight") || name.ends_with("k_norm.weight") {
        "Its queries and keys are normalised: set model.qk_norm=true"
    } else if is_of_training_head(name.rsplit('/').next().unwrap_or(name)) {
        "Set the keys of [nitp], [mtp], [nextlat] and [top] as in the run that made the weights"
    } else if name.contains("layers.") {
        "Set model.num_hidden_layers and the keys of [model.moe] as in the run that made the weights"
    } else {
        "Use the configuration of the weights, or remove the tensors that the model does not need from \
         the file"
    }
}

fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let halves = || view.data().chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    match view.dtype() {
        Dtype::F32 => Some(bytemuck::pod_collect_to_vec(view.data())),
        Dtype::BF16 => {
            Some(halves().map(|pair| half::bf16::from_le_bytes(pair).to_f32()).collect())
        }
        Dtype::F16 => Some(halves().map(|pair| half::f16::from_le_bytes(pair).to_f32()).collect()),
        _ => None,
    }
}

/// The file of the weights.
pub(super) fn of_weights(weights: &Tensors) -> Vec<u8> {
    let named: Vec<_> = weights.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    serialize(&named, metadata())
}

/// The file of the moments.
pub(super) fn of_moments(first: &Tensors, second: &Tensors) -> Vec<u8> {
    let named = [("moment1", first), ("moment2", second)].into_iter().flat_map(|(prefix, it)| {
        it.iter().map(move |(name, tensor)| (format!("{prefix}/{name}"), tensor))
    });
    serialize(&named.collect::<Vec<_>>(), metadata())
}

/// Metadata that other programs expect.
fn metadata() -> HashMap<String, String> {
    HashMap::from([("format".to_owned(), "pt".to_owned())])
}

/// A safetensors file of f32 tensors.
pub fn serialize(tensors: &[(String, &Tensor)], metadata: HashMap<String, String>) -> Vec<u8> {
    let views = tensors.iter().map(|(name, tensor)| {
        let bytes = bytemuck::cast_slice(&tensor.data);
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        (name, view.expect("a tensor's shape matches its data"))
    });
    safetensors::serialize(views, Some(metadata)).expect("views of f32 serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;
    use crate::model::initial_values;

    fn nano(tied: bool) -> Config {
        let mut config = preset("nano").unwrap();
        config.model.tie_word_embeddings = tied;
        config
    }

    fn weights(config: &Config) -> Tensors {
        let parameters = parameters(config);
        let parts = parameters.iter().flat_map(|parameter| &parameter.parts);
        let values = |part| initial_values(0, part);
        parts
            .map(|part| {
                (part.name.clone(), Tensor { shape: part.shape.clone(), data: values(part) })
            })
            .collect()
    }

    fn tensor(value: f32, len: usize) -> Tensor {
        Tensor { shape: vec![len], data: vec![value; len] }
    }

    fn read(config: &Config, weights: &Tensors) -> Result<Tensors, String> {
        read_weights("w", config, &of_weights(weights)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_tensor_has_a_place_or_is_named() {
        let config = nano(false);
        let whole = weights(&config);
        assert_eq!(read(&config, &whole), Ok(whole.clone()));
        for (name, advice) in [
            ("model.layers.0.self_attn.q_proj.bias", "model.qkv_bias=true"),
            ("model.layers.0.self_attn.q_norm.weight", "model.qk_norm=true"),
            ("model.layers.99.input_layernorm.weight", "model.num_hidden_layers"),
            ("nitp.projector.other", "[nitp]"),
            ("visual.patch_embed", "the configuration of"),
        ] {
            let mut more = whole.clone();
            more.insert(name.to_owned(), tensor(0.5, 4));
            let error = read(&config, &more).unwrap_err();
            assert!(error.contains(name) && error.contains(advice), "{error}");
            assert!(error.contains("holds 1 tensor"), "{error}");
        }
    }

    #[test]
    fn the_projector_may_stay_behind_and_may_be_absent() {
        let (with, mut without) = (nano(false), nano(false));
        without.nitp.enabled = false;
        let (all, bare) = (weights(&with), weights(&without));
        assert!(all.len() > bare.len());
        assert_eq!(read(&without, &all), Ok(bare.clone()));
        assert_eq!(read(&with, &bare), Ok(bare));
    }

    #[test]
    fn an_unembedding_beside_tied_ones_must_be_the_embedding() {
        let tied = nano(true);
        let mut given = weights(&tied);
        let own = given.clone();
        given.insert("lm_head.weight".to_owned(), own["model.embed_tokens.weight"].clone());
        assert_eq!(read(&tied, &given), Ok(own));
        given.get_mut("lm_head.weight").unwrap().data[3] += 1.0;
        let error = read(&tied, &given).unwrap_err();
        assert!(error.contains("tie_word_embeddings=false"), "{error}");
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused() {
        let config = nano(false);
        let mut given = weights(&config);
        given.get_mut("model.norm.weight").unwrap().data[7] = f32::NAN;
        let error = read(&config, &given).unwrap_err();
        assert!(error.contains("element 7 of `model.norm.weight` is NaN"), "{error}");
    }
}
