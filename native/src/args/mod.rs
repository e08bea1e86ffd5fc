//! The command line: commands, and options that several commands share.

mod bench;
mod data;
mod lab;
mod model;
mod train;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use bench::{BenchArgs, BenchWhat, Factors};
pub use data::{DataCommand, PrepareArgs};
pub use lab::{AblateArgs, CompareArgs, LabArgs, MatchBy, SweepArgs, ViewArgs};
pub use model::{EmbedArgs, EvalArgs, ExportArgs, GenerateArgs, ImportArgs, ProbeArgs, WeightType};
pub use train::{RunArgs, TraceArgs, TrainArgs};

const EXAMPLES: &str = "\
Examples:
  nitp train                                   the tiny preset on the demo corpus, with NITP
  nitp train --data book.txt --steps 2000      your own text
  nitp train --set nitp.enabled=false          the same by next-token prediction alone
  nitp generate runs/tiny-1 --prompt \"The sea\"
  nitp eval runs/tiny-1 --json

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C or SIGTERM";

const COMPLETIONS: &str = "\
Examples:
  nitp completions bash > ~/.local/share/bash-completion/completions/nitp
  nitp completions zsh > ~/.zfunc/_nitp        with ~/.zfunc in $fpath
  nitp completions fish > ~/.config/fish/completions/nitp.fish";

/// Trains language models with Next Implicit Token Prediction (arXiv 2605.24956): on any GPU
/// through WebGPU, or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "nitp", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model; without options, the tiny preset on the demo corpus
    Train(TrainArgs),
    /// Evaluate a run on held-out text (loss, perplexity, bits per byte, NITP loss, geometry) or on tasks
    Eval(EvalArgs),
    /// Generate text with the model of a run
    Generate(GenerateArgs),
    /// Export a model to Hugging Face's format, for transformers: config.json, safetensors, tokenizer
    Export(ExportArgs),
    /// Import a model in Hugging Face's format as a run
    Import(ImportArgs),
    /// Train several objectives or settings from the same seeds on the same batches, and report the differences
    Compare(CompareArgs),
    /// Like compare, over one of the paper's ablations or any grid of settings
    Ablate(AblateArgs),
    /// Like compare, over values of NITP's weight and of the learning rate
    Sweep(SweepArgs),
    /// Probe the frozen hidden states of a run on labelled texts: classification, similarity, retrieval, word senses
    Probe(ProbeArgs),
    /// Write text embeddings, from a run's hidden states, as a NumPy array
    Embed(EmbedArgs),
    /// Show finished and running runs: curves of losses and geometry, spectra, expert loads, a table
    View(ViewArgs),
    /// Show the cost of a configuration: parameters, training FLOPs, memory, and the adapters that can hold it
    Info(InfoArgs),
    /// List the GPU adapters of this machine and the choice of `--device auto`
    Devices,
    /// Describe this machine: processor, memory, adapters, cache folder, and what would be slow or fail
    Doctor,
    /// Train or use a tokenizer
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Prepare large texts for training, or describe prepared ones
    #[command(subcommand)]
    Data(DataCommand),
    /// Train a few steps and write a receipt (inputs, weights, gradients, losses) for a check in any framework
    Trace(TraceArgs),
    /// Time ops and training steps, and compare them with the machine's peak
    Bench(BenchArgs),
    /// Watch a run with NITP and a run without it in a window: the web page without a browser
    Gui(GuiArgs),
    /// Print the completion script of a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write a manual page for each command
    Man {
        /// Folder for the pages, as ~/.local/share/man/man1; pages with the same names are overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// A configuration: a preset, overridden by a file, overridden by options.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file; missing keys come from the preset
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Preset to start from; `nitp info` lists all presets [default: tiny]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Override one key of the configuration; may be given more than once
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

/// The device, and how its kernels are chosen.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// `auto`, `gpu` (any adapter), `cpu`, or a part of an adapter's name
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// How to choose among the GPU kernels of an op
    #[arg(long, value_enum, default_value_t = Tune::Auto)]
    pub tune: Tune,
}

/// How kernels are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tune {
    /// The fastest in measurements on this adapter; missing measurements are made first, and saved
    Auto,
    /// Without measurements: the default kernels for this kind of adapter
    Off,
    /// Like auto, but measure again
    Again,
}

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The configuration; without one, `info` lists all presets
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `gui`.
#[derive(Debug, Args)]
pub struct GuiArgs {
    /// A link to an experiment, as copied from the page or the window; the part after `#` suffices
    #[arg(value_name = "LINK")]
    pub link: Option<String>,
}

/// Text to tokenise.
#[derive(Debug, Args)]
pub struct TextArgs {
    /// Files of text, JSONL, Parquet, CSV or token ids, or folders of them, also as .gz or .zst; `-` is the standard input
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
}

/// Commands for tokenizers.
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train a byte-level BPE tokenizer and write it as a Hugging Face tokenizer.json
    Train {
        /// The text
        #[command(flatten)]
        text: TextArgs,
        /// Number of tokens, including the 256 bytes and <|endoftext|>
        #[arg(long, value_name = "N")]
        vocab_size: usize,
        /// The file to write
        #[arg(long, value_name = "tokenizer.json")]
        out: PathBuf,
    },
    /// Count the tokens of texts, or write their ids
    Encode {
        /// A tokenizer.json, or the word `byte`
        #[arg(value_name = "tokenizer.json")]
        tokenizer: PathBuf,
        /// The text
        #[command(flatten)]
        text: TextArgs,
        /// A NumPy array of the ids of all documents, one after the other
        #[arg(long, value_name = "FILE.npy")]
        out: Option<PathBuf>,
    },
}
