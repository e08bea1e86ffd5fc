//! Next Implicit Token Prediction (arXiv 2605.24956): besides the next token, the last hidden
//! state predicts the shallow-layer state of the next token.
//! `model` builds plans of `ops` from a configuration, an executor (`cpu` or `gpu`) runs them, and `train` drives the
//! executor. See ARCHITECTURE.md for the dependencies between modules.
//!
//! A model that trains for two steps on the CPU, with bytes as tokens:
//!
//! ```
//! use nitp_core::config::{load, preset};
//! use nitp_core::cpu::CpuExecutor;
//! use nitp_core::data::{Dataset, TokenCorpus, Tokenizer};
//! use nitp_core::model::parameter_layout;
//! use nitp_core::plan::Limits;
//! use nitp_core::train::{Event, Start, Trainer};
//! use std::ops::ControlFlow;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = load(preset("nano")?, None, &["train.steps=2".to_owned()])?;
//! let tokenizer = Tokenizer::new("byte", config.model.vocab_size)?;
//! let text = "The tide turns, and turns again. ".repeat(200);
//! let corpus = TokenCorpus::from_texts(&tokenizer, [text.as_str()])?;
//! let dataset = Dataset::new(&config, &tokenizer, corpus)?;
//! let executor = CpuExecutor::fast(parameter_layout(&config, Limits::NONE)?);
//! let mut trainer = Trainer::new(&config, Box::new(executor), Box::new(dataset), Start::Seed)?;
//! let mut losses = Vec::new();
//! trainer.run(|_, event| {
//!     if let Event::Step(step) = event {
//!         losses.push(step.ntp_loss);
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(losses.len(), 2);
//! # Ok(())
//! # }
//! ```
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
pub mod numeric;
pub mod ops;
pub mod plan;
pub mod tensor;
pub mod train;
