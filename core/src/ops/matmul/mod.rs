//! Matrix product `c (+)= a b` with either factor transposed.

mod variants;

use super::Op;
use crate::kernel::{Dispatch, Variant};
use crate::numeric::Real;
use crate::numeric::gemm::{Factor, multiply_together};
use crate::tensor::{OpMemory, Use, View};

pub(super) use variants::fused;

/// Which factors are stored transposed. Everything is row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transpose {
    /// `a [m, k]`, `b [k, n]`: gradient of a linear layer's input, `dy w`.
    None,
    /// `a [m, k]`, `b [n, k]`: a linear layer, `x wᵀ` with `w [out, in]`.
    B,
    /// `a [k, m]`, `b [k, n]`: gradient of a linear layer's weight, `dyᵀ x`.
    A,
}

/// `c [m, n] = a b`, or `c += a b`.
#[derive(Clone, Copy, Debug)]
pub struct Matmul {
    /// Left factor, `m * k` elements.
    pub a: View,
    /// Right factor, `k * n` elements.
    pub b: View,
    /// Product, `m * n` elements.
    pub c: View,
    /// Rows of `c`.
    pub m: usize,
    /// Columns of `c`.
    pub n: usize,
    /// Summed extent.
    pub k: usize,
    /// Storage of the factors.
    pub transpose: Transpose,
    /// Add to `c` instead of overwriting it.
    pub accumulate: bool,
}

impl Matmul {
    /// (row stride, column stride) of `a [m, k]` and `b [k, n]`.
    fn strides(&self) -> ((usize, usize), (usize, usize)) {
        match self.transpose {
            Transpose::None => ((self.k, 1), (self.n, 1)),
            Transpose::B => ((self.k, 1), (1, self.k)),
            Transpose::A => ((1, self.m), (self.n, 1)),
        }
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.a), Use::read(self.b), Use::output(self.c, self.accumulate)]
    }

    fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (a, b, c) = (memory.read(self.a), memory.read(self.b), memory.write(self.c));
        let ((a_row, a_col), (b_row, b_col)) = self.strides();
        for i in 0..self.m {
            for j in 0..self.n {
                let dot: R =
                    (0..self.k).map(|p| a[i * a_row + p * a_col] * b[p * b_row + j * b_col]).sum();
                let out = &mut c[i * self.n + j];
                *out = if self.accumulate { *out + dot } else { dot };
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (a, b, c) = (memory.read(self.a), memory.read(self.b), memory.write(self.c));
        let ((a_row, a_column), (b_row, b_column)) = self.strides();
        let a = Factor { x: a, row: a_row, column: a_column };
        let b = Factor { x: b, row: b_row, column: b_column };
        multiply_together(a, b, c, (self.m, self.n, self.k), self.accumulate);
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        variants::baseline(self)
    }

    fn alternatives(&self) -> Vec<Variant> {
        variants::alternatives(self)
    }

    fn tuning_class(&self) -> String {
        variants::class(self)
    }
}
