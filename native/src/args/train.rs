//! Options of `train` and `trace`.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigArgs, DeviceArgs};

/// Options that `train` and `trace` share.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Files of text, JSONL, Parquet, CSV or token ids, folders of them, also as .gz or .zst, or a
    /// folder of `nitp data prepare`; `-` is the standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Mix the texts of --data: a weight for each path, by which the rows of the batches are divided
    #[arg(long, value_name = "WEIGHT", num_args = 1.., requires = "data", allow_negative_numbers = true)]
    pub weights: Vec<f64>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Optimizer steps of the whole run
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Seed of the initial weights and of the order of the batches
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The device
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Start from the weights of a model: a folder in Hugging Face's format, which also gives the `model` settings and
    /// the tokenizer; or a checkpoint, run folder or model.safetensors with the same `model` settings
    #[arg(long, value_name = "MODEL")]
    pub init: Option<PathBuf>,
}

/// Options of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Options shared with `trace`
    #[command(flatten)]
    pub run: RunArgs,
    /// The run folder; must be new, or hold only a run that ended before its first checkpoint [default:
    /// runs/NAME-NUMBER, with the name of the configuration, the preset or the model]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue a run from its newest checkpoint; with `--out`, start a new run from any checkpoint
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = ["config", "preset", "init"]
    )]
    pub resume: Option<PathBuf>,
    /// Save a checkpoint after this step and exit with code 0; `--resume` continues
    #[arg(long, value_name = "STEP")]
    pub stop_at: Option<usize>,
    /// Also write the run's metrics to RUN/tensorboard, for TensorBoard; repeat the option with `--resume`
    #[arg(long)]
    pub tensorboard: bool,
}

/// Options of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Options shared with `train`; `--steps` is the number of steps to trace
    #[command(flatten)]
    pub run: RunArgs,
    /// The receipt to write, a safetensors file
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}
