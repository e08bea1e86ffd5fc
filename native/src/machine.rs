//! What a run trains on, in its folder: so that a run that goes on does so on the same machine with the
//! same kernels, and with the same bits.

use nitp_core::gpu::{AdapterSummary, GpuDevice, Tuning};
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::output::errln;

/// `machine.json` of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "device", rename_all = "lowercase")]
pub enum Machine {
    /// The CPU executor.
    Cpu,
    /// An adapter.
    Gpu {
        /// Its name.
        adapter: String,
        /// Which kernels it takes, as [`Tuning::write`] makes it.
        tuning: serde_json::Value,
    },
}

impl Machine {
    /// What this device is.
    pub fn of(device: &Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Gpu(gpu) => Self::gpu(gpu),
        }
    }

    fn gpu(gpu: &GpuDevice) -> Self {
        let tuning = serde_json::from_str(&gpu.tuning().write()).expect("it writes JSON");
        Self::Gpu { adapter: gpu.summary.name.clone(), tuning }
    }

    /// The kernels that it took on this adapter, if it was this one; with a warning if they can't be had.
    pub fn tuning(&self, adapter: &AdapterSummary) -> Option<Tuning> {
        match self {
            Self::Cpu => None,
            Self::Gpu { adapter: before, .. } if *before != adapter.name => None,
            Self::Gpu { tuning, .. } => Tuning::read(&tuning.to_string(), adapter)
                .inspect_err(|error| {
                    errln!(
                        "warning: which kernels the run took before can't be used: {error}. They are \
                         chosen anew, and its numbers will differ in their last digits from those it \
                         would have had."
                    );
                })
                .ok(),
        }
    }
}
