//! The gate of Qwen2Moe's shared expert: the expert's result times the sigmoid of a score of the token (the model code
//! of transformers, `Qwen2MoeSparseMoeBlock`).

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use super::swiglu::logistic;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, dot, sigmoid};
use crate::tensor::{OpMemory, Use, View};

/// `y = x / (1 + exp(-logit))`, with one score per row.
#[derive(Clone, Copy, Debug)]
pub struct SigmoidGate {
    /// `[rows, width]`.
    pub x: View,
    /// Scores, `[rows]`.
    pub logits: View,
    /// `[rows, width]`.
    pub y: View,
    /// Number of token states.
    pub rows: usize,
    /// Hidden size.
    pub width: usize,
}

impl Op for SigmoidGate {
    fn name(&self) -> &'static str {
        "sigmoid_gate"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::read(self.logits), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        (self.rows * self.width) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (x, logits, y) = (memory.read(self.x), memory.read(self.logits), memory.write(self.y));
        for t in 0..self.rows {
            let gate = logistic(logits[t]);
            for i in t * self.width..(t + 1) * self.width {
                y[i] = gate * x[i];
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, logits, y) = (memory.read(self.x), memory.read(self.logits), memory.write(self.y));
        y.par_chunks_mut(self.width).zip(x.par_chunks(self.width)).zip(logits).for_each(
            |((y, x), &logit)| {
                let gate = sigmoid(logit);
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = gate * x);
            },
        );
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("sigmoid_gate"),
            bindings: vec![("x", self.x), ("logits", self.logits), ("y", self.y)],
            uniform: Uniform::new().size(self.rows).size(self.width),
            grid: linear_grid(self.rows),
        }]
    }
}

/// Gradients of [`SigmoidGate`]: with `s` the gate, `dx = s dy` and `dlogit = s (1 - s) dy · x`.
#[derive(Clone, Copy, Debug)]
pub struct SigmoidGateBackward {
    /// Gradient of `y`, `[rows, width]`.
    pub dy: View,
    /// Input of the gate, `[rows, width]`.
    pub x: View,
    /// Scores, `[rows]`.
    pub logits: View,
    /// Gradient of `x`, `[rows, width]`.
    pub dx: View,
    /// Gradient of the scores, `[rows]`.
    pub dlogits: View,
    /// Number of token states.
    pub rows: usize,
    /// Hidden size.
    pub width: usize,
}

impl Op for SigmoidGateBackward {
    fn name(&self) -> &'static str {
        "sigmoid_gate_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.dy),
            Use::read(self.x),
            Use::read(self.logits),
            Use::write(self.dx),
            Use::write(self.dlogits),
        ]
    }

    fn flops(&self) -> f64 {
        3.0 * (self.rows * self.width) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dy, x, logits) = (memory.read(self.dy), memory.read(self.x), memory.read(self.logits));
        let (dx, dlogits) = (memory.write(self.dx), memory.write(self.dlogits));
        for t in 0..self.rows {
            let gate = logistic(logits[t]);
            let row = t * self.width..(t + 1) * self.width;
            let product: R = row.clone().map(|i| dy[i] * x[i]).sum();
            dlogits[t] = gate * (R::of(1.0) - gate) * product;
            for i in row {
                dx[i] = gate * dy[i];
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dy, x, logits) = (memory.read(self.dy), memory.read(self.x), memory.read(self.logits));
        let (dx, dlogits) = (memory.write(self.dx), memory.write(self.dlogits));
        let block = ROWS_PER_TASK * self.width;
        dx.par_chunks_mut(block)
            .zip(dlogits.par_chunks_mut(ROWS_PER_TASK))
            .zip(dy.par_chunks(block).zip(x.par_chunks(block)))
            .zip(logits.par_chunks(ROWS_PER_TASK))
            .for_each(|(((dx, dlogits), (dy, x)), logits)| {
                backward_rows(self.width, dy, x, logits, dx, dlogits);
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("sigmoid_gate_backward"),
            bindings: vec![
                ("dy", self.dy),
                ("x", self.x),
                ("logits", self.logits),
                ("dx", self.dx),
                ("dlogits", self.dlogits),
            ],
            uniform: Uniform::new().size(self.rows).size(self.width),
            grid: linear_grid(self.rows),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_rows(
    width: usize,
    dy: &[f32],
    x: &[f32],
    logits: &[f32],
    dx: &mut [f32],
    dlogits: &mut [f32],
) {
    let rows = dy.chunks_exact(width).zip(x.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for (((dy, x), dx), (&logit, dlogit)) in rows.zip(logits.iter().zip(dlogits)) {
        let gate = sigmoid(logit);
        *dlogit = gate * (1.0 - gate) * dot(dy, x);
        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = gate * dy);
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("sigmoid_gate"), entry, constants: Vec::new() }
}
