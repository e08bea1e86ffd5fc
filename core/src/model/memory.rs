//! Memory of a training run.

use super::{evaluate_plan, parameter_layout, train_plan};
use crate::config::Config;
use crate::plan::{Layout, LayoutError, Limits, Space};
use crate::tensor::DType;

/// Bytes of a training run, by part.
pub struct Memory {
    /// Parameters, including heads that only training uses.
    pub weights: u64,
    /// Gradients: as many bytes as the weights.
    pub gradients: u64,
    /// The two moments of AdamW.
    pub optimizer: u64,
    /// The arenas of the train plan and the evaluate plan.
    pub activations: u64,
    /// Lower bound for the arenas: the largest sum of activations alive at the same time.
    pub activations_least: u64,
    /// The copies of the matrices in half precision that products read; 0 in f32.
    pub working: u64,
    /// On the host while a checkpoint is saved: weights and moments, and a copy of the largest file.
    pub checkpoint: u64,
    /// Inputs, tables and results.
    pub other: u64,
}

impl Memory {
    /// The memory of a training run under these limits.
    ///
    /// # Errors
    /// If a tensor exceeds the limits.
    pub fn of(config: &Config, limits: Limits) -> Result<Self, LayoutError> {
        let store = parameter_layout(config, limits)?;
        let plan = train_plan(config, &store).plan;
        let layout = Layout::new(&plan, &store, limits)?;
        let weights = 4 * store.chunks.iter().map(|&len| len as u64).sum::<u64>();
        let of = |layout: &Layout, space: fn(DType) -> Space| -> u64 {
            DType::ALL.iter().map(|&dtype| layout.bytes(space(dtype))).sum()
        };
        let trained = |space| of(&layout, space);
        let evaluated = Layout::new(&evaluate_plan(config, limits).plan, &store, limits)?;
        let evaluate = |space| of(&evaluated, space);
        let inputs = [Space::Input, Space::Constant, Space::State];
        Ok(Self {
            weights,
            gradients: weights,
            optimizer: 2 * weights,
            activations: trained(Space::Arena) + evaluate(Space::Arena),
            activations_least: layout.arena_lower_bound + evaluated.arena_lower_bound,
            working: trained(Space::Kept),
            checkpoint: 5 * weights,
            other: inputs.iter().map(|&space| trained(space) + evaluate(space)).sum(),
        })
    }

    /// Sum of the parts on the device.
    pub fn total(&self) -> u64 {
        let Self { weights, gradients, optimizer, activations, working, other, .. } = self;
        weights + gradients + optimizer + activations + working + other
    }
}
