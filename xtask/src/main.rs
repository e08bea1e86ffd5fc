//! The project's chores, run as `cargo xtask NAME`.

mod ci;
mod figure;
mod serve;
mod setup;
mod wasm;
mod web;

use std::process::Command;

use clap::{Parser, Subcommand};

use setup::Tools;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Write demo-data/corpus.jsonl, demo-data/tokenizer.json and demo-data/tasks anew, and the measured part of demo-data/README.md
    DemoData,
    /// Every check: formatting, lints, documentation, the page and all tests
    Ci {
        /// One stage alone
        stage: Option<ci::Stage>,
    },
    /// Install what the checks need: a Vulkan driver, a wasm32 toolchain, npm, Chromium
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
    /// Kill, signal, fill up and corrupt: docs/reliability.md
    Torture {
        /// Of each of its parts
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// What its cases are drawn from
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// One part alone
        #[arg(long)]
        part: Option<Part>,
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

/// A part of the torture.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// kill -9
    Kills,
    /// SIGTERM
    Signals,
    /// A full disk
    Disk,
    /// Changed files
    Inputs,
    /// Changed zips, in the page
    Zips,
}

impl Part {
    /// A part of the names of its tests.
    fn filter(self) -> &'static str {
        match self {
            Self::Kills => "torture::kills",
            Self::Signals => "torture::signals",
            Self::Disk => "torture::disk",
            Self::Inputs => "torture::inputs",
            Self::Zips => "torture::changed_zips",
        }
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::DemoData => ci::succeed(&mut cargo_run("demo-data")),
        Chore::Ci { stage } => ci::run(stage),
        Chore::Setup => setup::ensure(Tools::ALL),
        Chore::Web => web::run(),
        Chore::Serve { port } => {
            web::run()?;
            serve::run(&web::folder(), port)
        }
        Chore::Pages { out } => {
            web::run()?;
            web::copy_to(&out)
        }
        Chore::Kernels { out, mixed } => {
            let mut kernels = cargo_run("nitp-core");
            kernels.args(["--example", "kernels", "--", "--out"]).arg(out);
            ci::succeed(kernels.args(mixed.then_some("--mixed")))
        }
        Chore::Torture { minutes, seed, part } => {
            let mut test = Command::new("cargo");
            test.args(["test", "--quiet", "--workspace", "--all-features", "--tests", "--"])
                .args([part.map_or("torture::", Part::filter), "--nocapture"])
                .env("NITP_TORTURE_MINUTES", minutes.to_string())
                .env("NITP_TORTURE_SEED", seed.to_string());
            ci::succeed(&mut test)
        }
        Chore::Figure { runs, out } => figure::run(&runs, &out),
    }
}

/// Chores that need the library are programs of other packages: this one builds in seconds.
fn cargo_run(package: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--package", package]);
    cargo
}
