//! The command line: commands, and options that several of them take.

mod bench;
mod lab;
mod model;
mod train;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use bench::{BenchArgs, BenchWhat, Factors};
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
    /// Write a model in Hugging Face's format, for transformers: config.json, safetensors, tokenizer
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
    /// Print what a shell needs to complete commands and options
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell that reads it
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write manual pages, one a command
    Man {
        /// Their folder, as ~/.local/share/man/man1; pages of the same names are replaced
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
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
        /// Files of text, JSONL, Parquet or CSV, or folders of them, also as .gz or .zst; `-` is the standard input
        #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
        data: Vec<PathBuf>,
        /// The column of Parquet, CSV and TSV files that holds the text [default: `text`, or `content`]
        #[arg(long, value_name = "NAME")]
        text_column: Option<String>,
        /// Number of tokens, 256 bytes and <|endoftext|> included
        #[arg(long, value_name = "N")]
        vocab_size: usize,
        /// Where to write it
        #[arg(long, value_name = "tokenizer.json")]
        out: PathBuf,
    },
}
