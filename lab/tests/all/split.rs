use std::collections::{BTreeMap, BTreeSet};

use nitp_lab::Error;
use nitp_lab::split::by_group;
use proptest::prelude::*;

#[test]
fn items_that_stand_for_themselves_are_stratified_exactly() {
    // 50, 30 and 20 of three classes.
    let labels: Vec<usize> = (0..100).map(|i| [0, 1, 0, 2, 0, 1, 0, 2, 0, 1][i % 10]).collect();
    let items: Vec<usize> = (0..100).collect();
    let split = by_group(&labels, &items, 0.2, 7).expect("a split");
    let in_test = |class| split.test.iter().filter(|&&item| labels[item] == class).count();
    assert_eq!([0, 1, 2].map(in_test), [10, 6, 4]);
    assert!(split.missing_from_train.is_empty());
    assert!(split.missing_from_test.is_empty());
    assert_eq!(by_group(&labels, &items, 0.2, 7), Ok(split.clone()));
    assert_ne!(by_group(&labels, &items, 0.2, 8), Ok(split));
}

#[test]
fn a_class_of_one_document_stays_in_train_and_is_told() {
    let labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 5, 5];
    let documents = ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e", "f", "f", "g", "g"];
    let split = by_group(&labels, &documents, 0.3, 0).expect("a split");
    assert!(split.missing_from_train.is_empty());
    assert_eq!(split.missing_from_test, [5]);
    assert_eq!((split.train.len(), split.test.len()), (10, 4));
    // For a share above one half it goes to test, and this is reported as well.
    let split = by_group(&labels, &documents, 0.7, 0).expect("a split");
    assert_eq!(split.missing_from_train, [5]);
    assert!(split.missing_from_test.is_empty());
}

#[test]
fn two_large_groups_are_one_on_each_side() {
    for share in [0.01, 0.2, 0.5, 0.9] {
        let split = by_group(&[0, 1, 0, 1], &[0, 0, 1, 1], share, 3).expect("a split");
        assert_eq!((split.train.len(), split.test.len()), (2, 2), "{share}");
    }
}

#[test]
fn what_can_not_be_split_is_an_error() {
    assert_eq!(by_group::<u8>(&[], &[], 0.2, 0), Err(Error::Empty { what: "labels" }));
    assert!(matches!(by_group(&[0, 1], &[0], 0.2, 0), Err(Error::Lengths { .. })));
    let one = by_group(&[0, 1, 1], &["a"; 3], 0.2, 0).expect_err("one group");
    assert_eq!(one, Error::OneGroup { count: 3 });
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(matches!(by_group(&[0, 1], &[0, 1], share, 0), Err(Error::Setting { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_group_is_on_both_sides_and_no_item_is_lost(
        items in proptest::collection::vec((0..4usize, 0..9u8), 2..60),
        share in 0.05..0.95,
        seed in any::<u64>(),
    ) {
        let (labels, groups): (Vec<usize>, Vec<u8>) = items.into_iter().unzip();
        prop_assume!(groups.iter().any(|&group| group != groups[0]));
        let split = by_group(&labels, &groups, share, seed).expect("a split");
        let of = |side: &[usize]| side.iter().map(|&item| groups[item]).collect::<BTreeSet<_>>();
        prop_assert!(of(&split.train).is_disjoint(&of(&split.test)));
        prop_assert!(!split.train.is_empty() && !split.test.is_empty());
        let mut all = [&split.train[..], &split.test].concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        let classes = |side: &[usize]| side.iter().map(|&it| labels[it]).collect::<BTreeSet<_>>();
        let lacking = |side: &[usize]| -> Vec<usize> {
            let all: BTreeSet<usize> = labels.iter().copied().collect();
            all.difference(&classes(side)).copied().collect()
        };
        prop_assert_eq!(&split.missing_from_train, &lacking(&split.train));
        prop_assert_eq!(&split.missing_from_test, &lacking(&split.test));
    }

    #[test]
    fn groups_by_other_names_are_split_alike(
        groups in proptest::collection::vec(0..9u8, 2..40),
        seed in any::<u64>(),
    ) {
        prop_assume!(groups.iter().any(|&group| group != groups[0]));
        let labels: Vec<usize> = (0..groups.len()).map(|item| item % 3).collect();
        let names: BTreeMap<u8, String> = (0..9).map(|it| (it, format!("document {it}"))).collect();
        let named: Vec<&str> = groups.iter().map(|group| names[group].as_str()).collect();
        prop_assert_eq!(by_group(&labels, &groups, 0.3, seed), by_group(&labels, &named, 0.3, seed));
    }
}
