//! Pictures of runs: what the lab's report and `nitp view` draw alike.

pub mod charts;
pub mod curves;
pub mod lines;
pub mod page;
