//! The NITP loss and its gradient in one pass: the prediction at `t` against the target at `t + 1`,
//! the residual stream after a shallow block (arXiv 2605.24956, section 3 and its ablations).

mod fast;

use super::Op;
use crate::config::{NitpLoss, Shift};
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// A vector with at most this squared length counts as 0: its cosine with any vector is 0, and the cosine loss has no
/// gradient in it.
const SHORTEST_SQUARED: f64 = 1e-24;

/// Loss of each pair `(p_t, z_{t + shift})` of one sequence, and the gradient of `weight * scalars[index] * Σ_pairs
/// loss`.
///
/// With `u`, `v` the unit vectors of `p`, `z`; `e = p - z`; `s = softmax(p)`, `q = softmax(z)`:
///
/// | kind | loss | in `p` | in `z` |
/// | --- | --- | --- | --- |
/// | cosine | `1 - c`, `c = u·v` | `(c u - v) / abs(p)` | `(c v - u) / abs(z)` |
/// | mse | `mean e²` | `2 e / width` | minus that in `p` |
/// | smooth l1 | `mean (e² / 2 or abs(e) - 1/2)` | `clamp(e, -1, 1) / width` | minus that in `p` |
/// | kl | `Σ q (ln q - ln s)` | `s - q` | `q (ln q - ln s - loss)` |
///
/// A vector shorter than 1e-12 counts as 0 in the cosine, and gets no gradient.
/// The terms of the KL divergence in this form cancel: if `s` and `q` are nearly uniform, terms are of the order of `q`
/// with both signs, and their sum is far smaller. With `r = ln s - ln q` it is computed as `Σ q (e^r - 1 - r)`. This is
/// equal, since `Σ q (e^r - 1) = Σ s - Σ q = 0`, and has no negative term. A common error `ε` of all `r`, from `ln Σ
/// e^p - ln Σ e^z`, changes it by at most `ε² / 2`.
#[derive(Clone, Copy, Debug)]
pub struct Nitp {
    /// Predictions, `[rows * context, width]`.
    pub p: View,
    /// Targets, at their own positions, `[rows * context, width]`.
    pub z: View,
    /// 1 if the pair that starts at this position counts, else 0; u32, `[rows * context]`. With [`Shift::Next`] the
    /// last position of a sequence has no pair, whatever its mask.
    pub mask: View,
    /// Loss of each pair without scale, 0 for pairs that do not count, `[rows * context]`.
    pub loss: View,
    /// The gradient; `None` outside of training.
    pub gradient: Option<NitpGradient>,
    /// The kind of loss.
    pub kind: NitpLoss,
    /// The position of a prediction's target.
    pub shift: Shift,
    /// Number of sequences.
    pub rows: usize,
    /// Positions of a sequence.
    pub context: usize,
    /// Length of a vector: the hidden size, or the size of a vocabulary.
    pub width: usize,
}

/// Destination and scale of the gradient of a [`Nitp`].
#[derive(Clone, Copy, Debug)]
pub struct NitpGradient {
    /// Gradient of the predictions, `[rows * context, width]`; 0 for pairs that do not count.
    pub dp: View,
    /// Gradient of the targets, `[rows * context, width]`; 0 for targets without a pair that counts. `None` is the
    /// stop-gradient.
    pub dz: Option<View>,
    /// lambda.
    pub weight: f64,
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// Index of the scalar that is the scale.
    pub index: usize,
}

impl Nitp {
    /// Positions from a prediction to its target.
    fn distance(&self) -> usize {
        match self.shift {
            Shift::Current => 0,
            Shift::Next => 1,
        }
    }

    /// Pairs of one sequence.
    fn pairs(&self) -> usize {
        self.context - self.distance()
    }
}

impl Op for Nitp {
    fn name(&self) -> &'static str {
        "nitp"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses =
            vec![Use::read(self.p), Use::read(self.z), Use::read(self.mask), Use::write(self.loss)];
        if let Some(gradient) = self.gradient {
            uses.extend([Use::read(gradient.scalars), Use::write(gradient.dp)]);
            uses.extend(gradient.dz.map(Use::write));
        }
        uses
    }

    fn flops(&self) -> f64 {
        // Three dot products, and for each gradient two multiply-adds per element.
        let per_element = match self.gradient {
            None => 6.0,
            Some(NitpGradient { dz: None, .. }) => 10.0,
            Some(NitpGradient { dz: Some(_), .. }) => 14.0,
        };
        per_element * (self.rows * self.pairs() * self.width) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (p, z, mask) = (memory.read(self.p), memory.read(self.z), memory.read_u32(self.mask));
        let loss = memory.write(self.loss);
        loss.fill(R::zero());
        let (mut dp, mut dz, mut factor) = (None, None, R::zero());
        if let Some(gradient) = self.gradient {
            dp = Some(memory.write(gradient.dp));
            dz = gradient.dz.map(|dz| memory.write(dz));
            factor = R::of(gradient.weight) * memory.read(gradient.scalars)[gradient.index];
        }
        dp.iter_mut().chain(&mut dz).for_each(|gradient| gradient.fill(R::zero()));
        for t in 0..self.rows * self.context {
            if t % self.context >= self.pairs() || mask[t] == 0 {
                continue;
            }
            let at = t * self.width..(t + 1) * self.width;
            let target = t + self.distance();
            let at_target = target * self.width..(target + 1) * self.width;
            let (value, in_p, in_z) = compare(self.kind, &p[at.clone()], &z[at_target.clone()]);
            loss[t] = value;
            if let Some(dp) = &mut dp {
                dp[at].iter_mut().zip(in_p).for_each(|(to, slope)| *to = factor * slope);
            }
            if let Some(dz) = &mut dz {
                dz[at_target].iter_mut().zip(in_z).for_each(|(to, slope)| *to = factor * slope);
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        fast::run(self, memory);
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let mut bindings =
            vec![("p", self.p), ("z", self.z), ("mask", self.mask), ("loss", self.loss)];
        let (mut entry, mut weight, mut index) = ("nitp", 0.0, 0);
        if let Some(gradient) = self.gradient {
            bindings.extend([("scalars", gradient.scalars), ("dp", gradient.dp)]);
            bindings.extend(gradient.dz.map(|dz| ("dz", dz)));
            entry = if gradient.dz.is_some() { "nitp_both_gradients" } else { "nitp_gradient" };
            (weight, index) = (gradient.weight, gradient.index);
        }
        let kind = match self.kind {
            NitpLoss::Cosine => 0.0,
            NitpLoss::Mse => 1.0,
            NitpLoss::SmoothL1 => 2.0,
            NitpLoss::Kl => 3.0,
        };
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("nitp"),
                entry,
                constants: vec![("KIND", kind)],
            },
            bindings,
            uniform: Uniform::new()
                .size(self.rows * self.context)
                .size(self.context)
                .size(self.width)
                .size(self.distance())
                .size(index)
                .real(weight as f32),
            grid: linear_grid(self.rows * self.context),
        }]
    }
}

/// Loss of one pair, its gradient in `p` and its gradient in `z`.
fn compare<R: Real>(kind: NitpLoss, p: &[R], z: &[R]) -> (R, Vec<R>, Vec<R>) {
    let width = R::of(p.len() as f64);
    let negated = |x: &[R]| x.iter().map(|&x| -x).collect();
    let difference: Vec<R> = p.iter().zip(z).map(|(&p, &z)| p - z).collect();
    match kind {
        NitpLoss::Cosine => {
            let ((u, p_inverse), (v, z_inverse)) = (unit(p), unit(z));
            let c: R = u.iter().zip(&v).map(|(&u, &v)| u * v).sum();
            let slope = |a: &[R], b: &[R], inverse: R| {
                a.iter().zip(b).map(|(&a, &b)| (c * a - b) * inverse).collect()
            };
            (R::one() - c, slope(&u, &v, p_inverse), slope(&v, &u, z_inverse))
        }
        NitpLoss::Mse => {
            let two = R::of(2.0);
            let in_p: Vec<R> = difference.iter().map(|&e| two * e / width).collect();
            let in_z = negated(&in_p);
            (difference.iter().map(|&e| e * e).sum::<R>() / width, in_p, in_z)
        }
        NitpLoss::SmoothL1 => {
            let half = R::of(0.5);
            let value = |e: R| if e.abs() < R::one() { half * e * e } else { e.abs() - half };
            let in_p: Vec<R> =
                difference.iter().map(|e| e.max(-R::one()).min(R::one()) / width).collect();
            let in_z = negated(&in_p);
            (difference.iter().map(|&e| value(e)).sum::<R>() / width, in_p, in_z)
        }
        NitpLoss::Kl => {
            let (s, q) = (Distribution::softmax(p), Distribution::softmax(z));
            let offset = (s.total / q.total).ln();
            let ratio = |i: usize| s.logits[i] - q.logits[i] - offset;
            let (in_p, terms): (Vec<R>, Vec<R>) =
                (0..p.len()).map(|i| differences(s.of(i), q.of(i), ratio(i))).unzip();
            let divergence: R = terms.into_iter().sum();
            let in_z = (0..z.len()).map(|i| -q.of(i) * (ratio(i) + divergence)).collect();
            (divergence, in_p, in_z)
        }
    }
}

/// `x / |x|` and `1 / |x|`; zeros for a vector that counts as 0.
fn unit<R: Real>(x: &[R]) -> (Vec<R>, R) {
    let squares: R = x.iter().map(|&x| x * x).sum();
    let inverse =
        if squares > R::of(SHORTEST_SQUARED) { squares.sqrt().recip() } else { R::zero() };
    (x.iter().map(|&x| x * inverse).collect(), inverse)
}

/// A softmax with its logarithms.
struct Distribution<R> {
    /// Logits minus the largest one.
    logits: Vec<R>,
    /// Sum of their exponentials.
    total: R,
}

impl<R: Real> Distribution<R> {
    fn softmax(x: &[R]) -> Self {
        let largest = x.iter().copied().fold(R::neg_infinity(), R::max);
        let logits: Vec<R> = x.iter().map(|&x| x - largest).collect();
        let total = logits.iter().map(|logit| logit.exp()).sum();
        Self { logits, total }
    }

    /// One probability.
    fn of(&self, index: usize) -> R {
        self.logits[index].exp() / self.total
    }
}

/// `s - q` and `s - q - q r` with `r = ln s - ln q`. For close `s` and `q` they are computed from `r`, which avoids
/// cancellation.
fn differences<R: Real>(s: R, q: R, ratio: R) -> (R, R) {
    if ratio.abs() < R::one() {
        let term = q * excess(ratio);
        (q * ratio + term, term)
    } else {
        (s - q, s - q - q * ratio)
    }
}

/// `e^x - 1 - x` for `x` in ±1, by its series `x² / 2 (1 + x / 3 (1 + x / 4 (…)))` up to `x²⁰`.
fn excess<R: Real>(x: R) -> R {
    let tail = (3..=20).rev().fold(R::one(), |tail, k| R::one() + tail * x / R::of(f64::from(k)));
    R::of(0.5) * x * x * tail
}
