//! Checks whether this machine's memory can hold a training run.

use anyhow::{Result, ensure};
use indicatif::BinaryBytes;
use nitp_core::config::Config;
use nitp_core::model::Memory;
use nitp_core::plan::Limits;

/// Checks that the machine's memory can hold a training run. Otherwise the system would kill the process without a
/// message.
///
/// # Errors
/// If the run needs more memory than the machine has.
pub fn check_machine(config: &Config) -> Result<()> {
    let memory = Memory::of(config, Limits::NONE)?;
    check(memory.total() + memory.checkpoint)
}

/// Like [`check_machine`], for steps without a checkpoint.
pub fn check_steps(config: &Config) -> Result<()> {
    check(Memory::of(config, Limits::NONE)?.total())
}

fn check(needs: u64) -> Result<()> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    let has = system.total_memory().min(limit);
    ensure!(
        needs <= has || has == 0,
        "training this model on the CPU needs {} of memory, and this machine has {}. Set a smaller \
         model, train.batch_size or train.context_length, or train.recompute_activations=true; `nitp \
         info` itemises the memory",
        BinaryBytes(needs),
        BinaryBytes(has)
    );
    Ok(())
}
