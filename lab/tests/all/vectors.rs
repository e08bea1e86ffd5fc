use nitp_lab::Error;
use nitp_lab::vectors::{cosine, l2_normalized, mean_pool};
use proptest::prelude::*;
use serde::Deserialize;

use crate::{close, load};

#[derive(Deserialize)]
struct Vectors {
    width: usize,
    states: Vec<f32>,
    mask: Vec<bool>,
    mean: Vec<f64>,
    normalized: Vec<f64>,
}

#[test]
fn pooled_and_normalized_states_are_numpys() {
    let vectors: Vectors = load("vectors");
    let mean = mean_pool(&vectors.states, vectors.width, &vectors.mask).expect("a mean");
    assert_eq!(mean.len(), vectors.mean.len());
    for (found, expected) in mean.iter().zip(&vectors.mean) {
        close(*found, *expected, 1e-12);
    }
    let rows = vectors.states.chunks(vectors.width);
    for (row, expected) in rows.zip(vectors.normalized.chunks(vectors.width)) {
        let row: Vec<f64> = row.iter().map(|&value| value.into()).collect();
        for (found, expected) in l2_normalized(&row).expect("a vector").iter().zip(expected) {
            close(*found, *expected, 1e-12);
        }
    }
}

#[test]
fn zeros_have_no_direction() {
    assert_eq!(l2_normalized(&[0.0; 3]), Ok(vec![0.0; 3]));
    assert_eq!(cosine(&[0.0; 3], &[1.0, 2.0, 3.0]), Ok(0.0));
    assert_eq!(l2_normalized(&[]), Ok(vec![]));
}

#[test]
fn lengths_beyond_the_range_of_squares_are_no_trouble() {
    for scale in [1e-300, 1e300] {
        let unit = l2_normalized(&[3.0 * scale, -4.0 * scale]).expect("a vector");
        close(unit[0], 0.6, 1e-12);
        close(unit[1], -0.8, 1e-12);
    }
}

#[test]
fn what_is_masked_may_be_anything() {
    assert_eq!(mean_pool(&[1.0, f64::NAN, 3.0], 1, &[true, false, true]), Ok(vec![2.0]));
}

#[test]
fn what_can_not_be_pooled_or_compared_is_an_error() {
    let none = Error::Empty { what: "tokens whose mask is set" };
    assert_eq!(mean_pool(&[1.0, 2.0], 1, &[false, false]), Err(none.clone()));
    assert_eq!(mean_pool::<f32>(&[], 4, &[]), Err(none));
    assert_eq!(mean_pool::<f32>(&[], 0, &[]), Err(Error::Shape { elements: 0, width: 0 }));
    let odd = Error::Shape { elements: 3, width: 2 };
    assert_eq!(mean_pool(&[1.0, 2.0, 3.0], 2, &[true]), Err(odd));
    assert!(matches!(mean_pool(&[1.0, 2.0], 1, &[true]), Err(Error::Lengths { .. })));
    let infinite = mean_pool(&[1.0, 2.0, 3.0, f64::INFINITY], 2, &[true, true]);
    let value = f64::INFINITY;
    assert_eq!(infinite, Err(Error::Feature { row: 1, column: 1, value }));
    assert!(matches!(l2_normalized(&[0.0, f64::NAN]), Err(Error::NotFinite { index: 1, .. })));
    assert!(matches!(cosine(&[1.0], &[1.0, 2.0]), Err(Error::Lengths { .. })));
    assert!(matches!(cosine(&[], &[]), Err(Error::Empty { .. })));
    assert!(matches!(cosine(&[1.0], &[f64::NAN]), Err(Error::NotFinite { index: 0, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cosine_knows_only_directions(
        pairs in proptest::collection::vec((-9.0..9.0, -9.0..9.0), 1..9),
        scale in 0.001..1000.0_f64,
    ) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let found = cosine(&a, &b).expect("a cosine");
        prop_assert!((-1.0..=1.0).contains(&found));
        prop_assert_eq!(found, cosine(&b, &a).expect("a cosine"));
        let scaled: Vec<f64> = a.iter().map(|x| -scale * x).collect();
        prop_assert!((cosine(&scaled, &b).expect("a cosine") + found).abs() < 1e-12);
        prop_assert!((cosine(&a, &a).expect("a cosine") - 1.0).abs() < 1e-12);
    }
}
