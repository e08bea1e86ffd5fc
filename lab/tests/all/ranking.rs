use nitp_lab::Error;
use nitp_lab::ranking::{Judgements, ndcg_at, rank, recall_at, spearman};
use nitp_lab::vectors::cosine;
use proptest::prelude::*;
use serde::Deserialize;

use crate::{close, load};

#[derive(Deserialize)]
struct Vectors {
    left: Vec<f64>,
    right: Vec<f64>,
    width: usize,
    human: Vec<f64>,
    cosines: Vec<f64>,
    spearman: Vec<Correlation>,
    queries: Vec<Query>,
}

#[derive(Deserialize)]
struct Correlation {
    x: Vec<f64>,
    y: Vec<f64>,
    rho: f64,
}

#[derive(Deserialize)]
struct Query {
    scores: Vec<f64>,
    judged: Vec<usize>,
    relevance: Vec<u32>,
    recall_5: f64,
    recall_10: f64,
    ndcg_cut_5: f64,
    ndcg_cut_10: f64,
}

#[test]
fn spearman_is_scipys() {
    for it in load::<Vectors>("ranking").spearman {
        close(spearman(&it.x, &it.y).expect("a correlation"), it.rho, 1e-12);
    }
}

#[test]
fn pairs_are_ordered_by_their_cosines() {
    let vectors: Vectors = load("ranking");
    let pairs = vectors.left.chunks(vectors.width).zip(vectors.right.chunks(vectors.width));
    let cosines: Vec<f64> = pairs.map(|(a, b)| cosine(a, b).expect("a cosine")).collect();
    for (found, expected) in cosines.iter().zip(&vectors.cosines) {
        close(*found, *expected, 1e-12);
    }
    let rho = vectors.spearman.last().expect("that of the cosines").rho;
    close(spearman(&cosines, &vectors.human).expect("a correlation"), rho, 1e-12);
}

#[test]
fn recall_and_ndcg_are_trec_evals() {
    for query in load::<Vectors>("ranking").queries {
        let ranking = rank(&query.scores).expect("a ranking");
        let judgements: Judgements = query.judged.into_iter().zip(query.relevance).collect();
        let recall = |k| recall_at(&ranking, &judgements, k).expect("a recall");
        let ndcg = |k| ndcg_at(&ranking, &judgements, k).expect("an nDCG");
        close(recall(5), query.recall_5, 1e-12);
        close(recall(10), query.recall_10, 1e-12);
        close(ndcg(5), query.ndcg_cut_5, 1e-12);
        close(ndcg(10), query.ndcg_cut_10, 1e-12);
    }
}

#[test]
fn of_equal_scores_the_later_document_is_first() {
    assert_eq!(rank(&[1.0, 2.0, 1.0, 0.0, -0.0]), Ok(vec![1, 2, 0, 4, 3]));
}

#[test]
fn a_ranking_shorter_than_k_counts_as_it_is() {
    let judgements = Judgements::from([(0, 1), (1, 1), (9, 1)]);
    close(recall_at(&[0, 5], &judgements, 100).expect("a recall"), 1.0 / 3.0, 1e-12);
    let best = 1.0 + 1.0 / 3.0_f64.log2() + 0.5;
    close(ndcg_at(&[0, 5], &judgements, 100).expect("an nDCG"), 1.0 / best, 1e-12);
    assert_eq!(ndcg_at(&[], &judgements, 10), Ok(0.0));
}

#[test]
fn what_can_not_be_ranked_is_an_error() {
    let xs = "values of x";
    assert_eq!(spearman(&[1.0], &[1.0]), Err(Error::TooFew { what: xs, found: 1, needed: 2 }));
    assert!(matches!(spearman(&[1.0, 2.0], &[1.0]), Err(Error::Lengths { .. })));
    let constant = spearman(&[1.0, 2.0], &[3.0, 3.0]).expect_err("a constant");
    assert_eq!(constant.to_string(), "all values of y are 3; a correlation needs different values");
    let nan = spearman(&[1.0, f64::NAN], &[1.0, 2.0]);
    assert!(matches!(nan, Err(Error::NotFinite { index: 1, .. })));
    assert_eq!(rank(&[]), Err(Error::Empty { what: "scores" }));
    assert!(matches!(rank(&[0.0, f64::NAN]), Err(Error::NotFinite { index: 1, .. })));
    let judgements = Judgements::from([(0, 1)]);
    let zero = Error::Setting { setting: "k", value: 0.0, allowed: "1 or more" };
    assert_eq!(recall_at(&[0], &judgements, 0), Err(zero));
    let twice = Error::RankedTwice { document: 4, first: 1, second: 3 };
    assert_eq!(ndcg_at(&[0, 4, 2, 4], &judgements, 10), Err(twice));
    let none = Judgements::from([(0, 0), (1, 0)]);
    assert_eq!(ndcg_at(&[0], &none, 10), Err(Error::NoRelevant { judged: 2 }));
    assert_eq!(recall_at(&[0], &Judgements::new(), 10), Err(Error::NoRelevant { judged: 0 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spearman_knows_only_the_order(
        pairs in proptest::collection::vec((-5..5i32, -5..5i32), 2..30),
        shift in -100.0..100.0,
    ) {
        let x: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.0)).collect();
        let y: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.1)).collect();
        prop_assume!(x.iter().any(|&it| it != x[0]) && y.iter().any(|&it| it != y[0]));
        let rho = spearman(&x, &y).expect("a correlation");
        prop_assert!((-1.0..=1.0).contains(&rho));
        let grown: Vec<f64> = x.iter().map(|it| it.exp() + shift).collect();
        let fallen: Vec<f64> = x.iter().map(|it| -it.powi(3)).collect();
        prop_assert!((spearman(&grown, &y).expect("a correlation") - rho).abs() < 1e-12);
        prop_assert!((spearman(&fallen, &y).expect("a correlation") + rho).abs() < 1e-12);
        prop_assert!((spearman(&y, &x).expect("a correlation") - rho).abs() < 1e-12);
        let backwards = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
        let reversed = spearman(&backwards(&x), &backwards(&y)).expect("a correlation");
        prop_assert!((reversed - rho).abs() < 1e-12);
    }

    #[test]
    fn the_best_ranking_has_an_ndcg_of_1(relevance in proptest::collection::vec(0..4u32, 1..20)) {
        prop_assume!(relevance.iter().any(|&it| it > 0));
        let judgements: Judgements = relevance.iter().copied().enumerate().collect();
        let scores: Vec<f64> = relevance.iter().map(|&it| f64::from(it)).collect();
        let ranking = rank(&scores).expect("a ranking");
        let worst: Vec<usize> = ranking.iter().rev().copied().collect();
        for k in [1, 10, 30] {
            prop_assert!((ndcg_at(&ranking, &judgements, k).expect("an nDCG") - 1.0).abs() < 1e-12);
            let ndcg = ndcg_at(&worst, &judgements, k).expect("an nDCG");
            prop_assert!((0.0..=1.0 + 1e-12).contains(&ndcg));
        }
        prop_assert_eq!(recall_at(&worst, &judgements, relevance.len()), Ok(1.0));
    }
}
