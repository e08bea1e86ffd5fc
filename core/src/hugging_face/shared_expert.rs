//! The shared expert of Qwen2Moe, whose result a gate multiplies: sigmoid(0) is a half for every token.

use super::describe::WIDTH_WITHOUT_SHARED_EXPERT;
use super::error::HuggingFaceError;
use crate::config::ModelConfig;
use crate::train::{Tensor, Tensors};

/// Names of a block's tensors.
struct Names {
    gate: String,
    /// Of the shared expert, `down` last.
    matrices: [String; 3],
}

/// Of every block with a mixture.
fn blocks(model: &ModelConfig) -> impl Iterator<Item = Names> + '_ {
    (0..model.num_hidden_layers).filter(|&layer| model.moe_of(layer).is_some()).map(|layer| {
        let mlp = format!("model.layers.{layer}.mlp");
        Names {
            gate: format!("{mlp}.shared_expert_gate.weight"),
            matrices: ["gate_proj", "up_proj", "down_proj"]
                .map(|matrix| format!("{mlp}.shared_expert.{matrix}.weight")),
        }
    })
}

/// Gives every block a gate of zeros, and doubles what the shared expert gives; a model without shared experts gets
/// some of zeros.
pub(super) fn add_gates(model: &ModelConfig, weights: &mut Tensors) {
    let width = model.hidden_size;
    for Names { gate, matrices } in blocks(model) {
        let zeros = |shape: [usize; 2]| Tensor {
            shape: shape.to_vec(),
            data: vec![0.0; shape[0] * shape[1]],
        };
        weights.insert(gate, zeros([1, width]));
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

/// Names of the gates that a file must have, each `[1, hidden_size]`.
pub(super) fn gates(model: &ModelConfig) -> impl Iterator<Item = String> + '_ {
    blocks(model).map(|names| names.gate)
}

/// Takes the gates away again, and halves what the shared experts give; shared experts of zeros go too.
///
/// # Errors
/// If a gate is not of zeros.
pub(super) fn remove_gates(
    folder: &str,
    model: &mut ModelConfig,
    weights: &mut Tensors,
) -> Result<(), HuggingFaceError> {
    let is_zero = |tensor: &Tensor| tensor.data.iter().all(|&value| value == 0.0);
    for Names { gate, matrices } in blocks(model) {
        let Some(tensor) = weights.remove(&gate) else { continue };
        if !is_zero(&tensor) {
            return Err(HuggingFaceError::Unsupported {
                file: folder.to_owned(),
                key: gate,
                found: "not zero".to_owned(),
                reason: "Shared experts with a gate that depends on the token are not supported"
                    .to_owned(),
            });
        }
        if let Some(down) = weights.get_mut(&matrices[2]) {
            down.data.iter_mut().for_each(|value| *value *= 0.5);
        }
    }
    let all: Vec<String> = blocks(model).flat_map(|names| names.matrices).collect();
    if !all.is_empty() && all.iter().all(|name| weights.get(name).is_some_and(is_zero)) {
        all.iter().for_each(|name| drop(weights.remove(name)));
        if let Some(moe) = &mut model.moe {
            moe.shared_expert_intermediate_size = 0;
        }
    }
    Ok(())
}
