//! Options of the lab: `compare`, `ablate`, `sweep` and `view`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{ConfigArgs, DeviceArgs};

/// What all arms of a comparison get the same of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchBy {
    /// Steps, and so batches
    Steps,
    /// Training FLOPs: cheaper arms train for more steps
    Flops,
}

/// What `compare`, `ablate` and `sweep` share.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// The configuration that all arms share
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Files of text, JSONL, Parquet, CSV or token ids, or folders of them, also as .gz or .zst
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Optimizer steps of each run
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Seeds that each arm trains with, counted from train.seed; from two on, differences have intervals
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seeds: usize,
    /// What all arms get the same of
    #[arg(long = "match", value_enum, default_value_t = MatchBy::Steps)]
    pub matched: MatchBy,
    /// Folder of the runs and the report; the same command goes on with what it holds [default: labs/NAME-NUMBER]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Labelled JSONL files that every run is probed with, as by `nitp probe` [default: the text itself, if it has labels]
    #[arg(long, value_name = "FILE.jsonl", num_args = 1..)]
    pub probe: Vec<PathBuf>,
    /// Probe nothing
    #[arg(long, conflicts_with = "probe")]
    pub no_probe: bool,
    /// Also write each run's numbers to its folder's tensorboard/, for TensorBoard
    #[arg(long)]
    pub tensorboard: bool,
    /// Tasks that every run is scored on, as by `nitp eval --task` [default: those of the demo corpus, if that is the text]
    #[arg(long, value_name = "FILE.jsonl", num_args = 1..)]
    pub task: Vec<PathBuf>,
    /// Score no tasks
    #[arg(long, conflicts_with = "task")]
    pub no_task: bool,
    /// Train without asking, however many runs there are
    #[arg(long)]
    pub yes: bool,
    /// The machine
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Objectives, separated by commas, the baseline first: `ntp` alone, or any of `nitp`, `mtp`, `nextlat` and `top`, also joined as in `nitp+mtp`
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', default_value = "ntp,nitp")]
    pub arms: Vec<String>,
    /// One more arm: a name and the keys that it sets; may be given more than once
    #[arg(long = "arm", value_name = "NAME:SECTION.KEY=VALUE,...")]
    pub more: Vec<String>,
    /// What it shares with `ablate` and `sweep`
    #[command(flatten)]
    pub lab: LabArgs,
}

/// Options of `ablate`.
#[derive(Debug, Args)]
pub struct AblateArgs {
    /// A factor of the paper's ablations (target-block, shift, loss, cosine-penalty, stop-gradient, start-step,
    /// projector, lambda), or `all` of them
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
    /// Instead of a table, a key and its values; several make a grid
    #[arg(long = "axis", value_name = "SECTION.KEY=VALUE,VALUE")]
    pub axes: Vec<String>,
    /// What it shares with `compare` and `sweep`
    #[command(flatten)]
    pub lab: LabArgs,
}

/// Options of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Values of nitp.weight
    #[arg(long, value_name = "X,X", value_delimiter = ',')]
    pub lambda: Vec<f64>,
    /// Values of train.learning_rate
    #[arg(long = "lr", value_name = "X,X", value_delimiter = ',')]
    pub learning_rate: Vec<f64>,
    /// What it shares with `compare` and `ablate`
    #[command(flatten)]
    pub lab: LabArgs,
}

/// Options of `view`.
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// Run folders; their curves are drawn over each other
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write a page with the same pictures instead: one file that needs no network
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
}
