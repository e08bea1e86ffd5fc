//! A split of labelled items into train and test that keeps groups whole.
//! Items of one group (for example the sentences of a document) are so similar that one of them in train would leak
//! information about the others. The groups in test are chosen to balance the classes' shares, as far as whole groups
//! allow.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::Error;
use crate::error::{not_empty, same_length};

/// Indices of items, ascending on each side, and the classes missing on each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The items to fit on.
    pub train: Vec<usize>,
    /// The items to score.
    pub test: Vec<usize>,
    /// Classes that are missing in train, so that a probe can't predict them.
    pub missing_from_train: Vec<usize>,
    /// Classes that are missing in test, so that scores don't cover them.
    pub missing_from_test: Vec<usize>,
}

/// Splits items so that about `test_share` of each class is in test, and no group on both sides.
/// `labels` are class ids and `groups` the groups to keep whole; both `[items]`. Pass the items' indices as groups if
/// each item is a group of its own. Groups are processed from the largest to the smallest, in random order (from
/// `seed`) among groups of equal size. Each goes to test if this reduces the squared deviation of the classes' shares
/// from `test_share`, and to train otherwise. For a share below one half, a class in a single group therefore stays in
/// train, unless many other classes share the group. Neither side is ever empty.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`]; [`Error::OneGroup`]; [`Error::Setting`] for a share that is
/// not above 0 and below 1.
pub fn by_group<G: Ord>(
    labels: &[usize],
    groups: &[G],
    test_share: f64,
    seed: u64,
) -> Result<Split, Error> {
    not_empty(labels, "labels")?;
    same_length(("labels", labels.len()), ("groups", groups.len()))?;
    if !(test_share > 0.0 && test_share < 1.0) {
        let (setting, allowed) = ("the share of test", "above 0 and below 1");
        return Err(Error::Setting { setting, value: test_share, allowed });
    }
    // Sorted by group, so that the order of items does not matter.
    let mut members: BTreeMap<&G, Vec<usize>> = BTreeMap::new();
    for (item, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(item);
    }
    if members.len() == 1 {
        return Err(Error::OneGroup { count: labels.len() });
    }
    let mut order: Vec<Vec<usize>> = members.into_values().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.sort_by_key(|items| std::cmp::Reverse(items.len()));

    let mut balance = Balance::new(labels, test_share);
    let mut in_test: Vec<bool> = Vec::new();
    for items in &order {
        let chosen = balance.change(items, 1.0) < 0.0;
        if chosen {
            balance.move_to_test(items);
        }
        in_test.push(chosen);
    }
    // With few large groups, all may be on one side. Then the group with the least cost changes sides.
    if in_test.iter().all(|&it| it == in_test[0]) {
        let sign = if in_test[0] { -1.0 } else { 1.0 };
        let cost = |&group: &usize| balance.change(&order[group], sign);
        let cheapest = (0..order.len()).min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let cheapest = cheapest.expect("there are two groups or more");
        in_test[cheapest] = !in_test[cheapest];
    }
    let side = |test: bool| -> Vec<usize> {
        let groups = order.iter().zip(&in_test).filter(|&(_, &it)| it == test);
        let mut items: Vec<usize> = groups.flat_map(|(items, _)| items).copied().collect();
        items.sort_unstable();
        items
    };
    let (train, test) = (side(false), side(true));
    let missing_from = |side: &[usize]| missing(labels, side);
    let (missing_from_train, missing_from_test) = (missing_from(&train), missing_from(&test));
    Ok(Split { train, test, missing_from_train, missing_from_test })
}

/// Classes of `labels` that do not occur among the items.
fn missing(labels: &[usize], items: &[usize]) -> Vec<usize> {
    let mut found: BTreeMap<usize, bool> = labels.iter().map(|&class| (class, false)).collect();
    for &item in items {
        found.insert(labels[item], true);
    }
    found.into_iter().filter(|&(_, found)| !found).map(|(class, _)| class).collect()
}

/// Deviation of the classes' shares in test from the requested share.
struct Balance<'a> {
    labels: &'a [usize],
    share: f64,
    /// For each class, its number of items, and of items in test.
    classes: BTreeMap<usize, (f64, f64)>,
}

impl<'a> Balance<'a> {
    fn new(labels: &'a [usize], share: f64) -> Self {
        let mut classes: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for &class in labels {
            classes.entry(class).or_default().0 += 1.0;
        }
        Self { labels, share, classes }
    }

    /// Change of the sum of squared deviations if items move to test (`sign` 1), or back to train (-1).
    fn change(&self, items: &[usize], sign: f64) -> f64 {
        let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
        for &item in items {
            *counts.entry(self.labels[item]).or_default() += sign;
        }
        let grown = counts.iter().map(|(class, change)| {
            let (all, test) = self.classes[class];
            let deviation = |test: f64| (test / all - self.share).powi(2);
            deviation(test + change) - deviation(test)
        });
        grown.sum()
    }

    fn move_to_test(&mut self, items: &[usize]) {
        for item in items {
            let (_, test) = self.classes.get_mut(&self.labels[*item]).expect("a class that occurs");
            *test += 1.0;
        }
    }
}
