//! Cross-entropy of a chunk of logits. The gradient replaces the logits in place. A step holds the logits of one chunk
//! at a time, never `[tokens, vocab]`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{exp, max, reduce, sum};
use crate::tensor::{OpMemory, Use, View};

/// `loss = ln Σ_j e^logit_j - logit_label`, in nats; with a gradient also
/// `logits <- weight scale (softmax(logits) - onehot(label))`.
/// A label outside of the vocabulary (by convention `u32::MAX`) is ignored: the row's loss and gradient are 0.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Logits, `[rows, vocab]`; overwritten by their gradient if there is one.
    pub logits: View,
    /// The correct entry of each row, u32, `[rows]`.
    pub labels: View,
    /// Loss of each row in nats, `[rows]`.
    pub loss: View,
    /// Scale of the gradient; with `None` the logits are unchanged.
    pub gradient: Option<CrossEntropyGradient>,
    /// Number of tokens in the chunk.
    pub rows: usize,
    /// Number of vocabulary entries.
    pub vocab: usize,
}

/// Scale of the gradient of a [`CrossEntropy`].
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyGradient {
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// Index of the scalar that is the scale.
    pub index: usize,
    /// The weight of the loss.
    pub weight: f64,
}

impl CrossEntropyGradient {
    /// The factor on the gradient.
    pub(super) fn factor<R: Real>(&self, memory: &OpMemory<R>) -> R {
        R::of(self.weight) * memory.read(self.scalars)[self.index]
    }
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = vec![Use::read(self.labels), Use::write(self.loss)];
        match self.gradient {
            None => uses.push(Use::read(self.logits)),
            Some(gradient) => {
                uses.extend([Use::read_write(self.logits), Use::read(gradient.scalars)]);
            }
        }
        uses
    }

    fn flops(&self) -> f64 {
        let per_logit = if self.gradient.is_some() { 5.0 } else { 3.0 };
        per_logit * self.rows as f64 * self.vocab as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (labels, loss) = (memory.read_u32(self.labels), memory.write(self.loss));
        // Loss of a row, its largest logit and Σ e^(logit - largest).
        let row_loss = |row: &[R], label: u32| {
            let largest = row.iter().copied().fold(R::neg_infinity(), R::max);
            let total: R = row.iter().map(|&x| (x - largest).exp()).sum();
            let right = row.get(label as usize);
            (right.map(|&x| total.ln() - (x - largest)), largest, total)
        };
        let Some(gradient) = self.gradient else {
            let rows = memory.read(self.logits).chunks_exact(self.vocab);
            for ((row, &label), loss) in rows.zip(labels).zip(loss) {
                *loss = row_loss(row, label).0.unwrap_or(R::zero());
            }
            return;
        };
        let scale = gradient.factor(memory);
        let rows = memory.write(self.logits).chunks_exact_mut(self.vocab);
        for ((row, &label), loss) in rows.zip(labels).zip(loss) {
            let (Some(value), largest, total) = row_loss(row, label) else {
                *loss = R::zero();
                row.fill(R::zero());
                continue;
            };
            *loss = value;
            for (j, x) in row.iter_mut().enumerate() {
                let onehot = if j == label as usize { R::one() } else { R::zero() };
                *x = scale * ((*x - largest).exp() / total - onehot);
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        // A task has several small rows or one large row.
        let rows = (TASK / self.vocab).max(1);
        let block = rows * self.vocab;
        let (labels, loss) = (memory.read_u32(self.labels), memory.write(self.loss));
        let tasks = loss.par_chunks_mut(rows).zip(labels.par_chunks(rows));
        match self.gradient {
            None => tasks
                .zip(memory.read(self.logits).par_chunks(block))
                .for_each(|((loss, labels), logits)| loss_rows(logits, labels, loss, self.vocab)),
            Some(gradient) => {
                let scale = gradient.factor(memory);
                tasks.zip(memory.write(self.logits).par_chunks_mut(block)).for_each(
                    |((loss, labels), logits)| {
                        gradient_rows(logits, labels, loss, self.vocab, scale);
                    },
                );
            }
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let mut bindings =
            vec![("logits", self.logits), ("labels", self.labels), ("loss", self.loss)];
        let mut uniform = Uniform::new().size(self.rows).size(self.vocab);
        let entry = match self.gradient {
            None => "cross_entropy",
            Some(gradient) => {
                bindings.push(("scalars", gradient.scalars));
                uniform = uniform.size(gradient.index).real(gradient.weight as f32);
                "cross_entropy_gradient"
            }
        };
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("cross_entropy"),
                entry,
                constants: Vec::new(),
            },
            bindings,
            uniform,
            grid: linear_grid(self.rows),
        }]
    }
}

/// Logits of a task: enough to pay for its overhead.
pub(super) const TASK: usize = 1 << 14;

/// Logits of a tile, which fits the innermost cache. Each tile subtracts its own largest logit, so that the logits are
/// read from memory twice (once without a gradient) instead of three times. A sum over tiles also has a smaller
/// rounding error than one long sum.
const TILE: usize = 2048;

/// A tile's share of a row's `Σ e^logit`: the sum is of `e^(logit - largest)`.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub largest: f32,
    pub sum: f32,
}

/// The largest logit of a row and the sum of its `e^(logit - largest)`.
fn combine(shares: &[Share]) -> Share {
    let largest = shares.iter().fold(f32::NEG_INFINITY, |m, share| m.max(share.largest));
    let sum = shares.iter().map(|share| share.sum * (share.largest - largest).exp()).sum();
    Share { largest, sum }
}

/// The share of a whole row.
#[inline(always)]
pub(super) fn row_share(row: &[f32], shares: &mut Vec<Share>) -> Share {
    shares.clear();
    for tile in row.chunks(TILE) {
        let largest = max(tile);
        shares.push(Share { largest, sum: reduce(tile, tile, |x, _| exp(x - largest)) });
    }
    combine(shares)
}

/// `row <- scale softmax(row)`; returns the share of the row before.
#[inline(always)]
pub(super) fn scaled_softmax(row: &mut [f32], shares: &mut Vec<Share>, scale: f32) -> Share {
    shares.clear();
    for tile in row.chunks_mut(TILE) {
        let largest = max(tile);
        tile.iter_mut().for_each(|x| *x = exp(*x - largest));
        shares.push(Share { largest, sum: sum(tile) });
    }
    let Share { largest, sum } = combine(shares);
    for (tile, share) in row.chunks_mut(TILE).zip(&*shares) {
        let factor = scale * (share.largest - largest).exp() / sum;
        tile.iter_mut().for_each(|x| *x *= factor);
    }
    Share { largest, sum }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn loss_rows(logits: &[f32], labels: &[u32], loss: &mut [f32], vocab: usize) {
    let mut shares = Vec::with_capacity(vocab.div_ceil(TILE));
    for ((row, &label), loss) in logits.chunks_exact(vocab).zip(labels).zip(loss) {
        let Some(&right) = row.get(label as usize) else {
            *loss = 0.0;
            continue;
        };
        let Share { largest, sum } = row_share(row, &mut shares);
        *loss = sum.ln() - (right - largest);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn gradient_rows(logits: &mut [f32], labels: &[u32], loss: &mut [f32], vocab: usize, scale: f32) {
    let mut shares = Vec::with_capacity(vocab.div_ceil(TILE));
    for ((row, &label), loss) in logits.chunks_exact_mut(vocab).zip(labels).zip(loss) {
        let Some(&right) = row.get(label as usize) else {
            *loss = 0.0;
            row.fill(0.0);
            continue;
        };
        let Share { largest, sum } = scaled_softmax(row, &mut shares, scale);
        *loss = sum.ln() - (right - largest);
        row[label as usize] -= scale;
    }
}
