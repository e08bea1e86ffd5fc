use nitp_lab::bag_of_words::TfIdf;
use nitp_lab::logistic::{self, Settings};
use nitp_lab::{Error, Features};
use serde::Deserialize;

use crate::load;

#[derive(Deserialize)]
struct Vectors {
    train: Vec<String>,
    test: Vec<String>,
    limits: Vec<Limit>,
}

#[derive(Deserialize)]
struct Limit {
    max_features: usize,
    words: Vec<String>,
    train_rows: Vec<Vec<(usize, f64)>>,
    test_rows: Vec<Vec<(usize, f64)>>,
}

#[test]
fn rows_are_those_of_tfidf_vectorizer() {
    let vectors: Vectors = load("bag_of_words");
    for limit in vectors.limits {
        let weights = TfIdf::fit(&vectors.train, limit.max_features).expect("a vocabulary");
        assert_eq!(weights.words(), limit.words);
        for (texts, rows) in
            [(&vectors.train, &limit.train_rows), (&vectors.test, &limit.test_rows)]
        {
            let found = weights.rows(texts).expect("rows");
            assert_eq!((found.rows(), found.width()), (rows.len(), limit.words.len()));
            for (row, expected) in rows.iter().enumerate() {
                let found: Vec<(usize, f64)> = found.row(row).collect();
                assert_eq!(found.len(), expected.len(), "row {row}: {found:?}");
                for (found, expected) in found.iter().zip(expected) {
                    assert_eq!(found.0, expected.0, "row {row}");
                    assert!((found.1 - expected.1).abs() < 1e-12, "row {row}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn of_words_as_frequent_the_first_in_sorted_order_is_kept() {
    let weights = TfIdf::fit(&["oar boat tide", "tide boat oar", "net"], 2).expect("words");
    assert_eq!(weights.words(), ["boat", "oar"]);
}

#[test]
fn a_regression_takes_the_rows() {
    let texts = ["the tide was out", "tide and sand", "a net of boats", "boats, nets, oars"];
    let weights = TfIdf::fit(&texts, 100).expect("a vocabulary");
    let rows = weights.rows(&texts).expect("rows");
    let model = logistic::fit(&rows, &[0, 0, 1, 1], Settings::default()).expect("a fit");
    let asked = weights.rows(&["sand", "oars and boats"]).expect("rows");
    assert_eq!(model.predict(&asked), Ok(vec![0, 1]));
}

#[test]
fn texts_without_words_are_errors() {
    assert_eq!(TfIdf::fit::<&str>(&[], 9), Err(Error::Empty { what: "texts" }));
    assert_eq!(TfIdf::fit(&["", "a . b"], 9), Err(Error::NoWords { texts: 2 }));
    assert!(matches!(TfIdf::fit(&["oar"], 0), Err(Error::Setting { .. })));
    let weights = TfIdf::fit(&["oar"], 9).expect("a vocabulary");
    assert_eq!(weights.rows::<&str>(&[]), Err(Error::Empty { what: "texts" }));
    assert_eq!(weights.rows(&["net"]), Features::sparse([[]], 1));
}
