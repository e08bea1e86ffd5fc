//! Scores of predicted classes.

use std::collections::BTreeMap;

use crate::Error;
use crate::error::{not_empty, same_length};

/// The share of items whose predicted class is the true one, 0 to 1. `accuracy_score` of
/// scikit-learn.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`].
pub fn accuracy(predicted: &[usize], truth: &[usize]) -> Result<f64, Error> {
    check(predicted, truth)?;
    let right = predicted.iter().zip(truth).filter(|(predicted, truth)| predicted == truth);
    Ok(right.count() as f64 / truth.len() as f64)
}

/// The mean over classes of F1, 0 to 1: rare classes count as much as common ones.
/// The classes are those that occur in the predictions or in the truth. A class that is never predicted correctly has
/// an F1 of 0. `f1_score(average="macro", zero_division=0)` of scikit-learn.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`].
pub fn macro_f1(predicted: &[usize], truth: &[usize]) -> Result<f64, Error> {
    check(predicted, truth)?;
    #[derive(Default)]
    struct Counts {
        right: f64,
        predicted: f64,
        truth: f64,
    }
    let mut classes: BTreeMap<usize, Counts> = BTreeMap::new();
    for (&predicted, &truth) in predicted.iter().zip(truth) {
        classes.entry(predicted).or_default().predicted += 1.0;
        let counts = classes.entry(truth).or_default();
        counts.truth += 1.0;
        if predicted == truth {
            counts.right += 1.0;
        }
    }
    let f1 = |it: &Counts| 2.0 * it.right / (it.predicted + it.truth);
    Ok(classes.values().map(f1).sum::<f64>() / classes.len() as f64)
}

fn check(predicted: &[usize], truth: &[usize]) -> Result<(), Error> {
    same_length(("predictions", predicted.len()), ("labels", truth.len()))?;
    not_empty(truth, "labels")
}

/// The index of the largest number, ties by the first; 0 for an empty list. The numbers must not be NaN.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
