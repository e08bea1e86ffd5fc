//! What was measured, as it is written and read.

use nitp_core::ops::Cost;
use nitp_core::train::Ceilings;
use serde::{Deserialize, Serialize};

/// All of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of this program.
    pub version: String,
    /// What was measured.
    pub device: String,
    /// Multiply-adds in registers.
    pub ceiling_gflops: f64,
    /// A large copy, read and written.
    pub ceiling_gigabytes_per_second: f64,
    /// By preset.
    pub presets: Vec<PresetReport>,
}

/// A preset's training step.
#[derive(Debug, Serialize, Deserialize)]
pub struct PresetReport {
    /// Its name.
    pub preset: String,
    /// Of a step.
    pub tokens: usize,
    /// The least of a whole step.
    pub seconds_min: f64,
    /// The median of a whole step.
    pub seconds_median: f64,
    /// By op and shape, dearest first.
    pub ops: Vec<Row>,
}

/// An op at one shape. Times are of one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub op: String,
    /// Tensors read -> tensors written.
    pub shape: String,
    /// The kernels, or the CPU's path.
    pub variant: String,
    /// Calls in a step.
    pub calls: usize,
    /// The least.
    pub seconds_min: f64,
    /// The median.
    pub seconds_median: f64,
    /// At the median.
    pub gflops: f64,
    /// At the median; each input read once and each output written once.
    pub gigabytes_per_second: f64,
    /// The time that the machine's ceilings allow, as a part of the median.
    pub percent_of_ceiling: f64,
}

impl Report {
    /// Nothing measured yet.
    pub fn new(device: String) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device,
            ceiling_gflops: 0.0,
            ceiling_gigabytes_per_second: 0.0,
            presets: Vec::new(),
        }
    }

    /// What the machine can do at most, once it is measured.
    pub fn ceilings(&self) -> Option<Ceilings> {
        (self.ceiling_gflops > 0.0).then_some(Ceilings {
            flops: 1e9 * self.ceiling_gflops,
            bytes: 1e9 * self.ceiling_gigabytes_per_second,
        })
    }

    /// Puts it down.
    pub fn set_ceilings(&mut self, ceilings: Ceilings) {
        self.ceiling_gflops = 1e-9 * ceilings.flops;
        self.ceiling_gigabytes_per_second = 1e-9 * ceilings.bytes;
    }
}

impl PresetReport {
    /// From the seconds of whole steps.
    pub fn new(preset: &str, tokens: usize, seconds: &[f64], ops: Vec<Row>) -> Self {
        let (seconds_min, seconds_median) = least_and_median(seconds);
        Self { preset: preset.to_owned(), tokens, seconds_min, seconds_median, ops }
    }

    /// At the median.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds_median
    }

    /// Of all ops, by themselves.
    pub fn seconds_of_ops(&self) -> f64 {
        self.ops.iter().map(Row::total).sum()
    }
}

impl Row {
    /// From the mean seconds of a call in each profile.
    pub fn new(
        op: &str,
        shape: String,
        variant: String,
        calls: usize,
        seconds: &[f64],
        cost: Cost,
        ceilings: Ceilings,
    ) -> Self {
        let (seconds_min, seconds_median) = least_and_median(seconds);
        let least = (cost.flops / ceilings.flops).max(cost.bytes / ceilings.bytes);
        Self {
            op: op.to_owned(),
            shape,
            variant,
            calls,
            seconds_min,
            seconds_median,
            gflops: 1e-9 * cost.flops / seconds_median,
            gigabytes_per_second: 1e-9 * cost.bytes / seconds_median,
            percent_of_ceiling: 100.0 * least / seconds_median,
        }
    }

    /// Seconds in a step.
    pub fn total(&self) -> f64 {
        self.calls as f64 * self.seconds_median
    }
}

/// The least and the median of some seconds.
pub fn least_and_median(seconds: &[f64]) -> (f64, f64) {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    // A clock may not see the shortest.
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default().max(1e-9);
    (at(0), at(sorted.len() / 2))
}
