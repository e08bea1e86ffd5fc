//! The project's chores, run as `cargo xtask NAME`.

mod ci;
mod demo_data;
mod figure;
mod setup;
mod wasm;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Write demo-data/corpus.jsonl and demo-data/tokenizer.json anew, and the measured part of demo-data/README.md
    DemoData,
    /// The whole gate: set-up, formatting, lints, documentation, the wasm build and every test
    Ci,
    /// Install what the gate needs: a Vulkan driver and a wasm32 toolchain
    Setup,
    /// Build the page's program for wasm32
    Wasm,
    /// Draw one or two runs side by side: the README's picture
    Figure {
        /// Each as NAME=RUN, a run folder of `nitp train`
        #[arg(required = true)]
        runs: Vec<String>,
        /// The SVG
        #[arg(long)]
        out: std::path::PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::DemoData => demo_data::run(),
        Chore::Ci => ci::run(),
        Chore::Setup => setup::run(),
        Chore::Wasm => wasm::run(),
        Chore::Figure { runs, out } => figure::run(&runs, &out),
    }
}
