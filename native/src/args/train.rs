//! Options of `train` and `trace`.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigArgs, DeviceArgs};

/// What `train` and `trace` share.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Files of text, JSONL, Parquet, CSV or token ids, or folders of them, also as .gz or .zst; `-` is the standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Optimizer steps of the whole run
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Seed of the initial weights and of the order of the batches
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The machine
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Start from a model: a folder in Hugging Face's format, whose `model` settings and tokenizer are taken over; or a checkpoint, run folder or model.safetensors, made with the same `model` settings
    #[arg(long, value_name = "MODEL")]
    pub init: Option<PathBuf>,
}

/// Options of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// What it shares with `trace`
    #[command(flatten)]
    pub run: RunArgs,
    /// The run folder; must not exist yet, or hold nothing but a run that ended before its first checkpoint [default: runs/NAME-NUMBER, the name that of the configuration, the preset or the model]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run from its newest checkpoint; with `--out`, branch off from any checkpoint
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = ["config", "preset", "init"]
    )]
    pub resume: Option<PathBuf>,
    /// Checkpoint and end after this step, as Ctrl-C would, with exit code 0; `--resume` goes on
    #[arg(long, value_name = "STEP")]
    pub stop_at: Option<usize>,
    /// Also write the run's numbers to RUN/tensorboard, for TensorBoard; give it again with `--resume`
    #[arg(long)]
    pub tensorboard: bool,
}

/// Options of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// What it shares with `train`; `--steps` is the number of steps traced
    #[command(flatten)]
    pub run: RunArgs,
    /// The receipt, a safetensors file
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}
