//! Rotary position embedding in place on the packed projection (Su et al. 2021, arXiv 2104.09864),
//! with the half-split pairing of Llama: feature `i` is rotated with feature `i + head_dim / 2`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::config::RopeScaling;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::ROWS_PER_TASK;
use crate::tensor::{OpMemory, Use, View};

/// Rotates every query and key head at position `t = token % context` by the angles
/// `φ_i = t theta^(-2i / head_dim)`:
///
/// `x_i ← x_i cos φ_i - x_{i+half} sin φ_i`, `x_{i+half} ← x_{i+half} cos φ_i + x_i sin φ_i`.
/// The gradient of a rotation is the inverse rotation: the backward is the same op on the gradient with `inverse`.
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// The packed projection (or its gradient), `[tokens, (q_heads + 2 kv_heads) head_dim]`, a row
    /// holding all query heads, then the key heads, then the value heads, which are unchanged.
    pub qkv: View,
    /// The result of [`table`], `[context, head_dim]`.
    pub table: View,
    /// Token states in all rows of the batch.
    pub tokens: usize,
    /// Positions of one row.
    pub context: usize,
    /// Query heads.
    pub q_heads: usize,
    /// Key heads, and as many value heads.
    pub kv_heads: usize,
    /// Features of a head; even.
    pub head_dim: usize,
    /// Rotate back.
    pub inverse: bool,
}

/// The [`Rope::table`]: row `t` holds `cos φ_i` for `i` in `0..head_dim / 2`, then `sin φ_i`, with scaled frequencies
/// if there is a scaling.
///
/// Angles are computed in f64: at position 8192, angles in f32 would have an error of 5e-4 radians.
pub fn table(
    context: usize,
    head_dim: usize,
    theta: f64,
    scaling: Option<&RopeScaling>,
) -> Vec<f32> {
    let frequencies = (0..head_dim / 2).map(|i| {
        let frequency = theta.powf(-((2 * i) as f64) / head_dim as f64);
        scaling.map_or(frequency, |scaling| scaling.scaled(frequency))
    });
    let frequencies: Vec<f64> = frequencies.collect();
    let mut table = Vec::with_capacity(context * head_dim);
    for position in 0..context {
        let angles = frequencies.iter().map(|frequency| position as f64 * frequency);
        table.extend(angles.clone().map(|angle| angle.cos() as f32));
        table.extend(angles.map(|angle| angle.sin() as f32));
    }
    table
}

impl Rope {
    /// Elements of a packed row.
    pub(super) fn width(&self) -> usize {
        (self.q_heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Number of rotated heads.
    pub(super) fn heads(&self) -> usize {
        self.q_heads + self.kv_heads
    }
}

impl Op for Rope {
    fn name(&self) -> &'static str {
        if self.inverse { "rope_backward" } else { "rope" }
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read_write(self.qkv), Use::read(self.table)]
    }

    fn flops(&self) -> f64 {
        3.0 * (self.tokens * self.heads() * self.head_dim) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (qkv, table) = (memory.write(self.qkv), memory.read(self.table));
        let half = self.head_dim / 2;
        for t in 0..self.tokens {
            for h in 0..self.heads() {
                for i in 0..half {
                    let cos = table[t % self.context * self.head_dim + i];
                    let sin = table[t % self.context * self.head_dim + half + i];
                    let sin = if self.inverse { -sin } else { sin };
                    let at = t * self.width() + h * self.head_dim + i;
                    let (a, b) = (qkv[at], qkv[at + half]);
                    qkv[at] = a * cos - b * sin;
                    qkv[at + half] = b * cos + a * sin;
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (qkv, table) = (memory.write(self.qkv), memory.read(self.table));
        let sign = if self.inverse { -1.0 } else { 1.0 };
        qkv.par_chunks_mut(ROWS_PER_TASK * self.width()).enumerate().for_each(|(task, rows)| {
            for (row, x) in rows.chunks_exact_mut(self.width()).enumerate() {
                let position = (task * ROWS_PER_TASK + row) % self.context;
                let angles = &table[position * self.head_dim..][..self.head_dim];
                turn_heads(&mut x[..self.heads() * self.head_dim], angles, sign);
            }
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let pairs = self.tokens * self.heads() * (self.head_dim / 2);
        vec![Dispatch {
            kernel: Kernel { module: Module::Shader("rope"), entry: "rope", constants: Vec::new() },
            bindings: vec![("qkv", self.qkv), ("table", self.table)],
            uniform: Uniform::new()
                .size(pairs)
                .size(self.context)
                .size(self.heads())
                .size(self.width())
                .size(self.head_dim / 2)
                .real(if self.inverse { -1.0 } else { 1.0 }),
            grid: linear_grid(pairs.div_ceil(64)),
        }]
    }
}

/// Rotates the heads in `x` by the angles of one position; `sign` -1 rotates back.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn turn_heads(x: &mut [f32], angles: &[f32], sign: f32) {
    let (cos, sin) = angles.split_at(angles.len() / 2);
    for head in x.chunks_exact_mut(angles.len()) {
        let (first, second) = head.split_at_mut(cos.len());
        for (((a, b), &cos), &sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            let sin = sign * sin;
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
