//! Agreement of clusters with classes, from the table of counts of each pair of cluster and class.

use std::collections::BTreeMap;

use crate::Error;
use crate::error::{not_empty, same_length};

/// The agreement of clusters with classes. No score depends on the numbering of clusters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// 1 if each cluster has items of one class only, 0 if clusters give no information about classes
    /// (Rosenberg & Hirschberg 2007); `homogeneity_score` of scikit-learn.
    pub homogeneity: f64,
    /// 1 if each class is in one cluster only; `completeness_score`.
    pub completeness: f64,
    /// The harmonic mean of both; `v_measure_score`, MTEB's main score of clustering.
    pub v_measure: f64,
    /// Mutual information over the arithmetic mean of both entropies, 0 to 1;
    /// `normalized_mutual_info_score`. It equals the V-measure.
    pub normalized_mutual_information: f64,
    /// Share of pairs of items on which both agree, corrected for chance: at most 1, expected value 0 for random
    /// clusters, negative for less agreement than chance (Hubert & Arabie 1985); `adjusted_rand_score`.
    pub adjusted_rand_index: f64,
}

/// The agreement of a cluster and a class for each item, both `[items]`.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`].
pub fn agreement(clusters: &[usize], classes: &[usize]) -> Result<Agreement, Error> {
    same_length(("clusters", clusters.len()), ("classes", classes.len()))?;
    not_empty(classes, "classes")?;
    let mut of_cluster: BTreeMap<usize, f64> = BTreeMap::new();
    let mut of_class: BTreeMap<usize, f64> = BTreeMap::new();
    let mut of_both: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (&cluster, &class) in clusters.iter().zip(classes) {
        *of_cluster.entry(cluster).or_default() += 1.0;
        *of_class.entry(class).or_default() += 1.0;
        *of_both.entry((cluster, class)).or_default() += 1.0;
    }
    let items = classes.len() as f64;

    let information: f64 = of_both
        .iter()
        .map(|(&(cluster, class), &both)| {
            both / items * (items * both / (of_cluster[&cluster] * of_class[&class])).ln()
        })
        .sum();
    // Rounding may give a negative information for independent labels.
    let information = information.max(0.0);
    let (class_entropy, cluster_entropy) = (entropy(&of_class, items), entropy(&of_cluster, items));
    // A single class, or cluster, has no entropy to explain.
    let explained = |entropy: f64| if entropy == 0.0 { 1.0 } else { information / entropy };
    let (homogeneity, completeness) = (explained(class_entropy), explained(cluster_entropy));
    let v_measure = match homogeneity + completeness {
        0.0 => 0.0,
        sum => 2.0 * homogeneity * completeness / sum,
    };
    Ok(Agreement {
        homogeneity,
        completeness,
        v_measure,
        normalized_mutual_information: match (class_entropy + cluster_entropy) / 2.0 {
            0.0 => 1.0,
            mean => information / mean,
        },
        adjusted_rand_index: adjusted_rand_index(
            pairs(of_both.values()),
            pairs(of_cluster.values()),
            pairs(of_class.values()),
            items * (items - 1.0) / 2.0,
        ),
    })
}

/// Entropy in nats.
fn entropy(counts: &BTreeMap<usize, f64>, items: f64) -> f64 {
    -counts.values().map(|count| count / items * (count / items).ln()).sum::<f64>()
}

/// Number of pairs of items in the same group.
fn pairs<'a>(counts: impl Iterator<Item = &'a f64>) -> f64 {
    counts.map(|count| count * (count - 1.0) / 2.0).sum()
}

/// The index from the numbers of pairs that share cluster and class, the cluster, the class, and of all pairs.
fn adjusted_rand_index(both: f64, cluster: f64, class: f64, all: f64) -> f64 {
    // If all items are single, or all together, on both sides, chance gives the same table.
    if both == cluster && both == class {
        return 1.0;
    }
    let expected = cluster * class / all;
    (both - expected) / ((cluster + class) / 2.0 - expected)
}
