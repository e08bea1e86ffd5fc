//! Clusters of rows, and their agreement with classes.

mod k_means;
mod scores;

pub use k_means::{Clusters, k_means};
pub use scores::{Agreement, agreement};
