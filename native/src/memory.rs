//! Checks whether this machine's memory can hold a training run or an import.

use anyhow::{Result, ensure};
use indicatif::BinaryBytes;
use nitp_core::config::{Config, parameter_counts};
use nitp_core::model::Memory;
use nitp_core::plan::Limits;

/// Checks that the machine's memory can hold a training run. Otherwise the system would kill the process without a
/// message.
///
/// # Errors
/// If the run needs more memory than the machine has.
pub fn check_machine(config: &Config) -> Result<()> {
    let memory = Memory::of(config, Limits::NONE)?;
    check_training(memory.total() + memory.checkpoint)
}

/// Like [`check_machine`], for steps without a checkpoint.
pub fn check_steps(config: &Config) -> Result<()> {
    check_training(Memory::of(config, Limits::NONE)?.total())
}

/// Like [`check_machine`], for an import of this model. `largest_file` is the size of its largest file of weights.
///
/// # Errors
/// If the import needs more memory than the machine has.
pub fn check_import(config: &Config, largest_file: u64) -> Result<()> {
    let needs = import_bytes(parameter_counts(config).total, largest_file);
    check(
        "importing this model",
        needs,
        "Import a smaller model, or use a machine with more memory",
    )
}

/// Bytes of an import: the weights in f32, and beside them a file that is read or, later, the file of the checkpoint,
/// which holds the weights in f32 once more.
fn import_bytes(parameters: u64, largest_file: u64) -> u64 {
    let weights = parameters.saturating_mul(4);
    weights.saturating_add(largest_file.max(weights))
}

fn check_training(needs: u64) -> Result<()> {
    check(
        "training this model on the CPU",
        needs,
        "Set a smaller model, train.batch_size or train.context_length, or \
         train.recompute_activations=true; `nitp info` itemises the memory",
    )
}

fn check(what: &str, needs: u64, advice: &str) -> Result<()> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    let has = system.total_memory().min(limit);
    ensure!(
        needs <= has || has == 0,
        "{what} needs {} of memory, and this machine has {}. {advice}",
        BinaryBytes(needs),
        BinaryBytes(has)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_holds_the_weights_and_the_larger_file() {
        // The checkpoint's file is larger than one of halves, or than one of several files.
        assert_eq!(import_bytes(1000, 2000), 8000);
        // A file may hold more than the weights, such as an unembedding that equals the embedding.
        assert_eq!(import_bytes(1000, 5000), 9000);
        assert_eq!(import_bytes(u64::MAX, 1), u64::MAX);
    }
}
