//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

const EXAMPLES: &str = "\
Examples:
  nitp train                                   the tiny preset on the demo corpus, with NITP
  nitp train --data book.txt --steps 2000      your own text
  nitp train --set nitp.enabled=false          the same by next-token prediction alone
  nitp generate runs/tiny-1 --prompt \"The sea\"
  nitp eval runs/tiny-1 --json

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C or SIGTERM";

/// Trains language models with Next Implicit Token Prediction (arXiv 2605.24956): on any GPU
/// through WebGPU, or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "nitp", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model; without options the tiny preset on the demo corpus
    Train(TrainArgs),
    /// Measure a run on held-out text: loss, perplexity, bits per byte, NITP loss, geometry; or on tasks
    Eval(EvalArgs),
    /// Write text with the model of a run
    Generate(GenerateArgs),
    /// Write a model as transformers, vLLM and others read it: config.json, safetensors, tokenizer
    Export(ExportArgs),
    /// Make a run of a model in Hugging Face's format
    Import(ImportArgs),
    /// Train several objectives or settings from the same seeds on the same batches, and report how they differ
    Compare(CompareArgs),
    /// As compare, over a table of the paper's ablations or any grid of settings
    Ablate(AblateArgs),
    /// As compare, over values of NITP's weight and of the learning rate
    Sweep(SweepArgs),
    /// Measure what a run's frozen hidden states tell of labelled texts: classes, likeness, retrieval, senses
    Probe(ProbeArgs),
    /// Write the vectors of texts, from a run's hidden states, as a NumPy array
    Embed(EmbedArgs),
    /// Show runs, finished or under way: curves of losses and geometry, spectra, loads of experts, a table
    View(ViewArgs),
    /// What a configuration costs: parameters, training FLOPs, memory, and which adapters hold it
    Info(InfoArgs),
    /// List the GPU adapters of this machine and what `--device auto` takes
    Devices,
    /// Make a tokenizer
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Train a few steps and write a receipt that any framework can check
    Trace(TraceArgs),
    /// Time ops and whole training steps against what the machine can do at most
    Bench(BenchArgs),
    /// Watch two runs, with NITP and without, in a window: the page without a browser
    Gui(GuiArgs),
}

/// A configuration: a preset, a file over it, options over both.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file; keys that it leaves out come from the preset
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Where to start from; `nitp info` lists them [default: tiny]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Overrides one key of the configuration; may be given more than once
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Which machine computes, and how its kernels are chosen.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// `auto`, `gpu` (any adapter), `cpu`, or a part of an adapter's name
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// How GPU kernels are chosen among the ways to do an op
    #[arg(long, value_enum, default_value_t = Tune::Auto)]
    pub tune: Tune,
}

/// How kernels are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tune {
    /// By what was measured on this adapter; what was not is measured first, and kept
    Auto,
    /// Nothing is measured or read: kernels for adapters of this kind
    Off,
    /// As auto, but what a run or a benchmark needs is measured anew
    Again,
}

/// What `train` and `trace` share.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Text files, JSONL files with a `text` field, or folders of them; also as .gz, and `-` for the standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
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
    /// The run folder; must not exist yet, or hold nothing but a run that ended before its first checkpoint [default: runs/NAME-NUMBER, the name that of the preset or configuration]
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
    /// Text files, JSONL files with a `text` field, or folders of them; also as .gz
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
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

/// Options of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Other text to measure on, all of it, instead of the run's held-out text; `-` is the standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
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

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// What the text begins with
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
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
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The machine
    #[command(flatten)]
    pub device: DeviceArgs,
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

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The configuration; without any, all presets are listed
    #[command(flatten)]
    pub config: ConfigArgs,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

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
    /// A mixture of experts beside a dense layer of the same active FLOPs
    Moe,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t = BenchWhat::All)]
    pub what: BenchWhat,
    /// Presets that are taken [default: tiny, tiny-moe; for `overhead` tiny, small; for `moe` 1.9b-a0.3b]
    #[arg(long = "preset", value_name = "NAME", num_args = 1..)]
    pub presets: Vec<String>,
    /// Overrides one key of their configuration; may be given more than once
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
    /// Steps that count, after two that don't
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

/// Options of `gui`.
#[derive(Debug, Args)]
pub struct GuiArgs {
    /// A link to an experiment, as the page and the window copy it; the part after its `#` will do
    #[arg(value_name = "LINK")]
    pub link: Option<String>,
}

/// Chores around tokenizers.
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train a byte-level BPE tokenizer and write it as a Hugging Face tokenizer.json
    Train {
        /// Text files, JSONL files with a `text` field, or folders of them; also as .gz, and `-` for the standard input
        #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
        data: Vec<PathBuf>,
        /// Number of tokens, 256 bytes and <|endoftext|> included
        #[arg(long, value_name = "N")]
        vocab_size: usize,
        /// Where to write it
        #[arg(long, value_name = "tokenizer.json")]
        out: PathBuf,
    },
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
