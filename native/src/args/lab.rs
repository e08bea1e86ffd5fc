//! Options of the lab: `compare`, `ablate`, `sweep` and `view`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{ConfigArgs, DeviceArgs};

/// The quantity that is equal in all arms of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchBy {
    /// Optimizer steps: every arm trains on the same batches
    Steps,
    /// Training FLOPs: cheaper arms train for more steps
    Flops,
}

/// Options that `compare`, `ablate` and `sweep` share.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// The configuration that all arms share
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Files of text, JSONL, Parquet, CSV or token ids, folders of them, also as .gz or .zst, or a
    /// folder of `nitp data prepare`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Mix the texts of --data: a weight for each path, by which the rows of the batches are divided
    #[arg(long, value_name = "WEIGHT", num_args = 1.., requires = "data", allow_negative_numbers = true)]
    pub weights: Vec<f64>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Optimizer steps of each run
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Number of seeds per arm, counted up from train.seed; two or more give confidence intervals
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seeds: usize,
    /// The quantity that is equal in all arms
    #[arg(long = "match", value_enum, default_value_t = MatchBy::Steps)]
    pub matched: MatchBy,
    /// Folder for the runs and the report; the same command continues an interrupted experiment [default:
    /// labs/NAME-NUMBER]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Labelled JSONL files to probe every run with, as in `nitp probe` [default: the training text, if it has labels]
    #[arg(long, value_name = "FILE.jsonl", num_args = 1..)]
    pub probe: Vec<PathBuf>,
    /// Run no probes
    #[arg(long, conflicts_with = "probe")]
    pub no_probe: bool,
    /// Also write each run's metrics for TensorBoard, to tensorboard/ in its folder
    #[arg(long)]
    pub tensorboard: bool,
    /// Tasks to score every run on, as in `nitp eval --task` [default: the demo tasks, if the text is the demo corpus]
    #[arg(long, value_name = "FILE.jsonl", num_args = 1..)]
    pub task: Vec<PathBuf>,
    /// Score no tasks
    #[arg(long, conflicts_with = "task")]
    pub no_task: bool,
    /// Start without a question, even if there are many runs
    #[arg(long)]
    pub yes: bool,
    /// The device
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Objectives, separated by commas, the baseline first: `ntp`, `nitp`, `mtp`, `nextlat`, `top`; `+` joins
    /// objectives other than `ntp`, as in `nitp+mtp`
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', default_value = "ntp,nitp")]
    pub arms: Vec<String>,
    /// An additional arm: its name and the keys that it sets; may be given more than once
    #[arg(long = "arm", value_name = "NAME:SECTION.KEY=VALUE,...")]
    pub more: Vec<String>,
    /// Options shared with `ablate` and `sweep`
    #[command(flatten)]
    pub lab: LabArgs,
}

/// Options of `ablate`.
#[derive(Debug, Args)]
pub struct AblateArgs {
    /// The factor of the paper's ablations to vary (target-block, shift, loss, cosine-penalty, stop-gradient,
    /// start-step, projector, lambda), or `all` of them
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
    /// A key and its values, instead of TABLE; several axes make a grid
    #[arg(long = "axis", value_name = "SECTION.KEY=VALUE,VALUE")]
    pub axes: Vec<String>,
    /// Options shared with `compare` and `sweep`
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
    /// Options shared with `compare` and `ablate`
    #[command(flatten)]
    pub lab: LabArgs,
}

/// Options of `view`.
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// Run folders; the curves of all runs share one chart
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write the charts to an HTML file instead, which needs no network
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
}
