//! What trains: a GPU adapter or the CPU.

use nitp_core::config::Config;
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::{Executor, ExecutorError};
use nitp_core::gpu::{DeviceRequest, GpuDevice, GpuExecutor, open};
use nitp_core::model::parameter_layout;
use nitp_core::plan::Limits;

use crate::protocol::DeviceWish;

/// A machine.
#[derive(Clone, Debug)]
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An opened adapter.
    Gpu(Box<GpuDevice>),
}

impl Device {
    /// The wished machine, or the CPU with the reason for it.
    pub async fn open(wish: DeviceWish) -> (Self, String) {
        let request = match wish {
            DeviceWish::Cpu => return (Self::Cpu, "the CPU, as asked".to_owned()),
            DeviceWish::Auto => DeviceRequest::RealGpu,
            DeviceWish::Gpu => DeviceRequest::AnyGpu,
        };
        match open(&request).await {
            Ok(gpu) => {
                let words = format!("{} ({})", gpu.summary.name, gpu.summary.backend);
                (Self::Gpu(Box::new(gpu)), words)
            }
            Err(ExecutorError::NoAdapter { found, .. }) if found == "none" => {
                (Self::Cpu, "the CPU: no WebGPU adapter here".to_owned())
            }
            Err(ExecutorError::NoAdapter { found, .. }) => {
                (Self::Cpu, format!("the CPU: faster than {found}, which is software"))
            }
            Err(error) => (Self::Cpu, format!("the CPU: {error}")),
        }
    }

    /// An executor for this model.
    pub fn executor(&self, config: &Config) -> Result<Box<dyn Executor>, ExecutorError> {
        let limits = match self {
            Self::Cpu => Limits::NONE,
            Self::Gpu(gpu) => gpu.summary.limits,
        };
        let layout = parameter_layout(config, limits)?;
        Ok(match self {
            Self::Cpu => Box::new(CpuExecutor::fast(layout)),
            Self::Gpu(gpu) => Box::new(GpuExecutor::new((**gpu).clone(), layout)?),
        })
    }

    /// Whether this is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Gpu(_))
    }
}
