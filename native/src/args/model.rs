//! Options of the commands that use a trained model: `eval`, `generate`, `probe`, `embed`, `export` and `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DeviceArgs;

/// Options of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Text to evaluate on in full, instead of the run's held-out text; `-` is the standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Tasks to evaluate on, instead of text: JSONL files of multiple choice or cloze, or `demo` for the demo tasks
    #[arg(long, value_name = "FILE.jsonl", num_args = 1.., conflicts_with_all = ["data", "batches"])]
    pub task: Vec<PathBuf>,
    /// Number of batches [default: as in training; all with --data]
    #[arg(long, value_name = "N")]
    pub batches: Option<usize>,
    /// The device
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object; for text it has the keys of metrics.jsonl
    #[arg(long)]
    pub json: bool,
}

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Beginning of the text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
    /// File of prompts: one a line, or JSONL with a field `prompt`; the output is JSONL, one object a prompt
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompts: Option<PathBuf>,
    /// Open a prompt line, and continue each line; the system's folder for state keeps what is typed in a terminal
    #[arg(long, conflicts_with_all = ["prompt", "prompts"])]
    pub interactive: bool,
    /// Stop before this text; may be given more than once
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Maximum number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub max_tokens: usize,
    /// Sampling temperature: above 1 more varied, below 1 more predictable, 0 always the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = temperature)]
    pub temperature: f64,
    /// Sample from the K likeliest tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: usize,
    /// Sample from the likeliest tokens that together reach probability P; 1 for all
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = probability)]
    pub top_p: f64,
    /// Seed of the sampling; prompt k of a file, counted from 0, uses seed N + k
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The device
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options that `probe` and `embed` share.
#[derive(Debug, Args)]
pub struct ProbeOptions {
    /// Layer of the states: `last` (the input of the unembedding), a number (0 is the embedding, k the residual stream
    /// after block k), or `all`
    #[arg(long, value_name = "LAYER", default_value = "last")]
    pub layer: String,
    /// The device
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// JSONL files with labelled texts, or with `text_a`, `text_b` and `score` [default: the demo corpus]
    #[arg(long, value_name = "FILE.jsonl", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Labels to probe, separated by commas [default: every field that is a label]
    #[arg(long, value_name = "FIELD,FIELD", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Seed of the split of documents and of k-means
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Options shared with `embed`
    #[command(flatten)]
    pub options: ProbeOptions,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// JSONL files with a `text` field
    #[arg(long, value_name = "FILE.jsonl", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// File for the vectors: a NumPy array of float32, one row a text
    #[arg(long, value_name = "FILE.npy")]
    pub out: PathBuf,
    /// Options shared with `probe`
    #[command(flatten)]
    pub options: ProbeOptions,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The folder to write; must be new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number type of the weights
    #[arg(long, value_enum, default_value_t = WeightType::F32)]
    pub dtype: WeightType,
    /// Maximum size of one file of weights, in megabytes; larger models are split over several files
    #[arg(long, value_name = "MB", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_size: u64,
}

/// The number type of weights in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightType {
    /// 32 bits, as in training
    F32,
    /// 16 bits, with a maximum of 65,504
    F16,
    /// 16 bits with the range of f32
    Bf16,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A folder with config.json, safetensors files and tokenizer.json
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The run folder to make; must not exist yet
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("it must be a number of at least 0".to_owned()),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1.0 => Ok(value),
        _ => Err("it must be a number above 0 and at most 1".to_owned()),
    }
}
