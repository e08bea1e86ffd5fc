//! The page as a folder for any static host: three programs for wasm32, their JavaScript, and index.html.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::ci::succeed;
use crate::{setup, wasm};

/// Options that tell wasm-opt about rustc's output and its memory: the lowest kilobyte is the far end of the stack,
/// which the linker places first.
const ABOUT_INPUT: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
    "--low-memory-unused",
];

/// The programs, with options for two passes of wasm-opt: the second finds further optimisations.
const PROGRAMS: [(&str, [&str; 2]); 3] =
    [("page", ["-Oz", "-Os"]), ("worker", ["-O2", "-Os"]), ("exchange", ["-Oz", "-Os"])];

/// Files that are copied to the page unchanged.
const COPIED: [&str; 7] = [
    "web/page.css",
    "web/start-page.js",
    "web/start-worker.js",
    "demo-data/corpus.jsonl",
    "demo-data/tokenizer.json",
    "web/fonts/Hack-LICENCE.txt",
    "web/fonts/Ubuntu-LICENCE.txt",
];

/// Files that a visitor loads only on demand; the licences are never loaded.
const LATER: [&str; 6] = [
    "corpus.jsonl",
    "tokenizer.json",
    "exchange.js",
    "exchange_bg.wasm",
    "Hack-LICENCE.txt",
    "Ubuntu-LICENCE.txt",
];

/// Largest number of gzipped bytes that a visitor loads before the page is ready.
const MOST_BYTES: usize = 3_000_000;

/// The folder of the built page.
pub fn folder() -> PathBuf {
    PathBuf::from("target/web/dist")
}

/// Builds the programs and the page.
pub fn run() -> Result<()> {
    setup::ensure(setup::Tools::PAGE)?;
    let built = wasm::run()?;
    let dist = folder();
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    fs::create_dir_all(&dist)?;
    for (name, level) in PROGRAMS {
        let input = built.join(format!("{name}.wasm"));
        Bindgen::new()
            .web(true)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?
            .typescript(false)
            .omit_default_module_path(false)
            .out_name(name)
            .input_path(&input)
            .generate(&dist)
            .with_context(|| format!("wasm-bindgen on {}", input.display()))?;
        optimise(&dist.join(format!("{name}_bg.wasm")), level)?;
    }
    for file in COPIED {
        let name = Path::new(file).file_name().expect("it has one");
        fs::copy(file, dist.join(name)).with_context(|| format!("copying {file}"))?;
    }
    fs::write(dist.join("index.html"), index()?)?;
    report(&dist)
}

/// index.html without Trunk's links.
fn index() -> Result<String> {
    let text = fs::read_to_string("index.html").context("reading index.html")?;
    let kept = text.lines().filter(|line| {
        !line.contains("data-trunk") && !line.trim_start().starts_with("<!-- For Trunk")
    });
    Ok(kept.collect::<Vec<_>>().join("\n") + "\n")
}

fn optimise(file: &Path, levels: [&str; 2]) -> Result<()> {
    let smaller = file.with_extension("opt");
    let mut command = setup::wasm_opt()?;
    command.args(ABOUT_INPUT).args(levels).args(["--strip-debug", "--strip-producers"]);
    succeed(command.arg(file).arg("-o").arg(&smaller))?;
    fs::rename(smaller, file)?;
    Ok(())
}

/// Prints the sizes of the files that a visitor loads, gzipped as by hosts.
fn report(dist: &Path) -> Result<()> {
    let mut total = 0;
    let mut files: Vec<_> = fs::read_dir(dist)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(file.path())?;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &bytes)?;
        let packed = encoder.finish()?.len();
        let later = LATER.contains(&name.as_str());
        if !later {
            total += packed;
        }
        println!(
            "  {name:<20} {:>9} bytes, {packed:>8} gzipped{}",
            bytes.len(),
            if later { ", later or never" } else { "" }
        );
    }
    println!("  {total} bytes gzipped to begin with, in {}", dist.display());
    ensure!(
        total <= MOST_BYTES,
        "a visitor would load {total} bytes before the page is ready, more than {MOST_BYTES}"
    );
    Ok(())
}

/// Copies the page into a new or empty folder.
pub fn copy_to(out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    if fs::read_dir(out)?.next().is_some() {
        bail!("{} is not empty; give a new folder", out.display());
    }
    for file in fs::read_dir(folder())? {
        let file = file?;
        fs::copy(file.path(), out.join(file.file_name()))?;
    }
    // Without this file, GitHub Pages ignores names that begin with an underscore.
    fs::write(out.join(".nojekyll"), "")?;
    println!("The page is in {}", out.display());
    Ok(())
}
