//! Fuzz targets of the readers of files: see README.md.

mod limit;
pub mod targets;
