use nitp_lab::clustering::{agreement, k_means};
use nitp_lab::{Error, Features};
use proptest::prelude::*;
use serde::Deserialize;

use crate::{close, load, tenths};

#[derive(Deserialize)]
struct Vectors {
    width: usize,
    rows: Vec<i32>,
    labels: Vec<usize>,
    inertia: f64,
    scores: Vec<Scored>,
}

#[derive(Deserialize)]
struct Scored {
    name: String,
    clusters: Vec<usize>,
    homogeneity: f64,
    completeness: f64,
    v_measure: f64,
    normalized_mutual_information: f64,
    adjusted_rand_index: f64,
}

#[test]
fn agreement_is_scikit_learns() {
    let vectors: Vectors = load("clustering");
    for scored in &vectors.scores {
        println!("{}", scored.name);
        let found = agreement(&scored.clusters, &vectors.labels).expect("scores");
        close(found.homogeneity, scored.homogeneity, 1e-12);
        close(found.completeness, scored.completeness, 1e-12);
        close(found.v_measure, scored.v_measure, 1e-12);
        let information = found.normalized_mutual_information;
        close(information, scored.normalized_mutual_information, 1e-12);
        close(found.adjusted_rand_index, scored.adjusted_rand_index, 1e-12);
    }
}

#[test]
fn inertia_is_no_worse_than_scikit_learns() {
    let vectors: Vectors = load("clustering");
    let rows = tenths(&vectors.rows, vectors.width);
    for seed in 0..5 {
        let found = k_means(&rows, 5, seed).expect("clusters");
        println!("seed {seed}: {} and {}", found.inertia, vectors.inertia);
        assert!(found.inertia <= 1.01 * vectors.inertia, "seed {seed}: {}", found.inertia);
        assert_eq!(k_means(&rows, 5, seed), Ok(found));
    }
}

#[test]
fn far_blobs_are_found_far_from_zero() {
    let corners = [[0, 0], [0, 50], [50, 0], [50, 50]];
    let values: Vec<f64> = (0..40)
        .flat_map(|i| corners[i % 4].map(|corner| 1e6 + f64::from(corner) + (i / 4) as f64 / 10.0))
        .collect();
    let rows = Features::dense(&values, 2).expect("rows");
    let found = k_means(&rows, 4, 1).expect("clusters");
    let truth: Vec<usize> = (0..40).map(|i| i % 4).collect();
    assert_eq!(agreement(&found.assignments, &truth).expect("scores").v_measure, 1.0);
    // Ten tenths in each of two columns: a variance of 0.0825.
    close(found.inertia, 40.0 * 2.0 * 0.0825, 1e-6);
}

#[test]
fn every_row_can_be_a_cluster_and_all_can_be_one() {
    let rows = Features::dense(&[0.0, 1.0, 3.0, 7.0, 8.0], 1).expect("rows");
    let each = k_means(&rows, 5, 0).expect("clusters");
    let mut clusters = each.assignments.clone();
    clusters.sort_unstable();
    assert_eq!((clusters, each.inertia), (vec![0, 1, 2, 3, 4], 0.0));
    let one = k_means(&rows, 1, 0).expect("a cluster");
    assert_eq!(one.assignments, [0; 5]);
    close(one.inertia, 50.8, 1e-12);
}

#[test]
fn fewer_distinct_rows_than_clusters_are_no_trouble() {
    let rows = Features::dense(&[1.0, 1.0, 1.0, 4.0], 1).expect("rows");
    let found = k_means(&rows, 3, 0).expect("clusters");
    assert_eq!(found.inertia, 0.0);
    assert_eq!(found.assignments[0], found.assignments[2]);
    assert_ne!(found.assignments[0], found.assignments[3]);
}

#[test]
fn the_largest_features_are_clustered() {
    let rows = Features::dense(&[1e100, 9e99, -1e100, -9e99], 1).expect("rows");
    let found = k_means(&rows, 2, 0).expect("clusters").assignments;
    assert_eq!((found[0], found[2]), (found[1], found[3]));
    assert_ne!(found[0], found[2]);
}

#[test]
fn sparse_rows_are_clustered_like_dense_ones() {
    let vectors: Vectors = load("clustering");
    let rows = vectors.rows.chunks(vectors.width);
    let sparse = rows.map(|row| row.iter().map(|&it| f64::from(it) / 10.0).enumerate());
    let sparse = Features::sparse(sparse, vectors.width).expect("rows");
    let dense = k_means(&tenths(&vectors.rows, vectors.width), 5, 3).expect("clusters");
    let sparse = k_means(&sparse, 5, 3).expect("clusters");
    close(sparse.inertia, dense.inertia, 1e-9);
    let same = agreement(&sparse.assignments, &dense.assignments).expect("scores");
    close(same.v_measure, 1.0, 1e-12);
}

#[test]
fn what_can_not_be_clustered_or_scored_is_an_error() {
    let rows = Features::dense(&[0.0, 1.0], 1).expect("rows");
    for clusters in [0, 3] {
        assert_eq!(k_means(&rows, clusters, 0), Err(Error::Clusters { clusters, rows: 2 }));
    }
    assert_eq!(agreement(&[], &[]), Err(Error::Empty { what: "classes" }));
    assert!(matches!(agreement(&[0], &[0, 1]), Err(Error::Lengths { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scores_are_in_range_and_do_not_depend_on_names_or_order(
        items in proptest::collection::vec((0..5usize, 0..4usize), 1..40),
        shift in 1..9usize,
    ) {
        let (clusters, classes): (Vec<usize>, Vec<usize>) = items.iter().copied().unzip();
        let found = agreement(&clusters, &classes).expect("scores");
        for score in [found.homogeneity, found.completeness, found.v_measure] {
            prop_assert!((-1e-12..=1.0 + 1e-12).contains(&score), "{:?}", found);
        }
        prop_assert!((found.v_measure - found.normalized_mutual_information).abs() < 1e-12);
        prop_assert!(found.adjusted_rand_index <= 1.0);
        let mirrored = items.iter().rev().map(|&(cluster, class)| ((cluster * 7 + shift) % 5, class));
        let (renamed, reversed): (Vec<usize>, Vec<usize>) = mirrored.unzip();
        let other = agreement(&renamed, &reversed).expect("scores");
        prop_assert!((found.v_measure - other.v_measure).abs() < 1e-12);
        prop_assert!((found.adjusted_rand_index - other.adjusted_rand_index).abs() < 1e-12);
        // Swapped, homogeneity is completeness.
        let swapped = agreement(&classes, &clusters).expect("scores");
        prop_assert!((found.homogeneity - swapped.completeness).abs() < 1e-12);
    }

    #[test]
    fn a_class_agrees_with_itself(classes in proptest::collection::vec(0..4usize, 1..40)) {
        let found = agreement(&classes, &classes).expect("scores");
        prop_assert!((found.v_measure - 1.0).abs() < 1e-12);
        prop_assert_eq!(found.adjusted_rand_index, 1.0);
    }

    #[test]
    fn more_clusters_are_no_farther(values in proptest::collection::vec(-9.0..9.0, 12)) {
        let rows = Features::dense(&values, 2).expect("rows");
        let inertia = |clusters| k_means(&rows, clusters, 0).expect("clusters").inertia;
        prop_assert!(inertia(6) <= 1e-12 && inertia(5) <= inertia(1) + 1e-12);
    }
}
