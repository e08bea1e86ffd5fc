//! What a training run needs of a machine's memory.

use super::{evaluate_plan, parameter_layout, train_plan};
use crate::config::Config;
use crate::plan::{DType, Layout, LayoutError, Limits, Space};

/// Bytes that a training run takes, by part.
pub struct Memory {
    /// Parameters, those of heads that serve training alone among them.
    pub weights: u64,
    /// As many as the weights.
    pub gradients: u64,
    /// Two moments.
    pub optimizer: u64,
    /// The arenas of the train plan and the evaluate plan.
    pub activations: u64,
    /// The least that any arenas for them need: the most that is alive at once.
    pub activations_least: u64,
    /// The copies of the matrices in half precision that products read; 0 in f32.
    pub working: u64,
    /// On the host while a checkpoint is made: weights and moments once, and the largest of its
    /// files.
    pub checkpoint: u64,
    /// Inputs, tables and results.
    pub other: u64,
}

impl Memory {
    /// Of a training run under these limits.
    ///
    /// # Errors
    /// If a tensor is larger than they allow.
    pub fn of(config: &Config, limits: Limits) -> Result<Self, LayoutError> {
        let store = parameter_layout(config, limits)?;
        let plan = train_plan(config, &store);
        let layout = Layout::new(&plan, &store, limits)?;
        let weights = 4 * store.chunks.iter().map(|&len| len as u64).sum::<u64>();
        let of = |layout: &Layout, space: fn(DType) -> Space| -> u64 {
            DType::ALL.iter().map(|&dtype| layout.bytes(space(dtype))).sum()
        };
        let trained = |space| of(&layout, space);
        let evaluated = Layout::new(&evaluate_plan(config), &store, limits)?;
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

    /// All parts that the device holds.
    pub fn total(&self) -> u64 {
        let Self { weights, gradients, optimizer, activations, working, other, .. } = self;
        weights + gradients + optimizer + activations + working + other
    }
}
