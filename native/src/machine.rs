//! What a run trains on, in its folder: so that a run that goes on does so on the same machine with the
//! same kernels, and with the same bits.

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
        /// Which kernels it takes, as [`Tuning::write`] makes it.
        tuning: serde_json::Value,
        /// Side of the matrices that its units multiply, if it has such units: 8 or 16.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matrix_units: Option<usize>,
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
        let matrix_units = side_of_units(gpu);
        Self::Gpu { adapter: gpu.summary.name.clone(), tuning, matrix_units }
    }

    /// For a branch, which is a run of its own: it may go on without matrix units.
    pub fn of_branch(self) -> Self {
        match self {
            Self::Cpu => Self::Cpu,
            Self::Gpu { adapter, tuning, .. } => Self::Gpu { adapter, tuning, matrix_units: None },
        }
    }

    /// Checks that a run in mixed precision that trained on matrix units finds such units again: products
    /// by other kernels round differently and take many times as long.
    ///
    /// # Errors
    /// If this adapter has none, or of another shape.
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

    /// The kernels that it took on this adapter, if it was this one; with a warning if they can't be had.
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
