//! Geometry of hidden states against NumPy in float64: `tests/vectors/geometry.safetensors`, which
//! `tests/reference/geometry.py` writes.

use std::collections::BTreeSet;

use nitp_core::geometry::geometry;
use nitp_tests::vectors::Vectors;

/// Relative tolerance against NumPy; for eigenvalues, relative to the largest.
const DOUBLE: f64 = 1e-9;

/// Tolerance of coordinates, which are in f32, relative to the largest of the axis.
const SINGLE: f64 = 2.0 * f32::EPSILON as f64;

#[track_caller]
fn assert_close(what: &str, found: f64, right: f64, bound: f64) {
    assert!((found - right).abs() <= bound, "{what} is {found}, not {right} within {bound:e}");
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.map(f64::abs).fold(0.0, f64::max)
}

/// Checks a case of the file.
fn check(case: &str) {
    let file = Vectors::load("geometry");
    let get = |name: &str| file.get(&format!("{case}/{name}"));
    let &[n, width] = file.shape(&format!("{case}/states")) else { panic!("[n, width]") };
    let states: Vec<f32> = get("states").iter().map(|&x| x as f32).collect();
    let found = geometry(&states, width);
    for (name, found) in
        [("effective_rank", found.effective_rank), ("mean_cosine", found.mean_cosine)]
    {
        let right = get(name)[0];
        assert_close(name, found, right, DOUBLE * right.abs());
    }
    let spectrum = get("spectrum");
    assert_eq!(found.spectrum.len(), width);
    for (axis, (&found, &right)) in found.spectrum.iter().zip(spectrum).enumerate() {
        assert_close(&format!("eigenvalue {axis}"), found, right, DOUBLE * spectrum[0]);
    }
    assert_eq!(found.projected.len(), n);
    for axis in 0..3 {
        let right: Vec<f64> = get("projected").iter().skip(axis).step_by(3).copied().collect();
        let found: Vec<f64> = found.projected.iter().map(|point| point[axis].into()).collect();
        let along: f64 = right.iter().zip(&found).map(|(a, b)| a * b).sum();
        // Principal axes have no sign.
        let sign = if along < 0.0 { -1.0 } else { 1.0 };
        let bound = SINGLE * largest(right.iter().copied());
        for (point, (right, found)) in right.iter().zip(found).enumerate() {
            assert_close(&format!("point {point}, axis {axis}"), sign * found, *right, bound);
        }
    }
}

macro_rules! cases {
    ($($name:ident)*) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

cases! {
    collapsed
    common_mean
    equal
    few
    many
    zero_state
}

#[test]
fn no_case_is_left_out() {
    let file = Vectors::load("geometry");
    let cases: BTreeSet<&str> =
        file.names().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    assert_eq!(cases, CASES.iter().copied().collect());
}
