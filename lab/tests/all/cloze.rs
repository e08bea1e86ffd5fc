use nitp_lab::Error;
use nitp_lab::cloze::{Item, score};
use serde::Deserialize;

use crate::{close, load};

#[derive(Deserialize)]
struct Vectors {
    log_likelihoods: Vec<f64>,
    greedy: Vec<bool>,
    acc: f64,
    acc_stderr: f64,
    perplexity: f64,
}

fn items(log_likelihoods: &[f64], greedy: &[bool]) -> Vec<Item> {
    let pairs = log_likelihoods.iter().zip(greedy);
    pairs.map(|(&log_likelihood, &is_greedy)| Item { log_likelihood, is_greedy }).collect()
}

#[test]
fn accuracy_and_perplexity_are_the_harnesss() {
    let vectors: Vectors = load("cloze");
    let found = score(&items(&vectors.log_likelihoods, &vectors.greedy)).expect("scores");
    close(found.accuracy, vectors.acc, 1e-12);
    close(found.standard_error.expect("40 items"), vectors.acc_stderr, 1e-12);
    close(found.perplexity, vectors.perplexity, 1e-12);
}

#[test]
fn an_impossible_continuation_has_an_infinite_perplexity() {
    let found = score(&items(&[f64::NEG_INFINITY, -1.0], &[false, true])).expect("scores");
    assert_eq!((found.accuracy, found.perplexity), (0.5, f64::INFINITY));
    assert_eq!(score(&items(&[-1.0], &[true])).expect("scores").standard_error, None);
}

#[test]
fn what_can_not_be_scored_is_told_with_its_place() {
    assert_eq!(score(&[]), Err(Error::Empty { what: "items" }));
    let error = score(&items(&[-1.0, f64::NAN], &[true; 2])).expect_err("a NaN");
    assert!(matches!(error, Error::LogLikelihood { item: 1, choice: 0, .. }), "{error}");
}
