//! Clusters of rows, and how well clusters agree with classes.

mod k_means;
mod scores;

pub use k_means::{Clusters, k_means};
pub use scores::{Agreement, agreement};
