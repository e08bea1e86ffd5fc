//! Kernels: their text, their dispatches, and the ways (variants) of an op.
//!
//! This module uses no device. An op names kernels and their bindings; `gpu` compiles, binds and submits them.

mod dispatch;
mod needs;
mod select;
mod storage;
mod text;
mod variant;

pub use dispatch::{Binding, Dispatch, Kernel, MAX_WORKGROUPS, Uniform, linear_grid};
pub use needs::{Capabilities, Matrices, Needs};
pub use select::{ForcedError, Selector};
pub use text::{Module, assemble};
pub use variant::{BASELINE, Suits, Variant};
