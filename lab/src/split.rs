//! A split of labelled items into train and test that keeps groups whole.
//!
//! Items of one group (the sentences of a document, say) are so alike that one of them in train
//! gives the others away. Which groups go to test is chosen for the classes' shares, as far as
//! whole groups allow.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::Error;
use crate::error::{not_empty, same_length};

/// Indices of items, ascending on each side, and what the sides lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The items to fit on.
    pub train: Vec<usize>,
    /// The items to score.
    pub test: Vec<usize>,
    /// Classes that occur, but not in train: a probe can't predict them.
    pub missing_from_train: Vec<usize>,
    /// Classes that occur, but not in test: a score tells nothing of them.
    pub missing_from_test: Vec<usize>,
}

/// Splits items so that about `test_share` of each class is in test, and no group on both sides.
///
/// `labels` are class ids, `groups` what may not be parted; both `[items]`. Pass the items' indices
/// as groups where each stands for itself. Groups are taken from the largest on, in an order drawn
/// from `seed` among those of one size. Each goes to test if that brings the classes' shares there
/// closer to `test_share`, in squares, and else to train. So below a half a class in a single group
/// stays in train, unless many others share that group. Neither side is ever empty.
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
    // Sorted by group, so that the order in which items come does not count.
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
    // Few large groups can all have gone to one side: the one that costs least changes it.
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

/// Classes of `labels` that none of the items has.
fn missing(labels: &[usize], items: &[usize]) -> Vec<usize> {
    let mut found: BTreeMap<usize, bool> = labels.iter().map(|&class| (class, false)).collect();
    for &item in items {
        found.insert(labels[item], true);
    }
    found.into_iter().filter(|&(_, found)| !found).map(|(class, _)| class).collect()
}

/// How far the shares of the classes in test are from what they should be.
struct Balance<'a> {
    labels: &'a [usize],
    share: f64,
    /// For each class, its items and those of them in test.
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

    /// By how much the sum of squared deviations grows when items go to test (`sign` 1), or come
    /// back (-1).
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
