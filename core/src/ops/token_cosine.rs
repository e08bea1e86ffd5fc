//! A regulariser without a target: the mean cosine of the states at different positions of a sequence (an ablation of
//! arXiv 2605.24956). The sum over all pairs follows from the sum `s` of the unit vectors `u_t`: `S = (abs(s)² - n) /
//! (n (n - 1))`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, axpy, dot};
use crate::tensor::{OpMemory, Use, View};

/// A state with at most this squared length counts as 0: it is orthogonal to all others, and gets no gradient.
const SHORTEST_SQUARED: f64 = 1e-24;

/// `loss = S` of each sequence and, in training,
/// `dh_t (+)= weight * scalars[index] * 2 (s - (s·u_t) u_t) / (abs(h_t) n (n - 1))`, with `n` the
/// context. A sequence of one position has no pair: its loss and gradient are 0.
#[derive(Clone, Copy, Debug)]
pub struct TokenCosine {
    /// States, `[rows * context, width]`.
    pub h: View,
    /// Mean cosine of each sequence, `[rows]`.
    pub loss: View,
    /// The gradient; `None` outside of training.
    pub gradient: Option<TokenCosineGradient>,
    /// Scratch: `1 / abs(h_t)`, `[rows * context]`.
    pub inverse: View,
    /// Scratch: sums of the unit vectors of a segment, `[TokenCosine::partial_rows(rows, context),
    /// width]`.
    pub partial: View,
    /// Scratch: sums of the unit vectors of a sequence, `[rows, width]`.
    pub unit_sum: View,
    /// Number of sequences.
    pub rows: usize,
    /// Positions of a sequence.
    pub context: usize,
    /// Hidden size.
    pub width: usize,
}

/// Destination and scale of the gradient of a [`TokenCosine`].
#[derive(Clone, Copy, Debug)]
pub struct TokenCosineGradient {
    /// Gradient of the states, `[rows * context, width]`.
    pub dh: View,
    /// Add to `dh` instead of overwriting it.
    pub accumulate: bool,
    /// lambda.
    pub weight: f64,
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// Index of the scalar that is the scale: `scalars::NITP_SCALE`, here 1 / (sequences of a step).
    pub index: usize,
}

impl TokenCosine {
    /// Positions of a task.
    const SEGMENT: usize = 64;

    /// Rows of the scratch tensor `partial`.
    pub fn partial_rows(rows: usize, context: usize) -> usize {
        rows * context.div_ceil(Self::SEGMENT)
    }

    /// One over the number of ordered pairs, or 0 where there is none.
    fn per_pair(&self) -> f64 {
        let pairs = self.context * (self.context - 1);
        if pairs == 0 { 0.0 } else { 1.0 / pairs as f64 }
    }
}

impl Op for TokenCosine {
    fn name(&self) -> &'static str {
        "token_cosine"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = vec![
            Use::read(self.h),
            Use::write(self.loss),
            Use::write(self.inverse),
            Use::write(self.partial),
            Use::write(self.unit_sum),
        ];
        if let Some(gradient) = self.gradient {
            uses.extend([
                Use::read(gradient.scalars),
                Use::output(gradient.dh, gradient.accumulate),
            ]);
        }
        uses
    }

    fn flops(&self) -> f64 {
        let per_element = if self.gradient.is_some() { 9.0 } else { 4.0 };
        per_element * (self.rows * self.context * self.width) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (h, loss) = (memory.read(self.h), memory.write(self.loss));
        let mut dh = self.gradient.map(|gradient| memory.write(gradient.dh));
        let per_pair = R::of(self.per_pair());
        for row in 0..self.rows {
            let states = &h[row * self.context * self.width..][..self.context * self.width];
            let inverses: Vec<R> = states
                .chunks_exact(self.width)
                .map(|h| {
                    let squares: R = h.iter().map(|&x| x * x).sum();
                    if squares > R::of(SHORTEST_SQUARED) {
                        squares.sqrt().recip()
                    } else {
                        R::zero()
                    }
                })
                .collect();
            let unit = |t: usize, i: usize| states[t * self.width + i] * inverses[t];
            let s: Vec<R> =
                (0..self.width).map(|i| (0..self.context).map(|t| unit(t, i)).sum()).collect();
            let squares: R = s.iter().map(|&x| x * x).sum();
            loss[row] = (squares - R::of(self.context as f64)) * per_pair;
            let (Some(gradient), Some(dh)) = (self.gradient, &mut dh) else { continue };
            let factor =
                R::of(2.0 * gradient.weight) * memory.read(gradient.scalars)[gradient.index];
            for t in 0..self.context {
                let along: R = (0..self.width).map(|i| s[i] * unit(t, i)).sum();
                for i in 0..self.width {
                    let slope = factor * per_pair * (s[i] - along * unit(t, i)) * inverses[t];
                    let out = &mut dh[(row * self.context + t) * self.width + i];
                    *out = if gradient.accumulate { *out + slope } else { slope };
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (h, loss) = (memory.read(self.h), memory.write(self.loss));
        let inverse = memory.write(self.inverse);
        let (partial, unit_sum) = (memory.write(self.partial), memory.write(self.unit_sum));
        let width = self.width;
        let sequence = self.context * width;
        let segments = self.context.div_ceil(Self::SEGMENT);
        let per_pair = self.per_pair() as f32;
        h.par_chunks(sequence)
            .zip(inverse.par_chunks_mut(self.context))
            .zip(partial.par_chunks_mut(segments * width))
            .zip(unit_sum.par_chunks_mut(width).zip(loss))
            .for_each(|(((h, inverse), partial), (s, loss))| {
                h.par_chunks(Self::SEGMENT * width)
                    .zip(inverse.par_chunks_mut(Self::SEGMENT))
                    .zip(partial.par_chunks_mut(width))
                    .for_each(|((h, inverse), partial)| sum_units(h, inverse, partial));
                s.fill(0.0);
                for partial in partial.chunks_exact(width) {
                    s.iter_mut().zip(partial).for_each(|(s, &part)| *s += part);
                }
                *loss = (square(s) - self.context as f32) * per_pair;
            });
        let Some(gradient) = self.gradient else { return };
        let factor =
            2.0 * gradient.weight as f32 * memory.read(gradient.scalars)[gradient.index] * per_pair;
        let (dh, block) = (memory.write(gradient.dh), ROWS_PER_TASK * width);
        dh.par_chunks_mut(sequence)
            .zip(h.par_chunks(sequence).zip(inverse.par_chunks(self.context)))
            .zip(unit_sum.par_chunks(width))
            .for_each(|((dh, (h, inverse)), s)| {
                dh.par_chunks_mut(block)
                    .zip(h.par_chunks(block).zip(inverse.par_chunks(ROWS_PER_TASK)))
                    .for_each(|(dh, (h, inverse))| {
                        gradient_rows(h, inverse, s, factor, dh, gradient.accumulate);
                    });
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let segments = self.context.div_ceil(Self::SEGMENT);
        let factor = self.gradient.map_or(0.0, |gradient| 2.0 * gradient.weight * self.per_pair());
        let uniform = Uniform::new()
            .size(self.rows)
            .size(self.context)
            .size(self.width)
            .size(segments)
            .size(Self::SEGMENT)
            .size(self.gradient.map_or(0, |gradient| gradient.index))
            .real(self.per_pair() as f32)
            .real(factor as f32);
        let dispatch = |entry, bindings, grid| Dispatch {
            kernel: kernel(entry),
            bindings,
            uniform: uniform.clone(),
            grid,
        };
        let tokens = linear_grid(self.rows * self.context);
        let [sums_x, sums_y, _] = linear_grid(self.rows * segments);
        let mut dispatches = vec![
            dispatch("inverse_lengths", vec![("h", self.h), ("inverse", self.inverse)], tokens),
            dispatch(
                "segment_sums",
                vec![("h", self.h), ("inverse", self.inverse), ("partial", self.partial)],
                [sums_x, sums_y, self.width.div_ceil(64) as u32],
            ),
            dispatch(
                "token_cosine",
                vec![("partial", self.partial), ("unit_sum", self.unit_sum), ("loss", self.loss)],
                linear_grid(self.rows),
            ),
        ];
        if let Some(TokenCosineGradient { dh, accumulate, scalars, .. }) = self.gradient {
            let bindings = vec![
                ("h", self.h),
                ("inverse", self.inverse),
                ("unit_sum", self.unit_sum),
                ("scalars", scalars),
                ("dh", dh),
            ];
            let mut gradient = dispatch("token_cosine_gradient", bindings, tokens);
            gradient.kernel.constants.push(("ACCUMULATE", f64::from(u8::from(accumulate))));
            dispatches.push(gradient);
        }
        dispatches
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn sum_units(h: &[f32], inverse: &mut [f32], partial: &mut [f32]) {
    partial.fill(0.0);
    for (h, inverse) in h.chunks_exact(partial.len()).zip(inverse) {
        let squares = dot(h, h);
        *inverse = if squares > SHORTEST_SQUARED as f32 { 1.0 / squares.sqrt() } else { 0.0 };
        axpy(partial, *inverse, h);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn square(x: &[f32]) -> f32 {
    dot(x, x)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn gradient_rows(
    h: &[f32],
    inverse: &[f32],
    s: &[f32],
    factor: f32,
    dh: &mut [f32],
    accumulate: bool,
) {
    let rows = h.chunks_exact(s.len()).zip(dh.chunks_exact_mut(s.len()));
    for ((h, dh), &inverse) in rows.zip(inverse) {
        let of_s = factor * inverse;
        let of_h = of_s * dot(s, h) * inverse * inverse;
        for ((dh, &h), &s) in dh.iter_mut().zip(h).zip(s) {
            let slope = of_s * s - of_h * h;
            *dh = if accumulate { *dh + slope } else { slope };
        }
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("token_cosine"), entry, constants: Vec::new() }
}
