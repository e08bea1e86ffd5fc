//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101), in
//! PyTorch's order of operations.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Op, scalars};
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// One update of a packed chunk of parameters. With `g = clip * gradient`, `lr` and the bias
/// corrections `c1 = 1 - beta1^t`, `c2 = 1 - beta2^t` from `scalars`:
///
/// `p *= 1 - lr * weight_decay` (below `decay_end`), `m = beta1 m + (1 - beta1) g`,
/// `v = beta2 v + (1 - beta2) g²`, `p -= lr / c1 * m / (sqrt(v) / sqrt(c2) + eps)`.
#[derive(Clone, Copy, Debug)]
pub struct Adamw {
    /// Weights, any length; updated.
    pub parameter: View,
    /// Their gradients before clipping.
    pub gradient: View,
    /// Decaying mean of the gradients; updated.
    pub moment1: View,
    /// Decaying mean of the squared gradients; updated.
    pub moment2: View,
    /// Factor on the gradients, `[1]`: [`ClipFactor::clip`](super::grad_norm::ClipFactor::clip).
    /// 0 skips the update, whatever the gradients hold: parameters and moments stay as they are.
    pub clip: View,
    /// The step's scalars, `[scalars::LEN]`: see [`scalars`].
    pub scalars: View,
    /// The first element without weight decay.
    pub decay_end: usize,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay: a step multiplies a weight by `1 - lr * weight_decay`.
    pub weight_decay: f64,
}

impl Op for Adamw {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read_write(self.parameter),
            Use::read(self.gradient),
            Use::read_write(self.moment1),
            Use::read_write(self.moment2),
            Use::read(self.clip),
            Use::read(self.scalars),
        ]
    }

    fn flops(&self) -> f64 {
        15.0 * self.parameter.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (p, g) = (memory.write(self.parameter), memory.read(self.gradient));
        let (m, v) = (memory.write(self.moment1), memory.write(self.moment2));
        let (clip, scalars) = (memory.read(self.clip)[0], memory.read(self.scalars));
        let lr = scalars[scalars::LEARNING_RATE];
        let (c1, c2) = (scalars[scalars::BIAS_CORRECTION1], scalars[scalars::BIAS_CORRECTION2]);
        if clip == R::zero() {
            return;
        }
        let (beta1, beta2) = (R::of(self.beta1), R::of(self.beta2));
        let (rest1, rest2) = (R::of(1.0 - self.beta1), R::of(1.0 - self.beta2));
        for i in 0..p.len() {
            let g = clip * g[i];
            if i < self.decay_end {
                p[i] *= R::one() - lr * R::of(self.weight_decay);
            }
            m[i] = beta1 * m[i] + rest1 * g;
            v[i] = beta2 * v[i] + rest2 * g * g;
            p[i] -= lr / c1 * m[i] / (v[i].sqrt() / c2.sqrt() + R::of(self.eps));
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        /// Elements of a task: its four slices fit a core's second-level cache.
        const BLOCK: usize = 16 * 1024;
        let (p, g) = (memory.write(self.parameter), memory.read(self.gradient));
        let (m, v) = (memory.write(self.moment1), memory.write(self.moment2));
        let scalars = memory.read(self.scalars);
        let lr = scalars[scalars::LEARNING_RATE];
        let factors = Factors {
            clip: memory.read(self.clip)[0],
            beta1: self.beta1 as f32,
            rest1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            rest2: (1.0 - self.beta2) as f32,
            rate: lr / scalars[scalars::BIAS_CORRECTION1],
            root: 1.0 / scalars[scalars::BIAS_CORRECTION2].sqrt(),
            eps: self.eps as f32,
        };
        if factors.clip == 0.0 {
            return;
        }
        let keep = 1.0 - lr * self.weight_decay as f32;
        p.par_chunks_mut(BLOCK)
            .zip(g.par_chunks(BLOCK))
            .zip(m.par_chunks_mut(BLOCK).zip(v.par_chunks_mut(BLOCK)))
            .enumerate()
            .for_each(|(i, ((p, g), (m, v)))| {
                let decayed = self.decay_end.saturating_sub(i * BLOCK).min(p.len());
                let (p, p_rest) = p.split_at_mut(decayed);
                let (g, g_rest) = g.split_at(decayed);
                let (m, m_rest) = m.split_at_mut(decayed);
                let (v, v_rest) = v.split_at_mut(decayed);
                update(p, g, m, v, keep, factors);
                update(p_rest, g_rest, m_rest, v_rest, 1.0, factors);
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        const THREADS: usize = 256;
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("adamw"),
                entry: "adamw",
                constants: vec![
                    ("LEARNING_RATE", scalars::LEARNING_RATE as f64),
                    ("BIAS_CORRECTION1", scalars::BIAS_CORRECTION1 as f64),
                    ("BIAS_CORRECTION2", scalars::BIAS_CORRECTION2 as f64),
                ],
            },
            bindings: vec![
                ("parameter", self.parameter),
                ("gradient", self.gradient),
                ("moment1", self.moment1),
                ("moment2", self.moment2),
                ("clip", self.clip),
                ("scalars", self.scalars),
            ],
            uniform: Uniform::new()
                .size(self.parameter.len)
                .size(self.decay_end)
                .real(self.beta1 as f32)
                // In f32, 1 - 0.999 would have a relative error of 1 / 20,000.
                .real((1.0 - self.beta1) as f32)
                .real(self.beta2 as f32)
                .real((1.0 - self.beta2) as f32)
                .real(self.eps as f32)
                .real(self.weight_decay as f32),
            grid: linear_grid(self.parameter.len.div_ceil(THREADS)),
        }]
    }
}

/// Constants of an update.
#[derive(Clone, Copy)]
struct Factors {
    clip: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    /// `lr / c1`.
    rate: f32,
    /// `1 / sqrt(c2)`.
    root: f32,
    eps: f32,
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn update(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], keep: f32, factors: Factors) {
    let Factors { clip, beta1, rest1, beta2, rest2, rate, root, eps } = factors;
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = clip * g;
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * g * g;
        *p = keep * *p - rate * *m / (v.sqrt() * root + eps);
    }
}
