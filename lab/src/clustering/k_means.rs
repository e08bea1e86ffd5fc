//! k-means by Lloyd's iterations from k-means++ starts.
//! This is own code, because it is only two matrix products and an initialisation. linfa-clustering has fifty
//! dependencies, and counts the old center of a cluster as one more row of it.

use nalgebra::DMatrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::centroid::{means, nearest};
use crate::{Error, Features};

/// Number of starts, of which the best is kept; scikit-learn's `n_init` until 1.4.
const RESTARTS: usize = 10;

/// Largest number of iterations of one start; scikit-learn's `max_iter`.
const MAX_ITERATIONS: usize = 300;

/// The outcome of [`k_means`].
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The cluster of each row, `[rows]`.
    pub assignments: Vec<usize>,
    /// The sum over rows of the squared distance to the mean of their cluster, in squared units of
    /// the features.
    pub inertia: f64,
}

/// Assigns each row to one of `clusters` clusters so that squared Euclidean distances to the
/// clusters' means are small.
///
/// The best of ten starts by greedy k-means++ (Arthur & Vassilvitskii 2007; several candidates for
/// each center, as in scikit-learn's `KMeans`), each followed until no row changes its cluster, or
/// for 300 iterations. An empty cluster gets the row that is farthest from its own center, so no cluster is empty
/// unless there are fewer distinct rows than clusters. The same seed gives the same clusters.
///
/// # Errors
/// [`Error::Clusters`] for none, or more than there are rows.
pub fn k_means(features: &Features, clusters: usize, seed: u64) -> Result<Clusters, Error> {
    let rows = features.rows();
    if !(1..=rows).contains(&clusters) {
        return Err(Error::Clusters { clusters, rows });
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let starts = (0..RESTARTS).map(|_| {
        let centers = start(features, clusters, &mut random);
        lloyd(features, centers)
    });
    let best = starts.min_by(|a, b| a.inertia.total_cmp(&b.inertia));
    Ok(best.expect("there is a start"))
}

/// Follows Lloyd's iterations from `centers`, `[clusters, width]`.
fn lloyd(features: &Features, mut centers: DMatrix<f64>) -> Clusters {
    let mut assignments = Vec::new();
    for _ in 0..MAX_ITERATIONS {
        let mut next = nearest(features, &centers);
        fill_empty(features, &centers, &mut next);
        if next == assignments {
            break;
        }
        centers = means(features, &next, centers.nrows());
        assignments = next;
    }
    let distances = assignments.iter().enumerate();
    let inertia = distances.map(|(row, &it)| squared_distance(features, row, &centers, it)).sum();
    Clusters { assignments, inertia }
}

/// Assigns to each empty cluster the row farthest from its center, among rows of clusters with at least two rows.
fn fill_empty(features: &Features, centers: &DMatrix<f64>, assignments: &mut [usize]) {
    let mut sizes = vec![0; centers.nrows()];
    for &cluster in &*assignments {
        sizes[cluster] += 1;
    }
    if !sizes.contains(&0) {
        return;
    }
    let distance = |(row, &it): (usize, &usize)| squared_distance(features, row, centers, it);
    let mut distances: Vec<f64> = assignments.iter().enumerate().map(distance).collect();
    for cluster in (0..sizes.len()).filter(|&cluster| sizes[cluster] == 0).collect::<Vec<_>>() {
        let may_leave = (0..distances.len()).filter(|&row| sizes[assignments[row]] > 1);
        let Some(row) = may_leave.max_by(|&a, &b| distances[a].total_cmp(&distances[b])) else {
            return;
        };
        if distances[row] == 0.0 {
            return;
        }
        sizes[assignments[row]] -= 1;
        sizes[cluster] += 1;
        assignments[row] = cluster;
        distances[row] = 0.0;
    }
}

/// Centers by greedy k-means++, `[clusters, width]`: candidates for the next center are drawn with probabilities
/// proportional to the squared distance to the closest center so far; the candidate with the smallest resulting sum of
/// these distances is taken.
fn start(features: &Features, clusters: usize, random: &mut ChaCha8Rng) -> DMatrix<f64> {
    let candidates = 2 + (clusters as f64).ln() as usize;
    let norms: Vec<f64> = (0..features.rows())
        .map(|row| features.row(row).map(|(_, value)| value * value).sum())
        .collect();
    let mut chosen = vec![random.random_range(0..features.rows())];
    let mut distances = distances_to(features, &norms, chosen[0]);
    while chosen.len() < clusters {
        let tried = (0..candidates).map(|_| {
            let row = draw(&distances, random);
            let to_row = distances_to(features, &norms, row);
            let closest: Vec<f64> = to_row.iter().zip(&distances).map(|(a, b)| a.min(*b)).collect();
            (row, closest)
        });
        let sum = |(_, distances): &(usize, Vec<f64>)| distances.iter().sum::<f64>();
        let best = tried.min_by(|a, b| sum(a).total_cmp(&sum(b))).expect("there is a candidate");
        chosen.push(best.0);
        distances = best.1;
    }
    rows_of(features, &chosen)
}

/// Draws a row with probability proportional to its weight; uniformly if all weights are 0.
fn draw(weights: &[f64], random: &mut ChaCha8Rng) -> usize {
    let mut left = random.random::<f64>() * weights.iter().sum::<f64>();
    if left == 0.0 {
        return random.random_range(0..weights.len());
    }
    for (row, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return row;
        }
    }
    // Rounding may leave a remainder after the last weight.
    weights.iter().rposition(|&weight| weight > 0.0).expect("the sum of weights is not 0")
}

/// The squared distances of all rows to one of them.
fn distances_to(features: &Features, norms: &[f64], center: usize) -> Vec<f64> {
    let products = features.weighted(&rows_of(features, &[center]).as_view());
    let squares = products.iter().zip(norms).enumerate().map(|(row, (product, norm))| {
        // Its distance to itself is exactly 0, so that it is not drawn again.
        if row == center { 0.0 } else { (norm - 2.0 * product + norms[center]).max(0.0) }
    });
    squares.collect()
}

/// These rows as a dense matrix, `[chosen, width]`.
fn rows_of(features: &Features, chosen: &[usize]) -> DMatrix<f64> {
    let mut dense = DMatrix::zeros(chosen.len(), features.width());
    for (place, &row) in chosen.iter().enumerate() {
        for (column, value) in features.row(row) {
            dense[(place, column)] = value;
        }
    }
    dense
}

fn squared_distance(features: &Features, row: usize, centers: &DMatrix<f64>, center: usize) -> f64 {
    let mut difference = centers.row(center).into_owned();
    for (column, value) in features.row(row) {
        difference[column] -= value;
    }
    difference.norm_squared()
}
