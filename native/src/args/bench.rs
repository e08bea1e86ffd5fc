//! Options of `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DeviceArgs;

/// What is shown of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWhat {
    /// Each op at each shape
    Ops,
    /// Whole steps, and each op's share
    Step,
    /// Both
    All,
    /// Every way to multiply matrices on a GPU
    Matmul,
    /// What NITP adds to a step, in time and in FLOPs
    Overhead,
    /// Texts of 256 tokens, with a cache of keys and values and without
    Generate,
    /// A mixture of experts beside a dense layer of the same active FLOPs
    Moe,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t = BenchWhat::All)]
    pub what: BenchWhat,
    /// Presets that are taken [default: tiny, tiny-moe; for `overhead` and `generate` tiny, small; for `moe` 1.9b-a0.3b]
    #[arg(long = "preset", value_name = "NAME", num_args = 1..)]
    pub presets: Vec<String>,
    /// Overrides one key of their configuration; may be given more than once
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
    /// Steps that count, after two that don't; of `generate`, texts
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub steps: usize,
    /// The machine
    #[command(flatten)]
    pub device: DeviceArgs,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Of `matmul`: rows, columns and depth of the product, or one number for all three
    #[arg(long, value_name = "MxNxK", value_parser = product_size, default_value = "512")]
    pub size: [usize; 3],
    /// Of `matmul`: of which numbers the factors are; sums are f32
    #[arg(long, value_enum, default_value_t = Factors::F32)]
    pub factors: Factors,
    /// Of `ops`, `step` and `all` on a GPU: the way (`tile64`, `matrix128`, ...) that is taken wherever an op has it
    #[arg(long, value_name = "NAME")]
    pub way: Option<String>,
    /// Compare with the JSON of an earlier run, and tell what got slower
    #[arg(long, value_name = "FILE.json")]
    pub baseline: Option<PathBuf>,
}

/// The numbers of a product's factors.
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
        _ => Err("it must be like 512 or 8192x1024x512".to_owned()),
    }
}
