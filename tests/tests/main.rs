//! What crosses crates, in one program, so that it is linked once: `cargo test -p nitp-tests ops::` runs a part.

mod geometry;
mod model;
mod ops;
