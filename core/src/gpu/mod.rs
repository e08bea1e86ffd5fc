//! The wgpu executor: adapters and their limits, pipelines, encoding, read-back; which variant of
//! an op runs, and measuring that.

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
