//! The page in a real Chromium, with WebGPU on SwiftShader. Needs `cargo xtask web` first, as
//! `cargo xtask ci` does it.

#![cfg(test)]

mod harness;
mod page;
mod pictures;
