//! Which machine a run takes, and why.

use std::fmt::Write;

use anyhow::Result;
use nitp_core::config::Config;
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::Executor;
use nitp_core::gpu::{AdapterSummary, DeviceRequest, GpuDevice, GpuExecutor, adapters, open};
use nitp_core::model::parameter_layout;
use nitp_core::plan::Limits;

/// A chosen machine.
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An opened adapter.
    Gpu(Box<GpuDevice>),
}

/// A machine and the words about it.
pub struct Choice {
    /// The machine.
    pub device: Device,
    /// What it is and why it was taken.
    pub why: String,
}

/// Every adapter of this machine, real GPUs first.
pub fn list() -> Vec<AdapterSummary> {
    pollster::block_on(adapters())
}

/// Chooses by the value of `--device`.
///
/// # Errors
/// If no adapter fits.
pub fn choose(wanted: &str) -> Result<Choice> {
    let gpu = |request: DeviceRequest, why: &str| -> Result<Choice> {
        let device = pollster::block_on(open(&request))?;
        let why = format!("{} ({why})", describe(&device.summary));
        Ok(Choice { device: Device::Gpu(Box::new(device)), why })
    };
    match wanted {
        "cpu" => Ok(Choice { device: Device::Cpu, why: format!("{} (asked for)", cpu()) }),
        "gpu" => gpu(DeviceRequest::AnyGpu, "asked for"),
        "auto" => {
            let all = list();
            if all.iter().any(|adapter| !adapter.software) {
                return gpu(DeviceRequest::RealGpu, "the first GPU; others with --device NAME");
            }
            let mut why = cpu();
            match all.first() {
                Some(adapter) => write!(
                    why,
                    " (the only GPU adapter, {}, is software on this CPU, and the CPU executor is \
                     faster)",
                    adapter.name
                )?,
                None => why.push_str(" (no GPU adapter found)"),
            }
            Ok(Choice { device: Device::Cpu, why })
        }
        name => gpu(DeviceRequest::Named(name.to_owned()), "asked for"),
    }
}

/// An adapter in a few words.
pub fn describe(adapter: &AdapterSummary) -> String {
    format!("{}, {}", adapter.name, adapter.backend)
}

fn cpu() -> String {
    let threads = rayon::current_num_threads();
    format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" })
}

impl Device {
    /// Largest buffer and binding.
    fn limits(&self) -> Limits {
        match self {
            Device::Cpu => Limits::NONE,
            Device::Gpu(gpu) => gpu.summary.limits,
        }
    }

    /// An executor that holds the parameters of this model.
    ///
    /// # Errors
    /// If the device can't hold them.
    pub fn executor(self, config: &Config) -> Result<Box<dyn Executor>> {
        let layout = parameter_layout(config, self.limits())?;
        Ok(match self {
            Device::Cpu => Box::new(CpuExecutor::fast(layout)),
            Device::Gpu(gpu) => Box::new(GpuExecutor::new(*gpu, layout)?),
        })
    }
}
