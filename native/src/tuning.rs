//! Measurements of an adapter's kernels, saved in a file for later runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanCount;
use nitp_core::config::Config;
use nitp_core::gpu::{GpuDevice, Tuning};
use nitp_core::train::tune;

use crate::args::Tune;
use crate::output::errln;
use crate::reasons::reasons;
use nitp_files::{cache, whole_file};

/// Time limit of the measurements. A later run measures the rest.
const TIME: Duration = Duration::from_secs(60);

/// The device with saved measurements.
pub fn known(gpu: GpuDevice, wanted: Tune) -> GpuDevice {
    match wanted {
        Tune::Auto | Tune::Again => {
            let known = read(&gpu);
            gpu.tuned(known)
        }
        Tune::Off => gpu,
    }
}

/// The device with measurements for this model, or with a run's own choice of kernels.
///
/// # Errors
/// Errors of the device.
pub fn measured(
    gpu: GpuDevice,
    config: &Config,
    wanted: Tune,
    own: Option<Tuning>,
) -> Result<GpuDevice> {
    let mut kept = match (wanted, own) {
        (Tune::Off, _) => return Ok(gpu),
        (Tune::Auto, Some(own)) => return Ok(gpu.tuned(own)),
        _ => read(&gpu),
    };
    let known = if wanted == Tune::Auto { kept.clone() } else { Tuning::new(&gpu.summary) };
    let begin = Instant::now();
    let tuning = pollster::block_on(tune(&gpu, config, known.clone(), TIME))?;
    let new = tuning.beyond(&known);
    if new.choices().next().is_some() {
        for (op, choice) in new.choices() {
            for (variant, reason) in &choice.failed {
                errln!("warning: {op}: `{variant}` does not work on this adapter: {reason}");
            }
        }
        let path = path(&gpu);
        errln!(
            "Measured {} op shapes on {} in {:.0} s; saved in {}",
            HumanCount(new.choices().count() as u64),
            gpu.summary.label(),
            begin.elapsed().as_secs_f64(),
            path.display()
        );
        kept.extend(new);
        // A run does not fail because of this; the measurements would be repeated.
        if let Err(error) = write(&path, &kept) {
            errln!("warning: the measurements can't be saved ({})", reasons(&error));
        }
    }
    Ok(gpu.tuned(kept))
}

fn path(gpu: &GpuDevice) -> PathBuf {
    cache::folder().join(Tuning::file_name(&gpu.summary))
}

fn write(path: &Path, tuning: &Tuning) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    whole_file::write(path, tuning.write().as_bytes())
}

/// The saved measurements; empty, with a warning, if the file is broken.
fn read(gpu: &GpuDevice) -> Tuning {
    let path = path(gpu);
    let nothing = Tuning::new(&gpu.summary);
    let read = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return nothing,
        Err(error) => Err(error.to_string()),
        Ok(text) => Tuning::read(&text, &gpu.summary).map_err(|error| error.to_string()),
    };
    read.unwrap_or_else(|why| {
        errln!("warning: {} is not used: {why}. Kernels are measured again.", path.display());
        nothing
    })
}
