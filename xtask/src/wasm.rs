//! Builds the page's programs for wasm32-unknown-unknown.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::ci::succeed;
use crate::setup::{WasmToolchain, wasm_toolchain};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds package `web` in release mode, and returns the folder of its programs.
pub fn run() -> Result<PathBuf> {
    let build = ["build", "--profile", "web", "--package", "web", "--target", TARGET];
    match wasm_toolchain() {
        Some(WasmToolchain::Rustup) => succeed(
            Command::new("cargo")
                .args(build)
                // The flags are those of .cargo/config.toml.
                .env_remove("RUSTFLAGS")
                .env("CARGO_TARGET_DIR", "target/web"),
        )?,
        // The standard library is built from source, which a stable compiler must be told to allow.
        Some(WasmToolchain::Debian) => succeed(
            Command::new("/usr/bin/cargo")
                .args(build)
                .env_remove("RUSTFLAGS")
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld")
                // A separate target folder: two compilers would rebuild each other's files.
                .env("CARGO_TARGET_DIR", "target/web")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("CARGO"),
        )?,
        None => bail!("no way to build for {TARGET}: `rustup target add {TARGET}` adds one"),
    }
    Ok(PathBuf::from("target/web").join(TARGET).join("web"))
}

/// Clippy for package `web` as it is in a browser: much of it is compiled for nothing else.
pub fn lint(level: [&str; 2]) -> Result<()> {
    match wasm_toolchain() {
        Some(WasmToolchain::Rustup) => succeed(
            Command::new("cargo")
                .args(["clippy", "--package", "web", "--lib", "--bins", "--target", TARGET, "--"])
                .args(level)
                .env_remove("RUSTFLAGS"),
        ),
        Some(WasmToolchain::Debian) => {
            println!("  not linted for {TARGET}: Debian has no clippy for its rustc-web");
            Ok(())
        }
        None => bail!("no way to lint for {TARGET}: `rustup target add {TARGET}` adds one"),
    }
}
