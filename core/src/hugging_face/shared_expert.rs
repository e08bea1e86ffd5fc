//! The shared expert of Qwen2Moe and the gate that multiplies its result. With weights of 2^-64, the gate
//! is exactly 1/2 for every token: sigmoid(x) rounds to 1/2 for all |x| < 2^-25. Weights of zeros would do, too, but
//! llama.cpp computes sigmoid(x) as silu(x) / x, which is not a number at 0. In f16 they become zeros all the same.

use super::describe::WIDTH_WITHOUT_SHARED_EXPERT;
use crate::config::ModelConfig;
use crate::model::{Init, Parameter, Part};
use crate::train::{Tensor, Tensors};

/// The weights of a gate that is 1/2 for every token.
const HALF: f32 = 1.0 / (1u128 << 64) as f32;

/// Names of a block's tensors.
struct Names {
    gate: String,
    /// Matrices of the shared expert, `down` last.
    matrices: [String; 3],
}

/// The names in every block with a mixture.
fn blocks(model: &ModelConfig) -> Vec<Names> {
    let layers = (0..model.num_hidden_layers).filter(|&layer| model.moe_of(layer).is_some());
    layers
        .map(|layer| {
            let mlp = format!("model.layers.{layer}.mlp");
            Names {
                gate: format!("{mlp}.shared_expert_gate.weight"),
                matrices: ["gate_proj", "up_proj", "down_proj"]
                    .map(|matrix| format!("{mlp}.shared_expert.{matrix}.weight")),
            }
        })
        .collect()
}

/// The gates as parameters. A program without gated experts does not count them among the model's parameters.
pub(super) fn gates(model: &ModelConfig) -> Vec<Parameter> {
    let gated = model.moe.as_ref().is_some_and(|moe| moe.shared_expert_gate);
    let names = blocks(model).into_iter().filter(|_| gated).map(|names| names.gate);
    let shape = vec![1, model.hidden_size];
    names
        .map(|name| {
            let part =
                Part { name: name.clone(), offset: 0, shape: shape.clone(), init: Init::Zeros };
            Parameter { name, shape: shape.clone(), decay: true, parts: vec![part] }
        })
        .collect()
}

/// Adds a gate of 1/2 to blocks without a gate, and doubles the results of their shared experts. A model without
/// shared experts gets shared experts of zeros.
pub(super) fn add_gates(model: &ModelConfig, weights: &mut Tensors) {
    let width = model.hidden_size;
    let zeros =
        |shape: [usize; 2]| Tensor { shape: shape.to_vec(), data: vec![0.0; shape[0] * shape[1]] };
    for Names { gate, matrices } in blocks(model) {
        if weights.contains_key(&gate) {
            continue;
        }
        weights.insert(gate, Tensor { shape: vec![1, width], data: vec![HALF; width] });
        match weights.get_mut(&matrices[2]) {
            Some(down) => down.data.iter_mut().for_each(|value| *value *= 2.0),
            None => {
                let inner = WIDTH_WITHOUT_SHARED_EXPERT;
                let shapes = [[inner, width], [inner, width], [width, inner]];
                for (name, shape) in matrices.into_iter().zip(shapes) {
                    weights.insert(name, zeros(shape));
                }
            }
        }
    }
}

/// If all gates are 1/2, removes them and halves the results of the shared experts. Then also removes shared experts
/// of zeros.
pub(super) fn remove_gates(model: &mut ModelConfig, weights: &mut Tensors) {
    let is_zero = |tensor: &Tensor| tensor.data.iter().all(|&value| value == 0.0);
    let (blocks, Some(moe)) = (blocks(model), &mut model.moe) else { return };
    let are_zeros = |name: &String| weights.get(name).is_some_and(is_zero);
    let is_half = |gate: &Tensor| gate.data.iter().all(|&value| value == 0.0 || value == HALF);
    if blocks.is_empty()
        || !blocks.iter().all(|names| weights.get(&names.gate).is_some_and(is_half))
    {
        return;
    }
    let without_shared = blocks.iter().flat_map(|names| &names.matrices).all(are_zeros);
    moe.shared_expert_gate = false;
    if without_shared {
        moe.shared_expert_intermediate_size = 0;
    }
    for Names { gate, matrices } in blocks {
        weights.remove(&gate);
        if without_shared {
            matrices.iter().for_each(|name| drop(weights.remove(name)));
        } else if let Some(down) = weights.get_mut(&matrices[2]) {
            down.data.iter_mut().for_each(|value| *value *= 0.5);
        }
    }
}
