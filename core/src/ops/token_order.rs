//! Token order prediction (arXiv 2508.19228): logits rank the upcoming tokens by their distance. The loss is ListNet's,
//! a cross-entropy with a distribution over the tokens ahead instead of one label.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use super::cross_entropy::{CrossEntropyGradient, Share, TASK, row_share, scaled_softmax};
use crate::config::MAX_WINDOW;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// `loss = -Σ_v q_v ln softmax(logits)_v` and, with a gradient, `logits <- weight scale (softmax(logits) - q)`.
///
/// At position `t` the tokens ahead are `labels[t], labels[t + 1], ...`, at most `window` of them, up to the end of the
/// sequence or the first label outside of the vocabulary. Of a repeated token, the first occurrence counts. With `d`
/// the distance of token `v`, from 1, the paper's score is `window - d`, and `q` is the softmax of the scores of the
/// tokens ahead: `q_v` is proportional to `e^-d`. A position without tokens ahead has loss and gradient 0.
#[derive(Clone, Copy, Debug)]
pub struct TokenOrder {
    /// Logits, `[rows, vocab]`; overwritten by their gradient if there is one.
    pub logits: View,
    /// The next token of every position, u32, `[tokens]`.
    pub labels: View,
    /// Loss of each row in nats, `[rows]`.
    pub loss: View,
    /// Scale of the gradient; with `None` the logits are unchanged.
    pub gradient: Option<CrossEntropyGradient>,
    /// Number of rows.
    pub rows: usize,
    /// Position of the first row among the `tokens`.
    pub first: usize,
    /// Number of vocabulary entries.
    pub vocab: usize,
    /// Positions of a sequence.
    pub context: usize,
    /// Largest number of tokens ahead; at most [`MAX_WINDOW`].
    pub window: usize,
}

impl TokenOrder {
    /// The tokens ahead of a position, with their probabilities `q`.
    fn ahead<R: Real>(&self, labels: &[u32], t: usize) -> Vec<(usize, R)> {
        let end = (t / self.context + 1) * self.context;
        let ahead = labels[t..end.min(t + self.window)].iter();
        let mut order: Vec<(usize, R)> = Vec::new();
        for (place, &token) in ahead.enumerate() {
            if token as usize >= self.vocab {
                break;
            }
            if order.iter().all(|&(before, _)| before != token as usize) {
                order.push((token as usize, R::of(-(place as f64)).exp()));
            }
        }
        let total: R = order.iter().map(|&(_, share)| share).sum();
        order.iter_mut().for_each(|(_, share)| *share /= total);
        order
    }
}

impl Op for TokenOrder {
    fn name(&self) -> &'static str {
        "token_order"
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
        let log_sum = |row: &[R]| {
            let largest = row.iter().copied().fold(R::neg_infinity(), R::max);
            largest + row.iter().map(|&x| (x - largest).exp()).sum::<R>().ln()
        };
        let value = |row: &[R], log_sum: R, order: &[(usize, R)]| {
            order.iter().map(|&(token, share)| share * (log_sum - row[token])).sum()
        };
        let Some(gradient) = self.gradient else {
            let rows = memory.read(self.logits).chunks_exact(self.vocab);
            for (row, (logits, loss)) in rows.zip(loss).enumerate() {
                let order = self.ahead(labels, self.first + row);
                *loss = value(logits, log_sum(logits), &order);
            }
            return;
        };
        let scale: R = gradient.factor(memory);
        let rows = memory.write(self.logits).chunks_exact_mut(self.vocab);
        for (row, (logits, loss)) in rows.zip(loss).enumerate() {
            let order = self.ahead(labels, self.first + row);
            let log_sum = log_sum(logits);
            *loss = value(logits, log_sum, &order);
            let scale = if order.is_empty() { R::zero() } else { scale };
            logits.iter_mut().for_each(|x| *x = scale * (*x - log_sum).exp());
            order.iter().for_each(|&(token, share)| logits[token] -= scale * share);
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let rows = (TASK / self.vocab).max(1);
        let labels = memory.read_u32(self.labels);
        let orders = |task: usize, count: usize| -> Vec<Vec<(usize, f32)>> {
            let first = self.first + task * rows;
            (first..first + count).map(|t| self.ahead(labels, t)).collect()
        };
        let tasks = memory.write(self.loss).par_chunks_mut(rows).enumerate();
        let block = rows * self.vocab;
        match self.gradient {
            None => tasks.zip(memory.read(self.logits).par_chunks(block)).for_each(
                |((task, loss), logits)| {
                    loss_rows(logits, &orders(task, loss.len()), loss, self.vocab);
                },
            ),
            Some(gradient) => {
                let scale = gradient.factor(memory);
                tasks.zip(memory.write(self.logits).par_chunks_mut(block)).for_each(
                    |((task, loss), logits)| {
                        gradient_rows(logits, &orders(task, loss.len()), loss, self.vocab, scale);
                    },
                );
            }
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let mut bindings =
            vec![("logits", self.logits), ("labels", self.labels), ("loss", self.loss)];
        let (mut entry, mut index, mut weight) = ("token_order", 0, 0.0);
        if let Some(gradient) = self.gradient {
            bindings.push(("scalars", gradient.scalars));
            (entry, index, weight) = ("token_order_gradient", gradient.index, gradient.weight);
        }
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("token_order"),
                entry,
                constants: vec![("MAX_WINDOW", MAX_WINDOW as f64)],
            },
            bindings,
            uniform: Uniform::new()
                .size(self.rows)
                .size(self.vocab)
                .size(self.first)
                .size(self.context)
                .size(self.window)
                .size(index)
                .real(weight as f32),
            grid: linear_grid(self.rows),
        }]
    }
}

/// The loss of a row, from its logits before they are overwritten.
fn value(row: &[f32], share: Share, order: &[(usize, f32)]) -> f32 {
    let log_sum = share.sum.ln();
    order.iter().map(|&(token, q)| q * (log_sum - (row[token] - share.largest))).sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn loss_rows(logits: &[f32], orders: &[Vec<(usize, f32)>], loss: &mut [f32], vocab: usize) {
    let mut shares = Vec::new();
    for ((row, order), loss) in logits.chunks_exact(vocab).zip(orders).zip(loss) {
        *loss = value(row, row_share(row, &mut shares), order);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn gradient_rows(
    logits: &mut [f32],
    orders: &[Vec<(usize, f32)>],
    loss: &mut [f32],
    vocab: usize,
    scale: f32,
) {
    let mut shares = Vec::new();
    for ((row, order), loss) in logits.chunks_exact_mut(vocab).zip(orders).zip(loss) {
        if order.is_empty() {
            *loss = 0.0;
            row.fill(0.0);
            continue;
        }
        let before: Vec<f32> = order.iter().map(|&(token, _)| row[token]).collect();
        let Share { largest, sum } = scaled_softmax(row, &mut shares, scale);
        let log_sum = sum.ln();
        *loss = order.iter().zip(before).map(|(&(_, q), x)| q * (log_sum - (x - largest))).sum();
        order.iter().for_each(|&(token, q)| row[token] -= scale * q);
    }
}
