//! The norm of all gradients and the factor that clips it (Pascanu et al. 2013, arXiv 1211.5063):
//! one [`SumOfSquares`] a packed chunk of gradients, then one [`ClipFactor`].

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::dot;
use crate::tensor::{OpMemory, Use, View};

/// Partial sums of squares: `Σ partials = Σ x²`.
#[derive(Clone, Copy, Debug)]
pub struct SumOfSquares {
    /// A chunk of gradients, any length.
    pub x: View,
    /// Sums of squares of parts of `x`, `[SumOfSquares::partials(x.len)]`: a slice of the input of [`ClipFactor`].
    pub partials: View,
}

impl SumOfSquares {
    /// Number of partial sums of a chunk of `len` elements: a multiple of [`View::ALIGNMENT`], so that the partial sums
    /// of all chunks are adjacent.
    pub fn partials(len: usize) -> usize {
        // Fewer elements are not worth a workgroup, and more workgroups do not use a GPU better.
        const ELEMENTS: usize = 4096;
        const MOST: usize = 2048;
        (len / ELEMENTS).next_multiple_of(View::ALIGNMENT).clamp(View::ALIGNMENT, MOST)
    }
}

impl Op for SumOfSquares {
    fn name(&self) -> &'static str {
        "sum_of_squares"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::write(self.partials)]
    }

    fn flops(&self) -> f64 {
        2.0 * self.x.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (x, partials) = (memory.read(self.x), memory.write(self.partials));
        partials.fill(R::zero());
        for (i, &value) in x.iter().enumerate() {
            partials[i % self.partials.len] += value * value;
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, partials) = (memory.read(self.x), memory.write(self.partials));
        let part = x.len().div_ceil(partials.len());
        partials.par_iter_mut().enumerate().for_each(|(i, partial)| {
            let first = (i * part).min(x.len());
            *partial = squares(&x[first..(first + part).min(x.len())]);
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("sum_of_squares"),
            bindings: vec![("x", self.x), ("partials", self.partials)],
            uniform: Uniform::new().size(self.x.len).size(self.partials.len),
            grid: linear_grid(self.partials.len),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn squares(x: &[f32]) -> f32 {
    dot(x, x)
}

/// `norm = sqrt(Σ partials)`, `clip = min(1, max_norm / (norm + 1e-6))`.
#[derive(Clone, Copy, Debug)]
pub struct ClipFactor {
    /// Sums of squares of all chunks, any length.
    pub partials: View,
    /// The step's metrics. One element gets the norm before clipping.
    pub metrics: View,
    /// Index of this element.
    pub metric: usize,
    /// The optimizer's factor on the gradients, `[1]`.
    pub clip: View,
    /// Largest norm; 0 for no clipping.
    pub max_norm: f64,
}

impl ClipFactor {
    /// PyTorch's guard against a norm of 0.
    const EPS: f64 = 1e-6;
}

impl Op for ClipFactor {
    fn name(&self) -> &'static str {
        "clip_factor"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.partials), Use::read_write(self.metrics), Use::write(self.clip)]
    }

    fn flops(&self) -> f64 {
        self.partials.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (partials, clip) = (memory.read(self.partials), memory.write(self.clip));
        let norm = partials.iter().copied().sum::<R>().sqrt();
        memory.write(self.metrics)[self.metric] = norm;
        clip[0] = if self.max_norm > 0.0 {
            (R::of(self.max_norm) / (norm + R::of(Self::EPS))).min(R::one())
        } else {
            R::one()
        };
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("clip_factor"),
            bindings: vec![
                ("partials", self.partials),
                ("metrics", self.metrics),
                ("clip", self.clip),
            ],
            uniform: Uniform::new()
                .size(self.partials.len)
                .size(self.metric)
                .real(self.max_norm as f32)
                .real(Self::EPS as f32),
            grid: [1, 1, 1],
        }]
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("grad_norm"), entry, constants: Vec::new() }
}
