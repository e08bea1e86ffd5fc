//! The lab against the reference implementations of each field (`../vectors`, made by
//! `../reference`), against properties, and on invalid input.

mod bag_of_words;
mod choice;
mod classifiers;
mod cloze;
mod clustering;
mod features;
mod labels;
mod ranking;
mod split;
mod statistics;
mod vectors;

use std::path::Path;

use nitp_lab::Features;
use serde::de::DeserializeOwned;

/// A file of `tests/vectors`.
fn load<T: DeserializeOwned>(name: &str) -> T {
    let file = format!("tests/vectors/{name}.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{file} is committed: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Rows that the vectors hold in tenths.
fn tenths(values: &[i32], width: usize) -> Features {
    let values: Vec<f64> = values.iter().map(|&value| f64::from(value) / 10.0).collect();
    Features::dense(&values, width).expect("rows")
}

/// Checks that two numbers differ by at most `tolerance`, relative to the larger one if it is above 1.
#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    let scale = expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance * scale, "{found} is not {expected}");
}
