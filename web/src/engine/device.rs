//! The device that trains: a GPU adapter or the CPU.

use std::time::Duration;

use nitp_core::config::{Config, Precision};
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::{Executor, ExecutorError};
use nitp_core::gpu::{DeviceRequest, GpuDevice, GpuExecutor, Tuning, open};
use nitp_core::model::{Memory, parameter_layout};
use nitp_core::plan::Limits;
use nitp_core::train::tune;

use super::session::Failure;
use crate::protocol::DeviceWish;

/// A device.
#[derive(Clone, Debug)]
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An opened adapter.
    Gpu(Box<GpuDevice>),
}

impl Device {
    /// Opens the requested device, or the CPU. Returns its description with the reason.
    pub async fn open(wish: DeviceWish) -> (Self, String) {
        let request = match wish {
            DeviceWish::Cpu => return (Self::Cpu, "the CPU, as asked".to_owned()),
            DeviceWish::Auto => DeviceRequest::RealGpu,
            DeviceWish::Gpu => DeviceRequest::AnyGpu,
        };
        match open(&request).await {
            Ok(gpu) => {
                let words = format!("{} ({})", gpu.summary.label(), gpu.summary.backend);
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

    /// Measures the variants of a model's ops on a GPU that are not in `known`, for at most a few seconds. Returns all
    /// measurements if there are new ones.
    ///
    /// If this fails, the run itself will also fail, with an error message.
    pub async fn tune(&mut self, config: &Config, known: Option<&str>) -> Option<String> {
        const TIME: Duration = Duration::from_secs(5);
        let Self::Gpu(gpu) = self else { return None };
        let read = known.and_then(|text| Tuning::read(text, &gpu.summary).ok());
        let known = read.unwrap_or_else(|| Tuning::new(&gpu.summary));
        let tuning = tune(gpu, config, known.clone(), TIME).await.ok()?;
        **gpu = (**gpu).clone().tuned(tuning.clone());
        (tuning != known).then(|| tuning.write())
    }

    /// Checks that this device supports the configured precision. The page does not emulate it.
    ///
    /// # Errors
    /// The problem in words.
    pub fn check_precision(&self, config: &Config) -> Result<(), Failure> {
        let has_it = match self {
            Self::Cpu => false,
            Self::Gpu(gpu) => gpu.summary.half,
        };
        if config.train.precision == Precision::F32 || has_it {
            return Ok(());
        }
        let lacking = match self {
            Self::Cpu => "this page trains on the CPU".to_owned(),
            Self::Gpu(gpu) => format!("{} lacks it", gpu.summary.quoted()),
        };
        Err(Failure::Input(format!(
            "train.precision = \"mixed\" needs a WebGPU adapter with 16-bit numbers (shader-f16), and \
             {lacking}. Set train.precision to \"f32\", or use another browser or machine"
        )))
    }

    /// Checks that the program can address the memory for this number of runs: a browser tab has 4 GiB.
    ///
    /// # Errors
    /// The problem in words.
    pub fn check_memory(&self, config: &Config, runs: usize) -> Result<(), Failure> {
        if usize::BITS > 32 {
            return Ok(());
        }
        let memory = Memory::of(config, self.limits()).map_err(ExecutorError::from)?;
        // A checkpoint has weights and two moments. Each run holds one checkpoint and makes another, and one file holds
        // the checkpoints of all runs.
        let checkpoint = 3 * memory.weights;
        let runs = runs as u64;
        let held = if self.is_gpu() { 0 } else { runs * memory.total() };
        let needed = held + 3 * runs * checkpoint + checkpoint;
        // Leaves room for other data and for fragmentation.
        let room = u64::from(u32::MAX) / 10 * 9;
        if needed <= room {
            return Ok(());
        }
        Err(Failure::Input(format!(
            "{runs} runs of this model need {:.1} GB, and a tab has {:.1} GB. Choose a smaller preset, \
             batch or context; `nitp train` has no such limit",
            needed as f64 / 1e9,
            room as f64 / 1e9
        )))
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Cpu => Limits::NONE,
            Self::Gpu(gpu) => gpu.summary.limits,
        }
    }

    /// An executor for this model.
    pub fn executor(&self, config: &Config) -> Result<Box<dyn Executor>, ExecutorError> {
        let layout = parameter_layout(config, self.limits())?;
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
