//! Matrix products of each expert with its own rows, which are contiguous (MegaBlocks, arXiv 2211.15841). Time is
//! proportional to the number of routed pairs; an expert without rows costs nothing.

mod variants;

use rayon::prelude::*;

use super::Op;
use super::matmul::Transpose;
use crate::kernel::{Dispatch, Variant};
use crate::numeric::Real;
use crate::numeric::gemm::{Factor, multiply};
use crate::tensor::{OpMemory, Use, View};

pub(super) use variants::fused;

/// Number of tasks for an expert with `rows` of all `pairs`. It is one if each thread still gets several tasks, because
/// every task packs its factors again. An expert with nearly all rows is divided, so that all threads have work.
fn parts(rows: usize, pairs: usize) -> usize {
    const TASKS_PER_THREAD: usize = 8;
    let most = pairs / (TASKS_PER_THREAD * rayon::current_num_threads());
    rows.div_ceil(most.max(2 * LEAST_ROWS))
}

/// Least number of rows of a part, if there are several: up to 64 rows, `gemm` splits long sums at other places, and
/// results would depend on the number of threads.
const LEAST_ROWS: usize = 80;

/// `c[row] (+)= a[row] b_e` for each row of each expert `e`.
///
/// With [`Transpose::B`], `b [num_experts, n, k]`: a linear layer, `x w_eᵀ` with `w_e [out, in]`.
/// With [`Transpose::None`], `b [num_experts, k, n]`: its input's gradient, `dy w_e`.
#[derive(Clone, Copy, Debug)]
pub struct GroupedMatmul {
    /// Rows sorted by expert, `[rows, k]`.
    pub a: View,
    /// One matrix an expert.
    pub b: View,
    /// Products, `[rows, n]`.
    pub c: View,
    /// First row of each expert, then `rows`: u32 `[num_experts + 1]`.
    pub offsets: View,
    /// The tile list of [`MoeDispatch`](super::moe_dispatch::MoeDispatch), u32 `[tiles]`.
    pub tile_expert: View,
    /// First row of each tile, u32 `[tiles]`.
    pub tile_row: View,
    /// Routed pairs.
    pub rows: usize,
    /// Columns of `c`.
    pub n: usize,
    /// Summed extent.
    pub k: usize,
    /// Number of experts.
    pub num_experts: usize,
    /// Storage of `b`; [`Transpose::A`] is [`GroupedMatmulBackwardWeight`].
    pub transpose: Transpose,
    /// Add to `c` instead of overwriting it.
    pub accumulate: bool,
}

impl GroupedMatmul {
    /// (row stride, column stride) of an expert's `b [k, n]`.
    fn b_strides(&self) -> (usize, usize) {
        match self.transpose {
            Transpose::None => (self.n, 1),
            Transpose::B => (1, self.k),
            Transpose::A => panic!("the rows of a grouped product are never summed over"),
        }
    }
}

impl Op for GroupedMatmul {
    fn name(&self) -> &'static str {
        "grouped_matmul"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.a),
            Use::read(self.b),
            Use::read(self.offsets),
            Use::read(self.tile_expert),
            Use::read(self.tile_row),
            Use::output(self.c, self.accumulate),
        ]
    }

    fn flops(&self) -> f64 {
        2.0 * self.rows as f64 * self.n as f64 * self.k as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (a, b, c) = (memory.read(self.a), memory.read(self.b), memory.write(self.c));
        let offsets = memory.read_u32(self.offsets);
        let (b_row, b_col) = self.b_strides();
        for (e, b) in b.chunks_exact(self.n * self.k).enumerate() {
            for i in offsets[e] as usize..offsets[e + 1] as usize {
                for j in 0..self.n {
                    let dot: R =
                        (0..self.k).map(|p| a[i * self.k + p] * b[p * b_row + j * b_col]).sum();
                    let out = &mut c[i * self.n + j];
                    *out = if self.accumulate { *out + dot } else { dot };
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (a, b) = (memory.read(self.a), memory.read(self.b));
        let offsets = memory.read_u32(self.offsets);
        let mut rest = memory.write(self.c);
        let mut tasks = Vec::with_capacity(2 * self.num_experts);
        for (expert, bounds) in offsets.windows(2).enumerate() {
            let (mut row, end) = (bounds[0] as usize, bounds[1] as usize);
            let part = (end - row).div_ceil(parts(end - row, self.rows).max(1));
            while row < end {
                let rows = part.min(end - row);
                let c = rest.split_off_mut(..rows * self.n).expect("a row a pair");
                tasks.push((expert, row, rows, c));
                row += rows;
            }
        }
        let (b_row, b_column) = self.b_strides();
        tasks.into_par_iter().for_each(|(expert, row, rows, c)| {
            let a = Factor { x: &a[row * self.k..], row: self.k, column: 1 };
            let b = &b[expert * self.n * self.k..];
            let b = Factor { x: b, row: b_row, column: b_column };
            multiply(a, b, c, (rows, self.n, self.k), self.accumulate);
        });
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

/// Gradient of the experts' matrices: `dw_e += dy_eᵀ x_e` over the rows of `e`.
#[derive(Clone, Copy, Debug)]
pub struct GroupedMatmulBackwardWeight {
    /// Gradient of the products, rows sorted by expert, `[rows, out_features]`.
    pub dy: View,
    /// Input of the products, `[rows, in_features]`.
    pub x: View,
    /// Gradient, `[num_experts, out_features, in_features]`; always added to.
    pub dweight: View,
    /// First row of each expert, then `rows`: u32 `[num_experts + 1]`.
    pub offsets: View,
    /// Routed pairs.
    pub rows: usize,
    /// Rows of an expert's matrix.
    pub out_features: usize,
    /// Columns of an expert's matrix.
    pub in_features: usize,
    /// Number of experts.
    pub num_experts: usize,
}

impl Op for GroupedMatmulBackwardWeight {
    fn name(&self) -> &'static str {
        "grouped_matmul_backward_weight"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.dy),
            Use::read(self.x),
            Use::read(self.offsets),
            Use::read_write(self.dweight),
        ]
    }

    fn flops(&self) -> f64 {
        2.0 * self.rows as f64 * self.out_features as f64 * self.in_features as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dy, x, dweight) =
            (memory.read(self.dy), memory.read(self.x), memory.write(self.dweight));
        let offsets = memory.read_u32(self.offsets);
        for e in 0..self.num_experts {
            for o in 0..self.out_features {
                for i in 0..self.in_features {
                    dweight[(e * self.out_features + o) * self.in_features + i] += (offsets[e]
                        ..offsets[e + 1])
                        .map(|row| row as usize)
                        .map(|row| dy[row * self.out_features + o] * x[row * self.in_features + i])
                        .sum::<R>();
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dy, x) = (memory.read(self.dy), memory.read(self.x));
        let offsets = memory.read_u32(self.offsets);
        let experts =
            memory.write(self.dweight).par_chunks_mut(self.out_features * self.in_features);
        experts.zip(offsets.par_windows(2)).for_each(|(dweight, bounds)| {
            let (row, end) = (bounds[0] as usize, bounds[1] as usize);
            if row == end {
                return;
            }
            let parts = parts(end - row, self.rows).min(self.out_features / LEAST_ROWS).max(1);
            let part = self.out_features.div_ceil(parts);
            let blocks = dweight.par_chunks_mut(part * self.in_features).enumerate();
            blocks.for_each(|(block, dweight)| {
                let outputs = dweight.len() / self.in_features;
                let dy = &dy[row * self.out_features + block * part..];
                let dy = Factor { x: dy, row: 1, column: self.out_features };
                let x = &x[row * self.in_features..];
                let x = Factor { x, row: self.in_features, column: 1 };
                multiply(dy, x, dweight, (outputs, self.in_features, end - row), true);
            });
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        variants::baseline_weight(self)
    }

    fn alternatives(&self) -> Vec<Variant> {
        variants::alternatives_weight(self)
    }

    fn tuning_class(&self) -> String {
        variants::class_weight(self)
    }
}
