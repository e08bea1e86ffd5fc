//! The page in a real Chromium, with WebGPU on SwiftShader. Needs `cargo xtask web` first, as
//! `cargo xtask ci` does it.

mod harness;
mod page;
mod pictures;
