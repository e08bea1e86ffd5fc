//! The room of kernels: their text, what a dispatch of one is, and the ways that an op may have.
//!
//! Nothing here knows a device. An op names kernels and what they bind; `gpu` compiles, binds and submits.

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
