use std::collections::BTreeMap;

use nitp_lab::classification::{accuracy, macro_f1};
use nitp_lab::logistic::Settings;
use nitp_lab::{Error, Features, centroid, logistic};
use proptest::prelude::*;
use serde::Deserialize;

use crate::{close, load, tenths};

#[derive(Deserialize)]
struct Set {
    width: usize,
    train: Vec<i32>,
    train_labels: Vec<usize>,
    test: Vec<i32>,
    test_labels: Vec<usize>,
    predicted: Vec<usize>,
    accuracy: f64,
    macro_f1: f64,
    /// Coefficients at the optimum, not of a fit that ended early.
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    /// Accuracies with scaled features.
    scaled: Vec<(f64, f64)>,
    centroid: Vec<usize>,
}

fn sets() -> BTreeMap<String, Set> {
    load("classifiers")
}

/// Settings that reach the optimum closely enough to compare coefficients.
fn exact() -> Settings {
    Settings { max_iterations: 1000, tolerance: 1e-8, ..Settings::default() }
}

#[test]
fn the_regressions_accuracy_is_scikit_learns() {
    for (name, set) in sets() {
        let train = tenths(&set.train, set.width);
        let model = logistic::fit(&train, &set.train_labels, Settings::default()).expect("a fit");
        assert!(model.converged(), "{name}: {} iterations", model.iterations());
        let predicted = model.predict(&tenths(&set.test, set.width)).expect("predictions");
        let found = accuracy(&predicted, &set.test_labels).expect("an accuracy");
        println!("{name}: {found} and {}, {} iterations", set.accuracy, model.iterations());
        assert!((found - set.accuracy).abs() <= 0.005, "{name}: {found}, not {}", set.accuracy);
    }
}

#[test]
fn the_regressions_coefficients_are_scikit_learns() {
    for (name, set) in sets() {
        let train = tenths(&set.train, set.width);
        let model = logistic::fit(&train, &set.train_labels, exact()).expect("a fit");
        assert!(model.converged(), "{name}: {} iterations", model.iterations());
        let farthest = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let coefficients = farthest(&model.coefficients(), &set.coefficients);
        let intercepts = farthest(model.intercepts(), &set.intercepts);
        println!("{name}: {coefficients:e}, {intercepts:e}, {} iterations", model.iterations());
        assert!(coefficients < 1e-6 && intercepts < 1e-5, "{name}: {coefficients}, {intercepts}");
    }
}

#[test]
fn sparse_rows_are_fitted_like_dense_ones() {
    for (name, set) in sets() {
        let sparse = |values: &[i32]| {
            let rows = values.chunks(set.width).map(|row| {
                let entries = row.iter().map(|&value| f64::from(value) / 10.0).enumerate();
                entries.filter(|&(_, value)| value != 0.0)
            });
            Features::sparse(rows, set.width).expect("rows")
        };
        let (train, test) = (tenths(&set.train, set.width), tenths(&set.test, set.width));
        let dense = logistic::fit(&train, &set.train_labels, exact()).expect("a fit");
        let thin = logistic::fit(&sparse(&set.train), &set.train_labels, exact()).expect("a fit");
        for (a, b) in dense.coefficients().into_iter().zip(thin.coefficients()) {
            close(b, a, 1e-6);
        }
        assert_eq!(thin.predict(&sparse(&set.test)), dense.predict(&test), "{name}");
        let dense = centroid::fit(&train, &set.train_labels).expect("centroids");
        let thin = centroid::fit(&sparse(&set.train), &set.train_labels).expect("centroids");
        assert_eq!(thin.predict(&sparse(&set.test)), dense.predict(&test), "{name}");
    }
}

#[test]
fn nearest_centroids_are_scikit_learns() {
    for (name, set) in sets() {
        let centroids = centroid::fit(&tenths(&set.train, set.width), &set.train_labels);
        let centroids = centroids.expect("centroids");
        let predicted = centroids.predict(&tenths(&set.test, set.width)).expect("predictions");
        assert_eq!(predicted, set.centroid, "{name}");
    }
}

#[test]
fn scores_of_predictions_are_scikit_learns() {
    for set in sets().values() {
        close(accuracy(&set.predicted, &set.test_labels).expect("scores"), set.accuracy, 1e-12);
        close(macro_f1(&set.predicted, &set.test_labels).expect("scores"), set.macro_f1, 1e-12);
    }
    // Class 2 is predicted and never true, class 3 true and never predicted: both have an F1 of 0.
    close(macro_f1(&[0, 1, 2, 0], &[0, 1, 1, 3]).expect("scores"), (2.0 / 3.0 * 2.0) / 4.0, 1e-12);
}

#[test]
fn classes_keep_their_ids() {
    let rows = Features::dense(&[0.0, 0.1, 5.0, 5.1, 9.0, 9.1], 1).expect("rows");
    for labels in [[7, 7, 2, 2, 4, 4], [9, 9, 9, 9, 1, 1]] {
        let model = logistic::fit(&rows, &labels, Settings::default()).expect("a fit");
        let centroids = centroid::fit(&rows, &labels).expect("centroids");
        assert_eq!(model.predict(&rows).expect("predictions"), labels);
        assert_eq!(centroids.predict(&rows).expect("predictions"), labels);
        assert_eq!(model.classes(), centroids.classes());
        assert_eq!(model.coefficients().len(), if labels.contains(&4) { 3 } else { 1 });
    }
}

#[test]
fn an_equally_near_centroid_of_a_smaller_id_is_taken() {
    let rows = Features::dense(&[1.0, -1.0], 1).expect("rows");
    let centroids = centroid::fit(&rows, &[1, 0]).expect("centroids");
    let middle = Features::dense(&[0.0], 1).expect("a row");
    assert_eq!(centroids.predict(&middle), Ok(vec![0]));
}

/// The penalty dominates with small features, and vanishes with large ones.
#[test]
fn the_accuracy_at_other_scales_is_scikit_learns() {
    for (name, set) in sets() {
        for &(scale, expected) in &set.scaled {
            let scaled = |values: &[i32]| {
                let values: Vec<f64> =
                    values.iter().map(|&it| f64::from(it) / 10.0 * scale).collect();
                Features::dense(&values, set.width).expect("rows")
            };
            let fitted = logistic::fit(&scaled(&set.train), &set.train_labels, Settings::default());
            let model = fitted.unwrap_or_else(|error| panic!("{name}, {scale}: {error}"));
            let predicted = model.predict(&scaled(&set.test)).expect("predictions");
            let found = accuracy(&predicted, &set.test_labels).expect("an accuracy");
            println!("{name}, {scale}: {found} and {expected}, {} iterations", model.iterations());
            assert!((found - expected).abs() <= 0.005, "{name}, {scale}: {found}, not {expected}");
        }
    }
}

#[test]
fn a_fit_without_penalty_of_classes_far_apart_ends() {
    let rows = Features::dense(&[-2.0, -1.0, 1.0, 2.0], 1).expect("rows");
    let settings = Settings { inverse_regularization: f64::INFINITY, ..Settings::default() };
    let model = logistic::fit(&rows, &[0, 0, 1, 1], settings).expect("a fit");
    assert_eq!(model.predict(&rows), Ok(vec![0, 0, 1, 1]));
}

#[test]
fn what_can_not_be_fitted_or_predicted_is_an_error() {
    let rows = Features::dense(&[0.0, 1.0, 2.0, 3.0], 2).expect("rows");
    let fit = |labels: &[usize]| logistic::fit(&rows, labels, Settings::default());
    assert_eq!(fit(&[]), Err(Error::Empty { what: "labels" }));
    assert!(matches!(fit(&[0, 1, 1]), Err(Error::Lengths { .. })));
    assert_eq!(fit(&[3, 3]), Err(Error::OneClass { class: "3".into(), count: 2 }));
    assert_eq!(centroid::fit(&rows, &[]), Err(Error::Empty { what: "labels" }));
    assert!(matches!(centroid::fit(&rows, &[0]), Err(Error::Lengths { .. })));
    assert!(matches!(centroid::fit(&rows, &[3, 3]), Err(Error::OneClass { .. })));
    let usual = Settings::default();
    for settings in [
        Settings { inverse_regularization: 0.0, ..usual },
        Settings { inverse_regularization: f64::NAN, ..usual },
        Settings { max_iterations: 0, ..usual },
        Settings { tolerance: 0.0, ..usual },
    ] {
        let refused = logistic::fit(&rows, &[0, 1], settings);
        assert!(matches!(refused, Err(Error::Setting { .. })), "{settings:?}");
    }
    let narrow = Features::dense(&[0.0], 1).expect("a row");
    let width = Error::Width { expected: 2, found: 1 };
    assert_eq!(fit(&[0, 1]).expect("a fit").predict(&narrow), Err(width.clone()));
    assert_eq!(centroid::fit(&rows, &[0, 1]).expect("centroids").predict(&narrow), Err(width));
    assert_eq!(accuracy(&[], &[]), Err(Error::Empty { what: "labels" }));
    assert!(matches!(macro_f1(&[0], &[0, 1]), Err(Error::Lengths { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any rows can be fitted, even constant and repeated ones.
    #[test]
    fn any_rows_are_fitted(
        values in proptest::collection::vec(prop_oneof![Just(0.0), -1.0..1.0, -1e6..1e6], 24),
        labels in proptest::collection::vec(0..3usize, 8),
        c in prop_oneof![Just(1.0), Just(1e-6), Just(1e6), Just(f64::INFINITY)],
        exponent in -40..40i32,
        tolerance in prop_oneof![Just(1e-4), Just(1e-12)],
    ) {
        prop_assume!(labels.iter().any(|&label| label != labels[0]));
        let values: Vec<f64> = values.iter().map(|it| it * 2.0_f64.powi(exponent)).collect();
        let rows = Features::dense(&values, 3).expect("rows");
        let settings = Settings { inverse_regularization: c, max_iterations: 100, tolerance };
        let model = logistic::fit(&rows, &labels, settings).expect("a fit");
        prop_assert!(model.coefficients().iter().all(|it| it.is_finite()));
    }

    #[test]
    fn centroids_move_with_their_rows(
        values in proptest::collection::vec(-9..9i32, 24),
        labels in proptest::collection::vec(0..3usize, 8),
        shift in -1000..1000i32,
    ) {
        prop_assume!(labels.iter().any(|&label| label != labels[0]));
        let moved: Vec<i32> = values.iter().map(|value| value + shift).collect();
        let distances = |values: &[i32]| {
            let rows = Features::dense(values, 3).expect("rows");
            let predicted = centroid::fit(&rows, &labels).expect("centroids").predict(&rows);
            let predicted = predicted.expect("predictions");
            // Rounding may choose either of two equally near centers; the distance is the same.
            (0..8).map(|row| distance(values, &labels, row, predicted[row])).collect::<Vec<_>>()
        };
        for (plain, moved) in distances(&values).into_iter().zip(distances(&moved)) {
            prop_assert!((plain - moved).abs() < 1e-6, "{} {}", plain, moved);
        }
    }
}

/// The squared distance of a row of three values to the mean of a class.
fn distance(values: &[i32], labels: &[usize], row: usize, class: usize) -> f64 {
    let members: Vec<usize> = (0..labels.len()).filter(|&it| labels[it] == class).collect();
    let squares = (0..3).map(|column| {
        let value = |row: usize| f64::from(values[3 * row + column]);
        let mean = members.iter().map(|&it| value(it)).sum::<f64>() / members.len() as f64;
        (value(row) - mean).powi(2)
    });
    squares.sum()
}
