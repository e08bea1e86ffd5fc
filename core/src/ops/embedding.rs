//! Token embedding: `x[t] = weight[tokens[t]]`, and the gradient of the table, in which one task or thread owns each
//! row.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use super::gather_rows::GatherRows;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::axpy;
use crate::tensor::{OpMemory, Use, View};

/// Sorts the positions of a micro-batch by token, for [`EmbeddingBackward`].
///
/// Returns `sorted_positions [n]`, the positions in the order of their tokens (positions of equal tokens in the order
/// of the text), and `segment_starts [n + 1]`, where entry i is the place in
/// `sorted_positions` at which the run of the i-th distinct token starts; the entries after the
/// last run are n.
pub fn sort_tokens(tokens: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let n = tokens.len();
    let mut positions: Vec<u32> = (0..n as u32).collect();
    positions.sort_by_key(|&position| tokens[position as usize]);
    let token = |i: usize| tokens[positions[i] as usize];
    let mut starts: Vec<u32> =
        (0..n).filter(|&i| i == 0 || token(i) != token(i - 1)).map(|i| i as u32).collect();
    starts.resize(n + 1, n as u32);
    (positions, starts)
}

/// `x[t] = weight[tokens[t]]`.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// Token ids below `vocab`, `[rows]` of u32.
    pub tokens: View,
    /// The table, `[vocab, width]`.
    pub weight: View,
    /// Token states, `[rows, width]`.
    pub x: View,
    /// Number of tokens.
    pub rows: usize,
    /// Rows of the table.
    pub vocab: usize,
    /// Hidden size.
    pub width: usize,
}

impl Embedding {
    fn gather(&self) -> GatherRows {
        GatherRows {
            x: self.weight,
            index: self.tokens,
            y: self.x,
            rows: self.rows,
            width: self.width,
        }
    }
}

impl Op for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn uses(&self) -> Vec<Use> {
        self.gather().uses()
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        self.gather().twin(memory);
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        self.gather().fast(memory);
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        debug_assert_eq!(self.weight.len, self.vocab * self.width);
        self.gather().dispatches()
    }
}

/// Gradient of [`Embedding`]'s table: `dweight[v] += Σ_{t: tokens[t] = v} dx[t]`.
///
/// Each distinct token's row has one owner, which adds the token's positions in the order of the
/// text: without atomics, and with bitwise equal results in every run.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingBackward {
    /// Token ids below `vocab`, `[rows]` of u32.
    pub tokens: View,
    /// From [`sort_tokens`], `[rows]` of u32.
    pub sorted_positions: View,
    /// From [`sort_tokens`], `[rows + 1]` of u32.
    pub segment_starts: View,
    /// Gradient of the token states, `[rows, width]`.
    pub dx: View,
    /// Gradient of the table, `[vocab, width]`; always added to.
    pub dweight: View,
    /// Number of tokens.
    pub rows: usize,
    /// Rows of the table.
    pub vocab: usize,
    /// Hidden size.
    pub width: usize,
}

impl Op for EmbeddingBackward {
    fn name(&self) -> &'static str {
        "embedding_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.tokens),
            Use::read(self.sorted_positions),
            Use::read(self.segment_starts),
            Use::read(self.dx),
            Use::read_write(self.dweight),
        ]
    }

    fn flops(&self) -> f64 {
        self.rows as f64 * self.width as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (tokens, dx, dweight) =
            (memory.read_u32(self.tokens), memory.read(self.dx), memory.write(self.dweight));
        for t in 0..self.rows {
            for i in 0..self.width {
                dweight[tokens[t] as usize * self.width + i] += dx[t * self.width + i];
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let tokens = memory.read_u32(self.tokens);
        let positions = memory.read_u32(self.sorted_positions);
        let starts = memory.read_u32(self.segment_starts);
        let dx = memory.read(self.dx);
        // Runs are in the order of their tokens, so that each owner's row can be split off the table.
        let mut rest = memory.write(self.dweight);
        let mut first_row = 0;
        let mut owners = Vec::new();
        for run in starts.windows(2) {
            let run = &positions[run[0] as usize..run[1] as usize];
            let Some(&position) = run.first() else { break };
            let row = tokens[position as usize] as usize;
            let (_, tail) = rest.split_at_mut((row - first_row) * self.width);
            let (owned, tail) = tail.split_at_mut(self.width);
            owners.push((owned, run));
            (rest, first_row) = (tail, row + 1);
        }
        owners.into_par_iter().for_each(|(row, run)| add_rows(row, run, dx));
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("embedding_backward"),
                entry: "embedding_backward",
                constants: Vec::new(),
            },
            bindings: vec![
                ("tokens", self.tokens),
                ("sorted_positions", self.sorted_positions),
                ("segment_starts", self.segment_starts),
                ("dx", self.dx),
                ("dweight", self.dweight),
            ],
            uniform: Uniform::new().size(self.rows).size(self.width).size(self.vocab),
            grid: linear_grid(self.rows),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn add_rows(sum: &mut [f32], positions: &[u32], x: &[f32]) {
    let width = sum.len();
    for &position in positions {
        axpy(sum, 1.0, &x[position as usize * width..][..width]);
    }
}
