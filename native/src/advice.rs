//! Advice about failures: errors of the core state facts, and the program adds the options that help.

use anyhow::Error;
use nitp_core::executor::ExecutorError;
use nitp_core::plan::LayoutError;
use nitp_core::train::{CheckpointError, GenerateError, TrainError};

/// The advice for the first of an error's causes that has one.
pub fn advice(error: &Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<ExecutorError>() {
            return Some(of_machine(error));
        }
        if cause.is::<LayoutError>() {
            return Some(SMALLER);
        }
        // Errors that wrap an error of a machine show its message as their own, and have no cause.
        match (cause.downcast_ref::<TrainError>(), cause.downcast_ref::<GenerateError>()) {
            (Some(TrainError::Executor(error)), _) | (_, Some(GenerateError::Executor(error))) => {
                return Some(of_machine(error));
            }
            (Some(TrainError::Stuck { .. }), _) => return Some("Go on with `--resume`."),
            (_, Some(GenerateError::EmptyPrompt)) => return Some("Give a prompt with `--prompt`."),
            _ => {}
        }
        match cause.downcast_ref::<CheckpointError>() {
            Some(CheckpointError::State { .. }) => {
                Some("Use another checkpoint of the run, or start anew with `--init`.")
            }
            _ => None,
        }
    })
}

const SMALLER: &str =
    "Use a smaller model, train.batch_size or train.context_length, or `--device cpu`.";

fn of_machine(error: &ExecutorError) -> &'static str {
    match error {
        ExecutorError::Layout(_) => SMALLER,
        ExecutorError::NoAdapter { .. } => {
            "`nitp devices` lists the adapters. Choose one of them, or use `--device cpu`."
        }
        ExecutorError::NoDevice { .. } => {
            "Choose another adapter with `--device NAME`, or use `--device cpu`."
        }
        ExecutorError::NoHalf { .. } => {
            "Set train.precision=f32, or choose another adapter with `--device NAME`. `--device cpu` \
            works too, but it emulates mixed precision and is slower than f32."
        }
        ExecutorError::Forced(_) => "Choose one of these with `--way`.",
        ExecutorError::DeviceLost { .. } => {
            "Continue from the last checkpoint with `--resume`, or with `--device cpu` if it happens again."
        }
        ExecutorError::Gpu { .. } => "Try a smaller train.batch_size or model, or `--device cpu`.",
    }
}
