//! The project's chores, run as `cargo xtask NAME`.

mod ci;
mod figure;
mod fuzz;
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
    /// Generate demo-data/corpus.jsonl, demo-data/tokenizer.json and demo-data/tasks, and the measured part of
    /// demo-data/README.md
    DemoData,
    /// Every check: formatting, lints, documentation, the page and all tests
    Ci {
        /// Run only this stage
        stage: Option<ci::Stage>,
    },
    /// Install the tools for the checks (a Vulkan driver, a wasm32 toolchain, npm, Chromium), or print apt's commands
    /// for users who are not root
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
        /// The folder, which is created
        #[arg(long)]
        out: std::path::PathBuf,
    },
    /// Write every kernel as a complete WGSL file, with variants and constants
    Kernels {
        /// The folder, which is created
        #[arg(long)]
        out: std::path::PathBuf,
        /// Override one key of every model's configuration, for example train.precision=mixed
        #[arg(long, value_name = "SECTION.KEY=VALUE")]
        set: Vec<String>,
    },
    /// Run the torture tests (kills, signals, full disks, changed files): docs/reliability.md
    Torture {
        /// Minutes for each part
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Seed of the random cases
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Run only this part
        #[arg(long)]
        part: Option<Part>,
    },
    /// Read mutated files of each kind: fuzz/README.md
    Fuzz {
        /// Only this kind
        target: Option<String>,
        /// Seconds for each kind
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
    /// Draw one or two runs as an SVG, as in the README
    Figure {
        /// NAME=RUN for each, where RUN is a run folder of `nitp train`
        #[arg(required = true)]
        runs: Vec<String>,
        /// The SVG file to write
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
    /// A filter for the names of its tests.
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
        Chore::Setup => {
            setup::ensure(Tools::ALL)?;
            println!("All tools for the checks are installed.");
            Ok(())
        }
        Chore::Web => web::run(),
        Chore::Serve { port } => {
            web::run()?;
            serve::run(&web::folder(), port)
        }
        Chore::Pages { out } => {
            web::run()?;
            web::copy_to(&out)
        }
        Chore::Kernels { out, set } => {
            let mut kernels = cargo_run("nitp-core");
            kernels.args(["--example", "kernels", "--", "--out"]).arg(out);
            ci::succeed(kernels.args(set.iter().map(|set| format!("--set={set}"))))
        }
        Chore::Torture { minutes, seed, part } => {
            let mut test = Command::new("cargo");
            test.args(["test", "--quiet", "--workspace", "--all-features", "--tests", "--"])
                .args([part.map_or("torture::", Part::filter), "--nocapture"])
                .env("NITP_TORTURE_MINUTES", minutes.to_string())
                .env("NITP_TORTURE_SEED", seed.to_string());
            ci::succeed(&mut test)
        }
        Chore::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Chore::Figure { runs, out } => figure::run(&runs, &out),
    }
}

/// Chores that need the library are programs of other packages, so that this one builds in seconds.
fn cargo_run(package: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--package", package]);
    cargo
}
