//! Options of what uses a trained model: `eval`, `generate`, `probe`, `embed`, `export` and `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DeviceArgs;

/// Options of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Other text to measure on, all of it, instead of the run's held-out text; `-` is the standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Tasks instead of text: JSONL files of multiple choice or cloze, or `demo` for those of the demo corpus
    #[arg(long, value_name = "FILE.jsonl", num_args = 1.., conflicts_with_all = ["data", "batches"])]
    pub task: Vec<PathBuf>,
    /// How many batches [default: as in training; with --data all]
    #[arg(long, value_name = "N")]
    pub batches: Option<usize>,
    /// The machine
    #[command(flatten)]
    pub device: DeviceArgs,
    /// One JSON object; of text with the keys of metrics.jsonl
    #[arg(long)]
    pub json: bool,
}

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// What the text begins with
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
    /// Instead of one prompt, a file of them: a line each, or JSONL with a field `prompt`; what is written is JSONL, an object a prompt
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompts: Option<PathBuf>,
    /// A prompt line in place of --prompt: each line that is typed is gone on with
    #[arg(long, conflicts_with_all = ["prompt", "prompts"])]
    pub interactive: bool,
    /// End before this text; may be given more than once
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Most tokens to write
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub max_tokens: usize,
    /// Above 1 bolder, below 1 safer, 0 always the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = temperature)]
    pub temperature: f64,
    /// Choose among this many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: usize,
    /// Choose among the likeliest tokens that together reach this probability; 1 for all
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = probability)]
    pub top_p: f64,
    /// Seed of the draws; each prompt of a file has its own, counted from here
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The machine
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// What `probe` and `embed` share.
#[derive(Debug, Args)]
pub struct ProbeOptions {
    /// Whose states: `last` (what the unembedding reads), a number (0 is the embedding, k the stream after block k), or `all`
    #[arg(long, value_name = "LAYER", default_value = "last")]
    pub layer: String,
    /// The machine
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
    /// Labels that are probed, separated by commas [default: every field that is one]
    #[arg(long, value_name = "FIELD,FIELD", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Seed of the split of documents and of k-means
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// What it shares with `embed`
    #[command(flatten)]
    pub options: ProbeOptions,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// JSONL files whose lines have a `text`
    #[arg(long, value_name = "FILE.jsonl", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// Where the vectors go: a NumPy array of float32, a row a text
    #[arg(long, value_name = "FILE.npy")]
    pub out: PathBuf,
    /// What it shares with `probe`
    #[command(flatten)]
    pub options: ProbeOptions,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The folder to write; must not exist yet, or be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The type of the weights
    #[arg(long, value_enum, default_value_t = WeightType::F32)]
    pub dtype: WeightType,
    /// Largest file of weights, in megabytes; more weights go into several
    #[arg(long, value_name = "MB", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_size: u64,
}

/// The type of weights in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightType {
    /// 32 bits, as they were trained
    F32,
    /// 16 bits, up to 65,504
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
    /// The run folder; must not exist yet
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
