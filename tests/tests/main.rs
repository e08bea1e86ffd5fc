//! Tests across crates in one program, so that linking happens once. `cargo test -p nitp-tests ops::` runs a part.

mod architecture;
mod fuzz_seeds;
mod geometry;
mod model;
mod ops;
