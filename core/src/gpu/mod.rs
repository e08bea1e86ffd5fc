//! The wgpu executor: adapters and their limits, pipelines, encoding, read-back, and the choice among the variants of
//! an op by measurements.

mod adapter;
mod commands;
mod loaded;
mod outputs;
mod pipelines;
mod readback;
mod run;
mod timestamps;
mod tuner;
mod tuning;

pub use adapter::{AdapterSummary, DeviceRequest, GpuDevice, adapters, open};
pub use run::GpuExecutor;
pub use tuning::{Choice, Tuning, TuningError};
