//! The mathematics of the lab: arms of a training experiment are compared over seeds, and frozen
//! hidden states are probed.
//! Every function maps numbers to numbers, without files, models or output. Random functions take a seed, and the same
//! seed gives the same result. Invalid input (empty, of different lengths, not finite) gives an [`Error`] with its
//! place, never NaN in a result. If a field has a reference implementation, functions follow it and name it; the tests
//! compare with numbers of this implementation.
//!
//! ```
//! use nitp_lab::statistics::{LEVEL, paired_difference};
//!
//! // Held-out losses of three seeds, with NITP and without.
//! let difference = paired_difference(&[1.31, 1.33, 1.30], &[1.34, 1.35, 1.34], LEVEL)?;
//! let interval = difference.interval.expect("three seeds");
//! assert!((difference.mean + 0.03).abs() < 1e-9);
//! assert!(interval.high < 0.0 && interval.p_value < 0.05);
//! # Ok::<(), nitp_lab::Error>(())
//! ```
#![deny(missing_docs)]

pub mod bag_of_words;
pub mod centroid;
pub mod choice;
pub mod classification;
pub mod cloze;
pub mod clustering;
mod error;
mod features;
pub mod labels;
mod lbfgs;
pub mod logistic;
pub mod ranking;
pub mod split;
pub mod statistics;
pub mod vectors;

pub use error::Error;
pub use features::Features;
