//! The device and kernels of a run, saved in its folder. A continued run uses the same device and kernels, and so gets
//! bitwise equal results.

use anyhow::{Result, ensure};
use nitp_core::gpu::{AdapterSummary, GpuDevice, Tuning};
use nitp_core::kernel::Matrices;
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
        /// Its choice of kernels, from [`Tuning::write`].
        tuning: serde_json::Value,
        /// Side of the matrices that its units multiply, if it has such units: 8 or 16.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matrix_units: Option<usize>,
    },
}

impl Machine {
    /// Description of this device.
    pub fn of(device: &Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Gpu(gpu) => Self::gpu(gpu),
        }
    }

    fn gpu(gpu: &GpuDevice) -> Self {
        let tuning = serde_json::from_str(&gpu.tuning().write()).expect("it writes JSON");
        let matrix_units = side_of_units(gpu);
        Self::Gpu { adapter: gpu.summary.name.clone(), tuning, matrix_units }
    }

    /// For a new run that branches off: it may continue without matrix units.
    pub fn of_branch(self) -> Self {
        match self {
            Self::Cpu => Self::Cpu,
            Self::Gpu { adapter, tuning, .. } => Self::Gpu { adapter, tuning, matrix_units: None },
        }
    }

    /// Checks that a run in mixed precision that trained with matrix units has such units again: other kernels round
    /// differently and take many times as long.
    ///
    /// # Errors
    /// If this adapter has no matrix units, or units of another shape.
    pub fn check_matrix_units(&self, gpu: &GpuDevice) -> Result<()> {
        let Self::Gpu { adapter: before, matrix_units: Some(side), .. } = self else {
            return Ok(());
        };
        let here = side_of_units(gpu);
        let have = here.map_or("no matrix units".to_owned(), |it| {
            format!("matrix units for {it} x {it} x {it}")
        });
        ensure!(
            here == Some(*side),
            "the run trained in mixed precision with matrix units for {side} x {side} x {side} on \
            {before}, and {} has {have}: its steps would round differently, and take much longer. \
            Continue with kernels chosen for this adapter by `--tune again`, or start a new run with \
            `--out DIR`",
            gpu.summary.quoted()
        );
        Ok(())
    }

    /// The run's choice of kernels, if it trained on this adapter. Prints a warning if the choice can't be used.
    pub fn tuning(&self, adapter: &AdapterSummary) -> Option<Tuning> {
        match self {
            Self::Cpu => None,
            Self::Gpu { adapter: before, .. } if *before != adapter.name => None,
            Self::Gpu { tuning, .. } => Tuning::read(&tuning.to_string(), adapter)
                .inspect_err(|error| {
                    errln!(
                        "warning: the run's choice of kernels can't be used: {error}. Kernels are \
                        chosen anew, so its results will differ in their last digits."
                    );
                })
                .ok(),
        }
    }
}

fn side_of_units(gpu: &GpuDevice) -> Option<usize> {
    match gpu.capabilities().matrices {
        Matrices::Units8 => Some(8),
        Matrices::Units16 => Some(16),
        Matrices::None | Matrices::Emulated => None,
    }
}
