//! Next Implicit Token Prediction (arXiv 2605.24956): besides the next token, the last hidden
//! state predicts the shallow-layer state of the next token.
//! `model` builds plans of `ops` from a configuration, an executor (`cpu` or `gpu`) runs them, and `train` drives the
//! executor. See ARCHITECTURE.md for the dependencies between modules.
#![deny(missing_docs)]

pub mod config;
pub mod cpu;
pub mod data;
pub mod executor;
pub mod geometry;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod hugging_face;
pub mod kernel;
pub mod model;
pub mod ops;
pub mod plan;
pub mod train;
