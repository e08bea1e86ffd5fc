//! Rows picked by index: `y[i] = x[index[i]]`.

use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::ROWS_PER_TASK;
use crate::tensor::{OpMemory, Use, View};

/// `y[i] = x[index[i]]` for whole rows.
#[derive(Clone, Copy, Debug)]
pub struct GatherRows {
    /// Rows to pick from, `[any, width]`.
    pub x: View,
    /// Index of the row of `x` for each row of `y`, `[rows]` of u32. An index past the end reads the last row on the
    /// GPU and panics on the CPU, so the host checks indices before it writes them.
    pub index: View,
    /// Picked rows, `[rows, width]`.
    pub y: View,
    /// Rows of `y`.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
}

impl Op for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::read(self.index), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (x, index, y) =
            (memory.read(self.x), memory.read_u32(self.index), memory.write(self.y));
        for i in 0..self.rows {
            for j in 0..self.width {
                y[i * self.width + j] = x[index[i] as usize * self.width + j];
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, index, y) =
            (memory.read(self.x), memory.read_u32(self.index), memory.write(self.y));
        let width = self.width;
        y.par_chunks_mut(ROWS_PER_TASK * width).zip(index.par_chunks(ROWS_PER_TASK)).for_each(
            |(y, index)| {
                for (y, &row) in y.chunks_exact_mut(width).zip(index) {
                    y.copy_from_slice(&x[row as usize * width..][..width]);
                }
            },
        );
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("gather_rows"),
                entry: "gather_rows",
                constants: Vec::new(),
            },
            bindings: vec![("x", self.x), ("index", self.index), ("y", self.y)],
            uniform: Uniform::new().size(self.rows).size(self.width).size(self.x.len / self.width),
            grid: linear_grid(self.rows),
        }]
    }
}
