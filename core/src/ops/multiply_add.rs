//! Repeated `x -> a x + b` in registers. No model needs it; it measures a machine's peak rate of multiply-adds, the
//! upper bound of every op.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// Elements of a task.
const CHUNK: usize = 256;

/// `y = (x -> a x + b) applied `rounds` times to x`.
#[derive(Clone, Copy, Debug)]
pub struct MultiplyAdd {
    /// Any length.
    pub x: View,
    /// As long as `x`.
    pub y: View,
    /// Number of repetitions.
    pub rounds: usize,
}

impl MultiplyAdd {
    /// The constants `a` and `b` only keep numbers of the order of 1.
    const A: f32 = 0.5;
    const B: f32 = 1.0;
}

impl Op for MultiplyAdd {
    fn name(&self) -> &'static str {
        "multiply_add"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        2.0 * self.rounds as f64 * self.y.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (a, b) = (R::of(f64::from(Self::A)), R::of(f64::from(Self::B)));
        for (y, &x) in memory.write(self.y).iter_mut().zip(memory.read(self.x)) {
            *y = x;
            for _ in 0..self.rounds {
                *y = a * *y + b;
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, y) = (memory.read(self.x), memory.write(self.y));
        y.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .with_min_len(4)
            .for_each(|(y, x)| chunk(y, x, self.rounds));
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        const ELEMENTS: usize = 64 * 4 * 8;
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("multiply_add"),
                entry: "multiply_add",
                constants: Vec::new(),
            },
            bindings: vec![("x", self.x), ("y", self.y)],
            uniform: Uniform::new().size(self.y.len).size(self.rounds).real(Self::A).real(Self::B),
            grid: linear_grid(self.y.len.div_ceil(ELEMENTS)),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn chunk(y: &mut [f32], x: &[f32], rounds: usize) {
    if target_cfg_f!(target_feature = "avx512f") {
        chains::<256>(y, x, rounds);
    } else {
        chains::<64>(y, x, rounds);
    }
}

/// Works on `LEN` elements in registers at a time: enough to hide the latency of a multiply-add, and few enough for the
/// registers.
#[inline(always)]
fn chains<const LEN: usize>(y: &mut [f32], x: &[f32], rounds: usize) {
    for (y, x) in y.chunks_mut(LEN).zip(x.chunks(LEN)) {
        let mut values = [0.0f32; LEN];
        values[..x.len()].copy_from_slice(x);
        for _ in 0..rounds {
            for value in &mut values {
                *value = value.mul_add(MultiplyAdd::A, MultiplyAdd::B);
            }
        }
        y.copy_from_slice(&values[..y.len()]);
    }
}
