//! Matrix product `c (+)= a b` with either factor transposed.

mod variants;

use gemm::Parallelism;

use super::{Dispatch, Op, Use, Variant};
use crate::cpu::{OpMemory, Real, parallelism};
use crate::plan::View;

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
        gemm_f32(self.strides(), (self.m, self.n, self.k), a, b, c, self.accumulate, parallelism());
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

/// `c (+)= a b` by the `gemm` crate; strides are (row, column) of `a [m, k]` and `b [k, n]`.
pub(crate) fn gemm_f32(
    ((a_row, a_col), (b_row, b_col)): ((usize, usize), (usize, usize)),
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    accumulate: bool,
    parallelism: Parallelism,
) {
    let reach = |rows: usize, row: usize, columns: usize, column: usize| {
        if rows * columns == 0 { 0 } else { (rows - 1) * row + (columns - 1) * column + 1 }
    };
    assert!(a.len() >= reach(m, a_row, k, a_col));
    assert!(b.len() >= reach(k, b_row, n, b_col));
    assert!(c.len() >= m * n);
    // SAFETY: the assertions cover every index that the strides reach.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.as_ptr(),
            a_col as isize,
            a_row as isize,
            b.as_ptr(),
            b_col as isize,
            b_row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
