//! The project's chores, run as `cargo xtask NAME`.

mod ci;
mod demo_data;
mod figure;
mod kernels;
mod serve;
mod setup;
mod wasm;
mod web;

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
    /// Build the page into target/web/dist
    Web,
    /// Build the page and serve it to this machine
    Serve {
        /// The port
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Build the page and copy it into a folder for a static host
    Pages {
        /// The folder; it is made
        #[arg(long)]
        out: std::path::PathBuf,
    },
    /// Write every kernel as a whole WGSL file, variants and constants put in
    Kernels {
        /// The folder; it is made
        #[arg(long)]
        out: std::path::PathBuf,
        /// Those of steps in mixed precision
        #[arg(long)]
        mixed: bool,
    },
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
        Chore::Web => web::run(),
        Chore::Serve { port } => {
            web::run()?;
            serve::run(&web::folder(), port)
        }
        Chore::Pages { out } => {
            web::run()?;
            web::copy_to(&out)
        }
        Chore::Kernels { out, mixed } => kernels::run(&out, mixed),
        Chore::Figure { runs, out } => figure::run(&runs, &out),
    }
}
