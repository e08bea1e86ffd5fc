//! The whole gate: what `.ci/run` and the README's test command call.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{setup, web};

/// Formatting, lints, documentation, the page, then every test; each must pass.
pub fn run() -> Result<()> {
    setup::run()?;
    stage("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    stage("lints", || {
        // With the window, which is no default feature.
        let all = ["clippy", "--workspace", "--all-targets", "--features", "native/gui"];
        cargo(&[&all[..], &["--", "--deny", "warnings"]].concat())
    })?;
    stage("documentation", || {
        let mut doc = Command::new("cargo");
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
        succeed(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    stage("page", web::run)?;
    let (passed, failed) = stage("tests", test)?;
    // The last line tells what ran: a run without tests must show.
    println!("nitp: {passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} tests failed; their output is above");
    }
    if passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

fn stage<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {name}");
    let start = Instant::now();
    let result = work().with_context(|| format!("the stage `{name}` failed"))?;
    println!("==> {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(result)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    succeed(Command::new("cargo").args(arguments))
}

/// Runs a command to its end.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// `cargo test` on everything; sums the runners' summaries.
fn test() -> Result<(usize, usize)> {
    let mut child = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast"])
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start cargo test")?;
    let (mut passed, mut failed) = (0, 0);
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
            passed += count(" passed");
            failed += count(" failed");
        }
    }
    let status = child.wait()?;
    if !status.success() && failed == 0 {
        bail!("cargo test ended with {status}");
    }
    Ok((passed, failed))
}
