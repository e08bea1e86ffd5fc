//! Runs the fuzz targets of fuzz/: each reads mutated files of one kind, as cargo-fuzz builds it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::ci::succeed;
use crate::setup;

/// The folder of the targets, and below it that of their seeds.
const PLACE: &str = "fuzz";

/// Seconds for one input; most take a thousandth of one.
const TIMEOUT: u32 = 10;

/// Megabytes for the process. fuzz/src/limit.rs has a lower limit, for what Rust code asks for.
const MEMORY: u32 = 1024;

/// Bytes of an input: larger ones are slow, and reach no other code.
const LONGEST: u32 = 10_240;

/// Runs one target, or all of them, for so many seconds each.
///
/// # Errors
/// If there is no such target, or it found something.
pub fn run(target: Option<&str>, seconds: u64) -> Result<()> {
    let targets = targets()?;
    let chosen: Vec<&String> =
        targets.iter().filter(|name| target.is_none_or(|target| target == *name)).collect();
    ensure!(!chosen.is_empty(), "the targets are {}", targets.join(", "));
    let mut failed = Vec::new();
    for name in chosen {
        println!("==> {name}");
        // What the fuzzer finds new stays with what is built.
        let corpus = format!("target/fuzz/corpus/{name}");
        let findings = format!("target/fuzz/findings/{name}/");
        for folder in [&corpus, &findings] {
            std::fs::create_dir_all(folder)?;
        }
        let mut fuzz = setup::cargo_fuzz()?;
        // Sanitizers need a nightly compiler.
        fuzz.args(["run", "--fuzz-dir", PLACE, "--sanitizer", "none"])
            .args(["--target-dir", "target/fuzz", name])
            .args([&corpus, &format!("{PLACE}/seeds/{name}")])
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={TIMEOUT}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-max_len={LONGEST}"))
            .arg(format!("-artifact_prefix={findings}"))
            .arg("-print_final_stats=1");
        if succeed(&mut fuzz).is_err() {
            failed.push(format!("{name} ({findings})"));
        }
    }
    if !failed.is_empty() {
        bail!("what was found, and the inputs: {}", failed.join(", "));
    }
    Ok(())
}

/// The names of the targets, in order.
fn targets() -> Result<Vec<String>> {
    let folder = Path::new(PLACE).join("fuzz_targets");
    let files = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let paths: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<std::io::Result<_>>()?;
    let stems = paths.iter().filter_map(|path| path.file_stem()?.to_str());
    let mut names: Vec<String> = stems.map(str::to_owned).collect();
    names.sort_unstable();
    Ok(names)
}
