//! The wgpu executor: adapters and their limits, pipelines, encoding, read-back.

mod adapter;
mod pipelines;
mod readback;
mod run;
mod timestamps;

pub use adapter::{AdapterSummary, DeviceRequest, GpuDevice, adapters, open};
pub use run::GpuExecutor;
