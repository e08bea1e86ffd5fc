//! Geometry of hidden states: effective rank, mean cosine, spectrum, principal axes, and the curvature of the losses.
//!
//! States are row-major `[n, width]` in f32; everything is computed in f64.

mod align;
mod cosines;
mod curvature;

pub use align::align;
pub use cosines::{cosine_histogram, cosine_matrix};
pub use curvature::{
    Curvature, Lift, Prediction, ProjectorWeights, cosine_hessian, cross_entropy_hessian,
    curvature, nitp_hessian,
};

use nalgebra::{DMatrix, SymmetricEigen};

/// The geometry of one set of hidden states.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// `exp(-Σ q_i ln q_i)` of the normalised covariance spectrum, 1 to `width`
    /// (Roy & Vetterli 2007).
    pub effective_rank: f64,
    /// Mean cosine of pairs of distinct states, -1 to 1.
    pub mean_cosine: f64,
    /// Eigenvalues of the covariance, largest first, `width` of them.
    pub spectrum: Vec<f64>,
    /// Coordinates on the three principal axes, `[n, 3]`.
    pub projected: Vec<[f32; 3]>,
}

/// Geometry of `n = states.len() / width` states.
///
/// # Panics
/// If `width` is 0 or does not divide the number of elements, or there are fewer than 2 states.
pub fn geometry(states: &[f32], width: usize) -> Geometry {
    let centered = centered(states, width);
    let (spectrum, axes) = covariance_eigen(&centered);
    let mut projected = vec![[0.0; 3]; centered.nrows()];
    for (axis, direction) in axes.iter().take(3).enumerate() {
        let coordinates = &centered * direction;
        for (point, &x) in projected.iter_mut().zip(coordinates.iter()) {
            point[axis] = x as f32;
        }
    }
    Geometry {
        effective_rank: effective_rank(&spectrum),
        mean_cosine: mean_cosine(states, width),
        spectrum,
        projected,
    }
}

/// `exp` of the entropy of the eigenvalues as a distribution; 1 if all states are equal.
pub fn effective_rank(spectrum: &[f64]) -> f64 {
    let total: f64 = spectrum.iter().filter(|&&e| e > 0.0).sum();
    if total <= 0.0 {
        return 1.0;
    }
    let entropy: f64 =
        spectrum.iter().map(|e| e / total).filter(|&q| q > 0.0).map(|q| -q * q.ln()).sum();
    entropy.exp()
}

/// `(|Σ u_i|² - n) / (n (n - 1))` over unit vectors u_i; zero states count as orthogonal to all.
///
/// # Panics
/// As [`geometry`].
pub fn mean_cosine(states: &[f32], width: usize) -> f64 {
    let n = rows(states, width);
    let mut sum = vec![0.0; width];
    let mut squares = 0.0; // Σ |u_i|²: n, unless there are zero states
    for state in states.chunks_exact(width) {
        let norm = state.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            squares += 1.0;
            sum.iter_mut().zip(state).for_each(|(sum, &x)| *sum += f64::from(x) / norm);
        }
    }
    let length: f64 = sum.iter().map(|x| x * x).sum();
    (length - squares) / (n as f64 * (n as f64 - 1.0))
}

fn rows(states: &[f32], width: usize) -> usize {
    assert!(width > 0 && states.len().is_multiple_of(width), "states are [n, width]");
    let n = states.len() / width;
    assert!(n >= 2, "geometry needs at least two states");
    n
}

fn centered(states: &[f32], width: usize) -> DMatrix<f64> {
    let n = rows(states, width);
    let mut x = DMatrix::from_row_iterator(n, width, states.iter().map(|&x| f64::from(x)));
    for mut column in x.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    x
}

/// Eigenvalues of `xᵀ x / (n - 1)`, largest first, and their unit directions.
fn covariance_eigen(centered: &DMatrix<f64>) -> (Vec<f64>, Vec<nalgebra::DVector<f64>>) {
    let covariance = centered.tr_mul(centered) / (centered.nrows() as f64 - 1.0);
    let eigen = SymmetricEigen::new(covariance);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    (
        order.iter().map(|&i| eigen.eigenvalues[i].max(0.0)).collect(),
        order.iter().map(|&i| eigen.eigenvectors.column(i).into_owned()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States with variance 1 on `active` of `width` axes.
    fn axes(active: usize, width: usize) -> Vec<f32> {
        let mut states = Vec::new();
        for axis in 0..active {
            for sign in [-1.0, 1.0] {
                let mut state = vec![0.0; width];
                state[axis] = sign;
                states.extend(state);
            }
        }
        states
    }

    #[test]
    fn effective_rank_counts_equal_directions() {
        for active in 1..=6 {
            let found = geometry(&axes(active, 6), 6);
            assert!((found.effective_rank - active as f64).abs() < 1e-9);
        }
        assert_eq!(geometry(&[2.0; 12], 3).effective_rank, 1.0);
    }

    #[test]
    fn mean_cosine_is_that_of_all_pairs() {
        let states: Vec<f32> = (0..35).map(|i| ((i * i) as f32 * 0.37).sin() + 0.2).collect();
        let unit: Vec<Vec<f64>> = states
            .chunks(5)
            .map(|s| {
                let norm = s.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                s.iter().map(|&x| f64::from(x) / norm).collect()
            })
            .collect();
        let mut total = 0.0;
        for i in 0..7 {
            for j in (0..7).filter(|&j| j != i) {
                total += unit[i].iter().zip(&unit[j]).map(|(a, b)| a * b).sum::<f64>();
            }
        }
        assert!((mean_cosine(&states, 5) - total / 42.0).abs() < 1e-12);
        assert!((mean_cosine(&[1.0, 2.0, 2.0, 4.0, 3.0, 6.0], 2) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn principal_axes_keep_the_variance() {
        let states: Vec<f32> =
            (0..300).map(|i| (i as f32 * 1.7).sin() * (1 + i % 3) as f32).collect();
        let found = geometry(&states, 3);
        let spread: f64 = (0..3)
            .map(|axis| {
                found.projected.iter().map(|p| f64::from(p[axis]).powi(2)).sum::<f64>() / 99.0
            })
            .sum();
        assert!((spread - found.spectrum.iter().sum::<f64>()).abs() < 1e-4);
        assert!(found.spectrum.windows(2).all(|w| w[0] >= w[1]));
    }
}
