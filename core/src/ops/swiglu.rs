//! The gate of a SwiGLU feed-forward: `y = silu(gate) * up` with `silu(g) = g / (1 + e^-g)`
//! (Shazeer 2020, arXiv 2002.05202).

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, sigmoid};
use crate::tensor::{OpMemory, Use, View};

/// Threads of a workgroup in both kernels.
const THREADS: usize = 256;

/// `y = silu(gate) * up`.
#[derive(Clone, Copy, Debug)]
pub struct Swiglu {
    /// Both projections of each token, `[rows, 2 * width]`: first the gate, then its operand `up`.
    pub gate_up: View,
    /// Output, `[rows, width]`.
    pub y: View,
    /// Number of token states.
    pub rows: usize,
    /// Width of the feed-forward.
    pub width: usize,
}

impl Op for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.gate_up), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        5.0 * self.rows as f64 * self.width as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (gate_up, y) = (memory.read(self.gate_up), memory.write(self.y));
        for t in 0..self.rows {
            let (gate, up) = gate_up[2 * t * self.width..][..2 * self.width].split_at(self.width);
            for i in 0..self.width {
                y[t * self.width + i] = gate[i] * logistic(gate[i]) * up[i];
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (gate_up, y) = (memory.read(self.gate_up), memory.write(self.y));
        let block = ROWS_PER_TASK * self.width;
        y.par_chunks_mut(block)
            .zip(gate_up.par_chunks(2 * block))
            .for_each(|(y, gate_up)| gate_rows(gate_up, y, self.width));
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("swiglu"),
            bindings: vec![("gate_up", self.gate_up), ("y", self.y)],
            uniform: Uniform::new().size(self.rows).size(self.width),
            grid: linear_grid((self.rows * self.width).div_ceil(THREADS)),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn gate_rows(gate_up: &[f32], y: &mut [f32], width: usize) {
    for (gate_up, y) in gate_up.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = gate_up.split_at(width);
        for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
            *y = gate * sigmoid(gate) * up;
        }
    }
}

/// Gradient of [`Swiglu`]: with `s = 1 / (1 + e^-gate)`, `dgate = dy up s (1 + gate (1 - s))` and
/// `dup = dy gate s`.
#[derive(Clone, Copy, Debug)]
pub struct SwigluBackward {
    /// Gradient of the output, `[rows, width]`.
    pub dy: View,
    /// Input of the forward, `[rows, 2 * width]`.
    pub gate_up: View,
    /// Its gradient, `[rows, 2 * width]`.
    pub dgate_up: View,
    /// Number of token states.
    pub rows: usize,
    /// Width of the feed-forward.
    pub width: usize,
}

impl Op for SwigluBackward {
    fn name(&self) -> &'static str {
        "swiglu_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.dy), Use::read(self.gate_up), Use::write(self.dgate_up)]
    }

    fn flops(&self) -> f64 {
        11.0 * self.rows as f64 * self.width as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dy, gate_up) = (memory.read(self.dy), memory.read(self.gate_up));
        let dgate_up = memory.write(self.dgate_up);
        for t in 0..self.rows {
            for i in 0..self.width {
                let (at_gate, at_up) = (2 * t * self.width + i, (2 * t + 1) * self.width + i);
                let (dy, gate, up) = (dy[t * self.width + i], gate_up[at_gate], gate_up[at_up]);
                let s = logistic(gate);
                dgate_up[at_gate] = dy * up * s * (R::one() + gate * (R::one() - s));
                dgate_up[at_up] = dy * gate * s;
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dy, gate_up) = (memory.read(self.dy), memory.read(self.gate_up));
        let dgate_up = memory.write(self.dgate_up);
        let block = ROWS_PER_TASK * self.width;
        dgate_up
            .par_chunks_mut(2 * block)
            .zip(gate_up.par_chunks(2 * block).zip(dy.par_chunks(block)))
            .for_each(|(dgate_up, (gate_up, dy))| {
                backward_rows(dy, gate_up, dgate_up, self.width);
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("swiglu_backward"),
            bindings: vec![("dy", self.dy), ("gate_up", self.gate_up), ("dgate_up", self.dgate_up)],
            uniform: Uniform::new().size(self.rows).size(self.width),
            grid: linear_grid((self.rows * self.width).div_ceil(THREADS)),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_rows(dy: &[f32], gate_up: &[f32], dgate_up: &mut [f32], width: usize) {
    let inputs = gate_up.chunks_exact(2 * width).zip(dy.chunks_exact(width));
    for (dgate_up, (gate_up, dy)) in dgate_up.chunks_exact_mut(2 * width).zip(inputs) {
        let (gate, up) = gate_up.split_at(width);
        let (dgate, dup) = dgate_up.split_at_mut(width);
        for i in 0..width {
            let s = sigmoid(gate[i]);
            let silu = gate[i] * s;
            dgate[i] = dy[i] * up[i] * (s + silu * (1.0 - s));
            dup[i] = dy[i] * silu;
        }
    }
}

pub(super) fn logistic<R: Real>(x: R) -> R {
    (R::one() + (-x).exp()).recip()
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("swiglu"), entry, constants: Vec::new() }
}
