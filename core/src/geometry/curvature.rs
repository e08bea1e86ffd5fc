//! Curvature of the losses at one hidden state: the Hessians of cross-entropy and of NITP with respect
//! to h (Lemma 3.1 and Theorem 3.2 of the paper). Everything in f64; matrices are `[rows, columns]`.

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use serde::{Deserialize, Serialize};

/// The projection head's matrices, `P(h) = down (silu(gate h) * (up h))`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectorWeights {
    /// `[inner, width]`.
    pub gate: DMatrix<f64>,
    /// `[inner, width]`.
    pub up: DMatrix<f64>,
    /// `[width, inner]`.
    pub down: DMatrix<f64>,
}

/// The operands of the NITP loss at one position.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction<'a> {
    /// P, or none if the state itself is the prediction.
    pub projector: Option<&'a ProjectorWeights>,
    /// The target z, `[width]`.
    pub target: DVector<f64>,
    /// lambda.
    pub weight: f64,
}

/// Curvature of the loss in h at one position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curvature {
    /// Eigenvalues of the cross-entropy's Hessian, largest first, `[width]`.
    pub cross_entropy: Vec<f64>,
    /// The curvature that NITP adds, if the model trains with NITP.
    pub nitp: Option<Lift>,
}

/// The curvature that NITP adds at one position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// Eigenvalues of lambda times the NITP loss's Hessian in h, largest first, `[width]`.
    pub eigenvalues: Vec<f64>,
    /// Curvature of both losses together along each eigenvector of the cross-entropy's Hessian, in
    /// the order of [`Curvature::cross_entropy`].
    pub lifted: Vec<f64>,
    /// s, the cosine of prediction and target.
    pub cosine: f64,
    /// r, the prediction's norm.
    pub norm: f64,
    /// lambda s / r^2: the curvature added to every direction of the prediction's space orthogonal to the prediction
    /// (Theorem 3.2).
    pub tangential: f64,
}

/// `Wᵀ (diag(p) - p pᵀ) W`, the Hessian of cross-entropy in h, `[width, width]`; p = softmax(W h)
/// of the unembedding W `[vocab, width]`. It does not depend on the label.
pub fn cross_entropy_hessian(unembedding: &DMatrix<f64>, h: &DVector<f64>) -> DMatrix<f64> {
    let logits = unembedding * h;
    let largest = logits.max();
    let weights = logits.map(|x| (x - largest).exp());
    let p = &weights / weights.sum();
    let mean = unembedding.tr_mul(&p);
    let mut weighted = unembedding.clone();
    for (mut row, &p) in weighted.row_iter_mut().zip(p.iter()) {
        row *= p;
    }
    unembedding.tr_mul(&weighted) - &mean * mean.transpose()
}

/// Lemma 3.1: the Hessian of `1 - cos(p, z)` in p, `(1/r²) [s (I - u uᵀ) + u Aᵀ + A uᵀ]` with
/// r = |p|, u = p/r, v = z/|z|, s = u·v, A = v - s u. Zero where p or z is.
pub fn cosine_hessian(p: &DVector<f64>, z: &DVector<f64>) -> DMatrix<f64> {
    let d = p.len();
    let (r, target) = (p.norm(), z.norm());
    if r == 0.0 || target == 0.0 {
        return DMatrix::zeros(d, d);
    }
    let (u, v) = (p / r, z / target);
    let s = u.dot(&v);
    let a = &v - &u * s;
    let cross = &u * a.transpose();
    let tangential = DMatrix::identity(d, d) - &u * u.transpose();
    (tangential * s + &cross + cross.transpose()) / (r * r)
}

/// The Hessian of `1 - cos(P(h), z)` in h: Lemma 3.1 carried through the projection head, with its
/// own second derivatives.
pub fn nitp_hessian(
    projector: Option<&ProjectorWeights>,
    h: &DVector<f64>,
    z: &DVector<f64>,
) -> DMatrix<f64> {
    let Some(ProjectorWeights { gate, up, down }) = projector else {
        return cosine_hessian(h, z);
    };
    let (g, x) = (gate * h, up * h);
    let silu = g.map(|g| g * sigmoid(g));
    let slope = g.map(|g| sigmoid(g) * (1.0 + g * (1.0 - sigmoid(g))));
    let bend = g.map(|g| sigmoid(g) * (1.0 - sigmoid(g)) * (2.0 + g * (1.0 - 2.0 * sigmoid(g))));
    let p = down * silu.component_mul(&x);
    let inner = scaled(gate, &slope.component_mul(&x)) + scaled(up, &silu);
    let jacobian = down * inner;
    // Weights of the activations' second derivatives in the loss.
    let c = down.tr_mul(&cosine_gradient(&p, z));
    let mixed = gate.tr_mul(&scaled(up, &c.component_mul(&slope)));
    let bent = gate.tr_mul(&scaled(gate, &c.component_mul(&bend).component_mul(&x)));
    jacobian.tr_mul(&(cosine_hessian(&p, z) * &jacobian)) + bent + &mixed + mixed.transpose()
}

/// Both losses at the hidden state `h [width]`.
pub fn curvature(
    unembedding: &DMatrix<f64>,
    h: &DVector<f64>,
    prediction: Option<Prediction<'_>>,
) -> Curvature {
    let hessian = cross_entropy_hessian(unembedding, h);
    let eigen = SymmetricEigen::new(hessian.clone());
    let mut order: Vec<usize> = (0..h.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let nitp = prediction.map(|Prediction { projector, target, weight }| {
        let added = nitp_hessian(projector, h, &target) * weight;
        let both = &hessian + &added;
        let p = match projector {
            Some(it) => {
                let g = &it.gate * h;
                &it.down * g.map(|g| g * sigmoid(g)).component_mul(&(&it.up * h))
            }
            None => h.clone(),
        };
        let (norm, length) = (p.norm(), target.norm());
        let cosine = if norm * length > 0.0 { p.dot(&target) / (norm * length) } else { 0.0 };
        let along = |&i: &usize| {
            let direction = eigen.eigenvectors.column(i);
            direction.dot(&(&both * direction))
        };
        let mut eigenvalues: Vec<f64> = added.symmetric_eigenvalues().iter().copied().collect();
        eigenvalues.sort_by(|a, b| b.total_cmp(a));
        Lift {
            eigenvalues,
            lifted: order.iter().map(along).collect(),
            cosine,
            norm,
            tangential: if norm > 0.0 { weight * cosine / (norm * norm) } else { 0.0 },
        }
    });
    Curvature { cross_entropy: order.iter().map(|&i| eigen.eigenvalues[i]).collect(), nitp }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `diag(factors) matrix`.
fn scaled(matrix: &DMatrix<f64>, factors: &DVector<f64>) -> DMatrix<f64> {
    let mut scaled = matrix.clone();
    for (mut row, &factor) in scaled.row_iter_mut().zip(factors.iter()) {
        row *= factor;
    }
    scaled
}

/// Gradient of `1 - cos(p, z)` in p.
fn cosine_gradient(p: &DVector<f64>, z: &DVector<f64>) -> DVector<f64> {
    let (r, target) = (p.norm(), z.norm());
    if r == 0.0 || target == 0.0 {
        return DVector::zeros(p.len());
    }
    let (u, v) = (p / r, z / target);
    let s = u.dot(&v);
    (u * s - v) / r
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(n: usize, seed: f64) -> DVector<f64> {
        DVector::from_fn(n, |i, _| (seed + 1.7 * i as f64).sin() + 0.3)
    }

    fn matrix(rows: usize, columns: usize, seed: f64) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |i, j| {
            (seed + 2.3 * i as f64 + 0.71 * j as f64).sin() * 0.6
        })
    }

    /// Central second differences of `f` at `h`.
    fn differences(h: &DVector<f64>, f: impl Fn(&DVector<f64>) -> f64) -> DMatrix<f64> {
        let step = 1e-4;
        DMatrix::from_fn(h.len(), h.len(), |i, j| {
            let at = |a: f64, b: f64| {
                let mut x = h.clone();
                x[i] += a * step;
                x[j] += b * step;
                f(&x)
            };
            (at(1.0, 1.0) - at(1.0, -1.0) - at(-1.0, 1.0) + at(-1.0, -1.0)) / (4.0 * step * step)
        })
    }

    fn assert_close(found: &DMatrix<f64>, expected: &DMatrix<f64>) {
        let worst = (found - expected).abs().max();
        assert!(worst <= 2e-6 * expected.abs().max().max(1.0), "{worst}");
    }

    fn one_minus_cosine(p: &DVector<f64>, z: &DVector<f64>) -> f64 {
        1.0 - p.dot(z) / (p.norm() * z.norm())
    }

    fn projector() -> ProjectorWeights {
        ProjectorWeights {
            gate: matrix(20, 5, 0.2),
            up: matrix(20, 5, 1.1),
            down: matrix(5, 20, 2.9),
        }
    }

    fn project(it: &ProjectorWeights, h: &DVector<f64>) -> DVector<f64> {
        let g = &it.gate * h;
        &it.down * g.map(|g| g * sigmoid(g)).component_mul(&(&it.up * h))
    }

    #[test]
    fn hessians_are_those_of_finite_differences() {
        let (h, z, w) = (vector(5, 0.4), vector(5, 2.0), matrix(11, 5, 0.9));
        let cross_entropy = |h: &DVector<f64>| {
            let logits = &w * h;
            logits.map(f64::exp).sum().ln() - logits[3]
        };
        assert_close(&cross_entropy_hessian(&w, &h), &differences(&h, cross_entropy));
        assert_close(&cosine_hessian(&h, &z), &differences(&h, |h| one_minus_cosine(h, &z)));
        let it = projector();
        let loss = |h: &DVector<f64>| one_minus_cosine(&project(&it, h), &z);
        assert_close(&nitp_hessian(Some(&it), &h, &z), &differences(&h, loss));
    }

    #[test]
    fn lemma_3_1() {
        let (p, z) = (vector(6, 0.3), vector(6, 0.9));
        let (r, hessian) = (p.norm(), cosine_hessian(&p, &z));
        let u = &p / r;
        let s = u.dot(&z) / z.norm();
        assert!(u.dot(&(&hessian * &u)).abs() < 1e-12, "no curvature along p");
        let mut w = vector(6, 5.0);
        w -= &u * u.dot(&w);
        let along = w.dot(&(&hessian * &w));
        assert!((along - s / (r * r) * w.norm_squared()).abs() < 1e-12);
    }

    #[test]
    fn theorem_3_2_flat_directions_are_lifted() {
        // A vocabulary of three: cross-entropy has curvature in at most two directions of eight.
        let (w, h) = (matrix(3, 8, 0.1), vector(8, 1.0));
        let target = &h + vector(8, 3.0) * 0.2;
        let prediction = Prediction { projector: None, target, weight: 0.8 };
        let found = curvature(&w, &h, Some(prediction));
        let flat = found.cross_entropy.iter().filter(|x| x.abs() < 1e-12).count();
        let lift = found.nitp.unwrap();
        assert_eq!(flat, 6);
        assert!(lift.cosine > 0.5 && lift.tangential > 0.0);
        let gained: f64 = lift.lifted.iter().sum::<f64>() - found.cross_entropy.iter().sum::<f64>();
        assert!((gained - 7.0 * lift.tangential).abs() < 1e-9, "the trace of d - 1 directions");
        assert!((gained - lift.eigenvalues.iter().sum::<f64>()).abs() < 1e-9);
        assert!(found.cross_entropy.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn zero_states_bend_nothing() {
        let (zero, z) = (DVector::zeros(4), vector(4, 1.0));
        assert_eq!(cosine_hessian(&zero, &z), DMatrix::zeros(4, 4));
        assert_eq!(cosine_hessian(&z, &zero), DMatrix::zeros(4, 4));
        let found = curvature(
            &matrix(7, 4, 0.5),
            &zero,
            Some(Prediction { projector: None, target: z, weight: 1.0 }),
        );
        assert_eq!(found.nitp.unwrap().tangential, 0.0);
    }
}
