//! Charts of runs, for the lab's report and for `nitp view`.

pub mod charts;
pub mod curves;
pub mod lines;
pub mod page;
