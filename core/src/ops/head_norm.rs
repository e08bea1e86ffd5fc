//! RMSNorm of each query and key head of the packed projection, as in Qwen3 (arXiv 2505.09388, section 2). All query
//! heads share one gain, and all key heads another.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, dot};
use crate::tensor::{OpMemory, Use, View};

/// Sizes of a packed row: all query heads, then the key heads, then the value heads.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Token states.
    pub tokens: usize,
    /// Query heads.
    pub q_heads: usize,
    /// Key heads, and as many value heads.
    pub kv_heads: usize,
    /// Features of a head.
    pub head_dim: usize,
}

impl Heads {
    /// Elements of a packed row.
    fn width(self) -> usize {
        (self.q_heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Heads that are normalised.
    fn normed(self) -> usize {
        self.q_heads + self.kv_heads
    }

    fn uniform(self) -> Uniform {
        Uniform::new().size(self.tokens).size(self.q_heads).size(self.kv_heads).size(self.head_dim)
    }
}

/// `y = g * x * rstd` with `rstd = 1 / sqrt(mean(x²) + eps)` over each query and key head; value heads are copied.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm {
    /// The packed projection, `[tokens, (q_heads + 2 kv_heads) head_dim]`.
    pub x: View,
    /// Gain of the query heads, `[head_dim]`.
    pub q_gain: View,
    /// Gain of the key heads, `[head_dim]`.
    pub k_gain: View,
    /// Output, with the shape of `x`.
    pub y: View,
    /// Saved for the backward, `[tokens, q_heads + kv_heads]`.
    pub rstd: View,
    /// Sizes.
    pub heads: Heads,
    /// Added to the mean square.
    pub eps: f64,
}

impl Op for HeadNorm {
    fn name(&self) -> &'static str {
        "head_norm"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.x),
            Use::read(self.q_gain),
            Use::read(self.k_gain),
            Use::write(self.y),
            Use::write(self.rstd),
        ]
    }

    fn flops(&self) -> f64 {
        4.0 * (self.heads.tokens * self.heads.normed() * self.heads.head_dim) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (x, y, rstd) = (memory.read(self.x), memory.write(self.y), memory.write(self.rstd));
        let (q_gain, k_gain) = (memory.read(self.q_gain), memory.read(self.k_gain));
        let Heads { tokens, q_heads, head_dim, .. } = self.heads;
        y.copy_from_slice(x);
        for t in 0..tokens {
            for h in 0..self.heads.normed() {
                let gain = if h < q_heads { q_gain } else { k_gain };
                let base = t * self.heads.width() + h * head_dim;
                let head = &x[base..base + head_dim];
                let mean_square = head.iter().map(|&v| v * v).sum::<R>() / R::of(head_dim as f64);
                let scale = (mean_square + R::of(self.eps)).sqrt().recip();
                rstd[t * self.heads.normed() + h] = scale;
                for i in 0..head_dim {
                    y[base + i] = gain[i] * head[i] * scale;
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, y, rstd) = (memory.read(self.x), memory.write(self.y), memory.write(self.rstd));
        let gains = [memory.read(self.q_gain), memory.read(self.k_gain)];
        let (width, normed) = (self.heads.width(), self.heads.normed());
        y.par_chunks_mut(ROWS_PER_TASK * width)
            .zip(x.par_chunks(ROWS_PER_TASK * width))
            .zip(rstd.par_chunks_mut(ROWS_PER_TASK * normed))
            .for_each(|((y, x), rstd)| {
                let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
                for ((y, x), rstd) in rows.zip(rstd.chunks_exact_mut(normed)) {
                    y.copy_from_slice(x);
                    normalize_heads(x, gains, self.heads.q_heads, self.eps as f32, y, rstd);
                }
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("head_norm"),
            bindings: vec![
                ("x", self.x),
                ("q_gain", self.q_gain),
                ("k_gain", self.k_gain),
                ("y", self.y),
                ("rstd", self.rstd),
            ],
            uniform: self.heads.uniform().real(self.eps as f32),
            grid: linear_grid(self.heads.tokens * (self.heads.normed() + self.heads.kv_heads)),
        }]
    }
}

/// Normalises the first `rstd.len()` heads of a row.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn normalize_heads(
    x: &[f32],
    [q_gain, k_gain]: [&[f32]; 2],
    q_heads: usize,
    eps: f32,
    y: &mut [f32],
    rstd: &mut [f32],
) {
    let head_dim = q_gain.len();
    let heads = x.chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim));
    for (h, ((x, y), rstd)) in heads.zip(rstd).enumerate() {
        let gain = if h < q_heads { q_gain } else { k_gain };
        *rstd = 1.0 / (dot(x, x) / head_dim as f32 + eps).sqrt();
        for ((y, &x), &g) in y.iter_mut().zip(x).zip(gain) {
            *y = g * x * *rstd;
        }
    }
}

/// Gradients of [`HeadNorm`], in place: `dy` becomes the gradient of `x`. With `n = x * rstd` and `c = dy * g`,
/// `dx = rstd (c - n mean(c n))`, `dg += Σ dy n` over tokens and heads; the gradient of value heads is unchanged.
#[derive(Clone, Copy, Debug)]
pub struct HeadNormBackward {
    /// Gradient of `y` on entry, of `x` on return; with the shape of `x`.
    pub dqkv: View,
    /// Input of the forward.
    pub x: View,
    /// Gain of the query heads, `[head_dim]`.
    pub q_gain: View,
    /// Gain of the key heads, `[head_dim]`.
    pub k_gain: View,
    /// From the forward, `[tokens, q_heads + kv_heads]`.
    pub rstd: View,
    /// Gradient of the query heads' gain; always added to.
    pub dq_gain: View,
    /// Gradient of the key heads' gain; always added to.
    pub dk_gain: View,
    /// Scratch, `[HeadNormBackward::partial_rows(tokens), 2 head_dim]`.
    pub partial: View,
    /// Sizes.
    pub heads: Heads,
}

impl HeadNormBackward {
    /// Tokens of one partial sum of the gains' gradients.
    const TOKENS_PER_PARTIAL: usize = 32;

    /// Rows of the scratch tensor.
    pub fn partial_rows(tokens: usize) -> usize {
        tokens.div_ceil(Self::TOKENS_PER_PARTIAL)
    }
}

impl Op for HeadNormBackward {
    fn name(&self) -> &'static str {
        "head_norm_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read_write(self.dqkv),
            Use::read(self.x),
            Use::read(self.q_gain),
            Use::read(self.k_gain),
            Use::read(self.rstd),
            Use::read_write(self.dq_gain),
            Use::read_write(self.dk_gain),
            Use::write(self.partial),
        ]
    }

    fn flops(&self) -> f64 {
        11.0 * (self.heads.tokens * self.heads.normed() * self.heads.head_dim) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dqkv, x, rstd) =
            (memory.write(self.dqkv), memory.read(self.x), memory.read(self.rstd));
        let gains = [memory.read(self.q_gain), memory.read(self.k_gain)];
        let dgains = [memory.write(self.dq_gain), memory.write(self.dk_gain)];
        let Heads { tokens, q_heads, head_dim, .. } = self.heads;
        for t in 0..tokens {
            for h in 0..self.heads.normed() {
                let kind = usize::from(h >= q_heads);
                let base = t * self.heads.width() + h * head_dim;
                let scale = rstd[t * self.heads.normed() + h];
                let normal = |i: usize| x[base + i] * scale;
                let mean =
                    (0..head_dim).map(|i| dqkv[base + i] * gains[kind][i] * normal(i)).sum::<R>()
                        / R::of(head_dim as f64);
                for i in 0..head_dim {
                    let dy = dqkv[base + i];
                    dgains[kind][i] += dy * normal(i);
                    dqkv[base + i] = scale * (dy * gains[kind][i] - normal(i) * mean);
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dqkv, x, rstd) =
            (memory.write(self.dqkv), memory.read(self.x), memory.read(self.rstd));
        let gains = [memory.read(self.q_gain), memory.read(self.k_gain)];
        let partial = memory.write(self.partial);
        let (width, normed) = (self.heads.width(), self.heads.normed());
        let rows = Self::TOKENS_PER_PARTIAL;
        let columns = 2 * self.heads.head_dim;
        dqkv.par_chunks_mut(rows * width)
            .zip(partial.par_chunks_mut(columns))
            .zip(x.par_chunks(rows * width).zip(rstd.par_chunks(rows * normed)))
            .for_each(|((dqkv, partial), (x, rstd))| {
                partial.fill(0.0);
                let rows = dqkv.chunks_exact_mut(width).zip(x.chunks_exact(width));
                for ((dqkv, x), rstd) in rows.zip(rstd.chunks_exact(normed)) {
                    backward_heads(dqkv, x, gains, self.heads.q_heads, rstd, partial);
                }
            });
        let dgains = [memory.write(self.dq_gain), memory.write(self.dk_gain)];
        for (kind, dgain) in dgains.into_iter().enumerate() {
            for partial in partial.chunks_exact(columns) {
                let own = &partial[kind * self.heads.head_dim..][..self.heads.head_dim];
                dgain.iter_mut().zip(own).for_each(|(sum, &part)| *sum += part);
            }
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let partials = Self::partial_rows(self.heads.tokens);
        let columns = (2 * self.heads.head_dim).div_ceil(64) as u32;
        // Runs before the gradient of `y` is overwritten.
        let partial = Dispatch {
            kernel: kernel_backward("head_norm_backward_partial"),
            bindings: vec![
                ("dqkv", self.dqkv),
                ("x", self.x),
                ("rstd", self.rstd),
                ("partial", self.partial),
            ],
            uniform: self.heads.uniform().size(Self::TOKENS_PER_PARTIAL),
            grid: [columns, partials as u32, 1],
        };
        let gain = Dispatch {
            kernel: kernel_backward("head_norm_backward_gain"),
            bindings: vec![
                ("partial", self.partial),
                ("dq_gain", self.dq_gain),
                ("dk_gain", self.dk_gain),
            ],
            uniform: self.heads.uniform().size(partials),
            grid: [columns, 1, 1],
        };
        let input = Dispatch {
            kernel: kernel_backward("head_norm_backward"),
            bindings: vec![
                ("dqkv", self.dqkv),
                ("x", self.x),
                ("q_gain", self.q_gain),
                ("k_gain", self.k_gain),
                ("rstd", self.rstd),
            ],
            uniform: self.heads.uniform().size(0),
            grid: linear_grid(self.heads.tokens * self.heads.normed()),
        };
        vec![partial, gain, input]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_heads(
    dqkv: &mut [f32],
    x: &[f32],
    gains: [&[f32]; 2],
    q_heads: usize,
    rstd: &[f32],
    partial: &mut [f32],
) {
    let head_dim = gains[0].len();
    let heads = dqkv.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim));
    for (h, ((dy, x), &scale)) in heads.zip(rstd).enumerate() {
        let kind = usize::from(h >= q_heads);
        let (gain, dgain) = (gains[kind], &mut partial[kind * head_dim..][..head_dim]);
        for i in 0..head_dim {
            dgain[i] += dy[i] * x[i] * scale;
            dy[i] *= gain[i];
        }
        let mean = dot(dy, x) * scale / head_dim as f32;
        for i in 0..head_dim {
            dy[i] = scale * (dy[i] - x[i] * scale * mean);
        }
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("head_norm"), entry, constants: Vec::new() }
}

fn kernel_backward(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("head_norm_backward"), entry, constants: Vec::new() }
}
