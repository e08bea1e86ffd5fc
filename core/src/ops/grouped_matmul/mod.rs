//! Matrix products of each expert with its own rows, which lie together (MegaBlocks,
//! arXiv 2211.15841). Time follows the routed pairs; an expert without rows costs nothing.

mod variants;

use gemm::Parallelism;
use rayon::prelude::*;

use super::matmul::{Transpose, gemm_f32};
use super::{Dispatch, Op, Use, Variant};
use crate::cpu::{OpMemory, Real};
use crate::plan::View;

/// Rows (or, for the weights' gradient, columns) of a task of the fast path: one expert may have
/// nearly all rows, and the threads still share them.
const TASK_ROWS: usize = 128;

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
    /// Its first rows, u32 `[tiles]`.
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
        let mut tasks = Vec::with_capacity(self.rows.div_ceil(TASK_ROWS) + self.num_experts);
        for (expert, bounds) in offsets.windows(2).enumerate() {
            let (mut row, end) = (bounds[0] as usize, bounds[1] as usize);
            while row < end {
                let rows = TASK_ROWS.min(end - row);
                let (c, after) = rest.split_at_mut(rows * self.n);
                rest = after;
                tasks.push((expert, row, rows, c));
                row += rows;
            }
        }
        tasks.into_par_iter().for_each(|(expert, row, rows, c)| {
            gemm_f32(
                ((self.k, 1), self.b_strides()),
                (rows, self.n, self.k),
                &a[row * self.k..],
                &b[expert * self.n * self.k..],
                c,
                self.accumulate,
                Parallelism::None,
            );
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
    /// What was multiplied, `[rows, in_features]`.
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
            let blocks = dweight.par_chunks_mut(TASK_ROWS * self.in_features).enumerate();
            blocks.for_each(|(block, dweight)| {
                let outputs = dweight.len() / self.in_features;
                gemm_f32(
                    ((1, self.out_features), (self.in_features, 1)),
                    (outputs, self.in_features, end - row),
                    &dy[row * self.out_features + block * TASK_ROWS..],
                    &x[row * self.in_features..],
                    dweight,
                    true,
                    Parallelism::None,
                );
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
