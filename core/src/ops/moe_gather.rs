//! Copies token states for the experts: one row for each routed pair, sorted by expert.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, axpy};
use crate::tensor::{OpMemory, Use, View};

/// `y[row] = x[order[row] / top_k]`.
#[derive(Clone, Copy, Debug)]
pub struct MoeGather {
    /// Token states, `[tokens, hidden_size]`.
    pub x: View,
    /// Pair id of each sorted row, u32 `[tokens * top_k]`.
    pub order: View,
    /// Sorted rows, `[tokens * top_k, hidden_size]`.
    pub y: View,
    /// Number of token states.
    pub tokens: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Width of a token state.
    pub hidden_size: usize,
}

impl Op for MoeGather {
    fn name(&self) -> &'static str {
        "moe_gather"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::read(self.order), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (x, order) = (memory.read(self.x), memory.read_u32(self.order));
        let y = memory.write(self.y);
        for (y, &pair) in y.chunks_exact_mut(self.hidden_size).zip(order) {
            let token = pair as usize / self.top_k;
            y.copy_from_slice(&x[token * self.hidden_size..][..self.hidden_size]);
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, order) = (memory.read(self.x), memory.read_u32(self.order));
        memory
            .write(self.y)
            .par_chunks_mut(ROWS_PER_TASK * self.hidden_size)
            .zip(order.par_chunks(ROWS_PER_TASK))
            .for_each(|(y, order)| {
                for (y, &pair) in y.chunks_exact_mut(self.hidden_size).zip(order) {
                    let token = pair as usize / self.top_k;
                    y.copy_from_slice(&x[token * self.hidden_size..][..self.hidden_size]);
                }
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let pairs = self.tokens * self.top_k;
        vec![Dispatch {
            kernel: kernel("moe_gather", Vec::new()),
            bindings: vec![("x", self.x), ("order", self.order), ("y", self.y)],
            uniform: Uniform::new().size(pairs).size(self.top_k).size(self.hidden_size),
            grid: linear_grid(pairs),
        }]
    }
}

/// Gradient of [`MoeGather`]: `dx[t] (+)= Σ_slot dy[position[t * top_k + slot]]`.
#[derive(Clone, Copy, Debug)]
pub struct MoeGatherBackward {
    /// Gradient of the sorted rows, `[tokens * top_k, hidden_size]`.
    pub dy: View,
    /// Sorted row of each pair id, u32 `[tokens * top_k]`.
    pub position: View,
    /// Gradient of the token states, `[tokens, hidden_size]`.
    pub dx: View,
    /// Add to `dx` instead of overwriting it.
    pub accumulate: bool,
    /// Number of token states.
    pub tokens: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Width of a token state.
    pub hidden_size: usize,
}

impl Op for MoeGatherBackward {
    fn name(&self) -> &'static str {
        "moe_gather_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.dy), Use::read(self.position), Use::output(self.dx, self.accumulate)]
    }

    fn flops(&self) -> f64 {
        (self.tokens * self.top_k) as f64 * self.hidden_size as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dy, position) = (memory.read(self.dy), memory.read_u32(self.position));
        let dx = memory.write(self.dx);
        for t in 0..self.tokens {
            for i in 0..self.hidden_size {
                let sum: R = position[t * self.top_k..][..self.top_k]
                    .iter()
                    .map(|&row| dy[row as usize * self.hidden_size + i])
                    .sum();
                let out = &mut dx[t * self.hidden_size + i];
                *out = if self.accumulate { *out + sum } else { sum };
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dy, position) = (memory.read(self.dy), memory.read_u32(self.position));
        memory
            .write(self.dx)
            .par_chunks_mut(ROWS_PER_TASK * self.hidden_size)
            .zip(position.par_chunks(ROWS_PER_TASK * self.top_k))
            .for_each(|(dx, position)| {
                sum_rows(dy, position, self.top_k, self.hidden_size, self.accumulate, dx);
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let accumulate = ("ACCUMULATE", f64::from(u8::from(self.accumulate)));
        vec![Dispatch {
            kernel: kernel("moe_gather_backward", vec![accumulate]),
            bindings: vec![("dy", self.dy), ("position", self.position), ("dx", self.dx)],
            uniform: Uniform::new().size(self.tokens).size(self.top_k).size(self.hidden_size),
            grid: linear_grid(self.tokens),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn sum_rows(
    dy: &[f32],
    position: &[u32],
    top_k: usize,
    width: usize,
    accumulate: bool,
    dx: &mut [f32],
) {
    for (dx, position) in dx.chunks_exact_mut(width).zip(position.chunks_exact(top_k)) {
        let mut rows = position.iter().map(|&row| &dy[row as usize * width..][..width]);
        if !accumulate && let Some(first) = rows.next() {
            dx.copy_from_slice(first);
        }
        rows.for_each(|row| axpy(dx, 1.0, row));
    }
}

fn kernel(entry: &'static str, constants: Vec<(&'static str, f64)>) -> Kernel {
    Kernel { module: Module::Shader("moe_gather"), entry, constants }
}
