//! Options of `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DeviceArgs;

/// The benchmark to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWhat {
    /// Each op at each shape
    Ops,
    /// Whole training steps, and the share of each op
    Step,
    /// `ops` and `step`
    All,
    /// Every kernel that multiplies matrices on a GPU
    Matmul,
    /// The cost of NITP in a step: time and FLOPs
    Overhead,
    /// Texts of 256 tokens, with a cache of keys and values and without
    Generate,
    /// A mixture of experts against a dense layer with the same active FLOPs
    Moe,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The benchmark to run
    #[arg(value_enum, default_value_t = BenchWhat::All)]
    pub what: BenchWhat,
    /// Presets to measure [default: tiny, tiny-moe; for `overhead` and `generate` tiny, small; for `moe` 1.9b-a0.3b]
    #[arg(long = "preset", value_name = "NAME", num_args = 1..)]
    pub presets: Vec<String>,
    /// Override one key of every preset's configuration; may be given more than once
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
    /// Number of steps to measure, after two warm-up steps; of `generate`, the number of texts
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub steps: usize,
    /// The device
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// For `matmul`: rows, columns and depth of the product, or one number for all three
    #[arg(long, value_name = "MxNxK", value_parser = product_size, default_value = "512")]
    pub size: [usize; 3],
    /// For `matmul`: the number type of the factors; sums are f32
    #[arg(long, value_enum, default_value_t = Factors::F32)]
    pub factors: Factors,
    /// For `ops`, `step` and `all` on a GPU: the kernel variant (`tile64`, `matrix128`, ...) to take in every op that
    /// has it
    #[arg(long, value_name = "NAME")]
    pub way: Option<String>,
    /// Compare with the JSON of an earlier run, and list the measurements that got slower
    #[arg(long, value_name = "FILE.json")]
    pub baseline: Option<PathBuf>,
}

/// The number type of a product's factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Factors {
    /// 32 bits
    F32,
    /// 16 bits, as in mixed precision
    F16,
}

fn product_size(text: &str) -> Result<[usize; 3], String> {
    let numbers: Option<Vec<usize>> =
        text.split('x').map(|it| it.parse().ok().filter(|&n| n > 0)).collect();
    match numbers.as_deref() {
        Some(&[n]) => Ok([n; 3]),
        Some(&[m, n, k]) => Ok([m, n, k]),
        _ => Err("it must be one size or three, as in 512 or 8192x1024x512".to_owned()),
    }
}
