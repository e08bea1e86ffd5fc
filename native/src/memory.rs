//! What a training run needs of a machine's memory.

use anyhow::{Result, ensure};
use indicatif::BinaryBytes;
use nitp_core::config::Config;
use nitp_core::model::{evaluate_plan, parameter_layout, train_plan};
use nitp_core::plan::{DType, Layout, LayoutError, Limits, Space};

/// Bytes that a training run takes, by part.
pub struct Memory {
    /// Parameters, NITP's projector among them.
    pub weights: u64,
    /// As many as the weights.
    pub gradients: u64,
    /// Two moments.
    pub optimizer: u64,
    /// The arenas of the train plan and the evaluate plan.
    pub activations: u64,
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
        let weights = 4 * store.chunks.iter().sum::<usize>() as u64;
        let both = |space: fn(DType) -> Space| {
            layout.bytes(space(DType::Real)) + layout.bytes(space(DType::U32))
        };
        let evaluate = Layout::new(&evaluate_plan(config), &store, limits)?;
        let evaluate = |space: fn(DType) -> Space| {
            evaluate.bytes(space(DType::Real)) + evaluate.bytes(space(DType::U32))
        };
        let inputs = [Space::Input, Space::Constant, Space::State];
        Ok(Self {
            weights,
            gradients: weights,
            optimizer: 2 * weights,
            activations: both(Space::Arena) + evaluate(Space::Arena),
            checkpoint: 5 * weights,
            other: inputs.iter().map(|&space| both(space) + evaluate(space)).sum(),
        })
    }

    /// All parts that the device holds.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.activations + self.other
    }
}

/// Checks that the machine's memory could hold a training run at all: one that it can't hold would
/// be killed without a word.
///
/// # Errors
/// If it needs more than there is.
pub fn check_machine(config: &Config) -> Result<()> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    let has = system.total_memory().min(limit);
    let memory = Memory::of(config, Limits::NONE)?;
    let needs = memory.total() + memory.checkpoint;
    ensure!(
        needs <= has || has == 0,
        "training this model on the CPU needs {} of memory, and this machine has {}. Set a smaller \
         model, train.batch_size or train.context_length; `nitp info` shows what needs how much",
        BinaryBytes(needs),
        BinaryBytes(has)
    );
    Ok(())
}
