//! Attention of new tokens over keys and values that a cache keeps from one run to the next.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Shape;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{axpy, dot, exp, max};
use crate::ops::Op;
use crate::ops::rope::turn_heads;
use crate::tensor::{OpMemory, Use, View};

/// The position of a slot without a token.
pub const IDLE: u32 = u32::MAX;

/// [`Attention`](super::Attention) of one token a slot. Each slot's query and key heads are turned by its
/// position ([`Rope`](crate::ops::rope::Rope)), its keys and values go to that position of a row of the cache,
/// and after *all* slots have done so, its queries see the positions of that row up to their own.
///
/// So a run may hold one new token of each of several texts, or several tokens of one.
#[derive(Clone, Copy, Debug)]
pub struct CachedAttention {
    /// Packed projections, `[slots, width]`; query and key heads are turned in place.
    pub qkv: View,
    /// What [`rope::table`](crate::ops::rope::table) makes, `[context, head_dim]`.
    pub table: View,
    /// The position of each slot's token in its row, below the context, or [`IDLE`], `[slots]` of u32. No two
    /// slots have the same row and position.
    pub positions: View,
    /// The row of the cache of each slot, `[slots]` of u32.
    pub cache_rows: View,
    /// Turned keys, `[rows, context, kv_heads * head_dim]`.
    pub keys: View,
    /// Values, as `keys`.
    pub values: View,
    /// Result, `[slots, q_heads * head_dim]`; zeros where a slot is idle.
    pub out: View,
    /// Tokens of a run.
    pub slots: usize,
    /// Extents of the cache (`batch` counts its rows) and of heads.
    pub shape: Shape,
}

impl CachedAttention {
    /// Elements of the keys, or values, of one position.
    fn kv_width(&self) -> usize {
        self.shape.kv_heads * self.shape.head_dim
    }

    /// Where the keys and values of a slot's row begin, and how many positions its queries see.
    fn seen(&self, positions: &[u32], cache_rows: &[u32], slot: usize) -> Option<(usize, usize)> {
        let row = cache_rows[slot] as usize;
        let first = row * self.shape.context * self.kv_width();
        (positions[slot] != IDLE).then(|| (first, positions[slot] as usize + 1))
    }

    fn turned_heads(&self) -> usize {
        self.shape.q_heads + self.shape.kv_heads
    }
}

impl Op for CachedAttention {
    fn name(&self) -> &'static str {
        "attention_cached"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read_write(self.qkv),
            Use::read(self.table),
            Use::read(self.positions),
            Use::read(self.cache_rows),
            Use::read_write(self.keys),
            Use::read_write(self.values),
            Use::write(self.out),
        ]
    }

    /// As if each slot saw half of the context.
    fn flops(&self) -> f64 {
        let pairs = self.slots * self.shape.q_heads * self.shape.context / 2;
        (pairs * 4 * self.shape.head_dim) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (qkv, table) = (memory.write(self.qkv), memory.read(self.table));
        let (positions, rows) = (memory.read_u32(self.positions), memory.read_u32(self.cache_rows));
        let (keys, values) = (memory.write(self.keys), memory.write(self.values));
        let out = memory.write(self.out);
        let Shape { q_heads, head_dim, .. } = self.shape;
        let (width, half, kv_width) = (self.shape.width(), head_dim / 2, self.kv_width());
        for slot in 0..self.slots {
            let Some((first, seen)) = self.seen(positions, rows, slot) else { continue };
            let packed = &mut qkv[slot * width..][..width];
            let angles = &table[(seen - 1) * head_dim..][..head_dim];
            for h in 0..self.turned_heads() {
                for i in 0..half {
                    let (cos, sin) = (angles[i], angles[half + i]);
                    let at = h * head_dim + i;
                    let (a, b) = (packed[at], packed[at + half]);
                    packed[at] = a * cos - b * sin;
                    packed[at + half] = b * cos + a * sin;
                }
            }
            for i in 0..kv_width {
                let at = first + (seen - 1) * kv_width + i;
                keys[at] = packed[self.shape.k(0) + i];
                values[at] = packed[self.shape.v(0) + i];
            }
        }
        let scale = R::of(head_dim as f64).sqrt().recip();
        for slot in 0..self.slots {
            let Some((first, seen)) = self.seen(positions, rows, slot) else {
                out[slot * q_heads * head_dim..][..q_heads * head_dim].fill(R::zero());
                continue;
            };
            for head in 0..q_heads {
                let q = slot * width + self.shape.q(head);
                let at = |j: usize| first + j * kv_width + self.shape.kv_head(head) * head_dim;
                let score = |j: usize| {
                    scale * (0..head_dim).map(|d| qkv[q + d] * keys[at(j) + d]).sum::<R>()
                };
                let scores: Vec<R> = (0..seen).map(score).collect();
                let largest = scores.iter().fold(R::neg_infinity(), |m, &s| m.max(s));
                let total: R = scores.iter().map(|&s| (s - largest).exp()).sum();
                for d in 0..head_dim {
                    let terms = (0..seen).map(|j| (scores[j] - largest).exp() * values[at(j) + d]);
                    out[slot * q_heads * head_dim + self.shape.q(head) + d] =
                        terms.sum::<R>() / total;
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        /// Elements of keys that pay for a task.
        const LEAST_WORK: usize = 1 << 15;
        let (qkv, table) = (memory.write(self.qkv), memory.read(self.table));
        let (positions, rows) = (memory.read_u32(self.positions), memory.read_u32(self.cache_rows));
        let (keys, values) = (memory.write(self.keys), memory.write(self.values));
        let Shape { q_heads, head_dim, .. } = self.shape;
        let (width, kv_width) = (self.shape.width(), self.kv_width());
        let mut most = 1;
        for (slot, packed) in qkv.chunks_exact_mut(width).enumerate() {
            let Some((first, seen)) = self.seen(positions, rows, slot) else { continue };
            let angles = &table[(seen - 1) * head_dim..][..head_dim];
            turn_heads(&mut packed[..self.turned_heads() * head_dim], angles, 1.0);
            let at = first + (seen - 1) * kv_width;
            keys[at..at + kv_width].copy_from_slice(&packed[self.shape.k(0)..][..kv_width]);
            values[at..at + kv_width].copy_from_slice(&packed[self.shape.v(0)..][..kv_width]);
            most = most.max(seen);
        }
        let (qkv, keys, values) = (&*qkv, &*keys, &*values);
        let out = memory.write(self.out).par_chunks_mut(head_dim).enumerate();
        let least = LEAST_WORK.div_ceil(most * head_dim);
        out.with_min_len(least).for_each_init(Vec::new, |scores, (task, out)| {
            let (slot, head) = (task / q_heads, task % q_heads);
            let Some((first, seen)) = self.seen(positions, rows, slot) else {
                return out.fill(0.0);
            };
            let query = &qkv[slot * width + self.shape.q(head)..][..head_dim];
            let column = first + self.shape.kv_head(head) * head_dim;
            let kept = Kept { keys: &keys[column..], values: &values[column..], stride: kv_width };
            scores.resize(seen, 0.0);
            attend(query, self.shape.scale(), &kept, scores, out);
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let Shape { context, q_heads, kv_heads, head_dim, .. } = self.shape;
        let pairs = self.slots * self.shape.width() / 2;
        let dispatch = |entry, bindings, workgroups| Dispatch {
            kernel: Kernel {
                module: Module::Shader("attention_cached"),
                entry,
                constants: Vec::new(),
            },
            bindings,
            uniform: Uniform::new()
                .size(self.slots)
                .size(context)
                .size(q_heads)
                .size(kv_heads)
                .size(head_dim)
                .real(self.shape.scale()),
            grid: linear_grid(workgroups),
        };
        let (positions, cache_rows) =
            (("positions", self.positions), ("cache_rows", self.cache_rows));
        let (qkv, keys, values) = (("qkv", self.qkv), ("keys", self.keys), ("values", self.values));
        let table = ("table", self.table);
        vec![
            dispatch(
                "append_to_cache",
                vec![qkv, table, positions, cache_rows, keys, values],
                pairs.div_ceil(64),
            ),
            dispatch(
                "attention_cached",
                vec![qkv, positions, cache_rows, keys, values, ("out", self.out)],
                self.slots * q_heads,
            ),
        ]
    }
}

/// Keys and values of one head, position by position.
struct Kept<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    /// Elements from one position to the next.
    stride: usize,
}

/// `out = softmax(scale q kᵀ) v` over as many positions as there are scores.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn attend(query: &[f32], scale: f32, kept: &Kept<'_>, scores: &mut [f32], out: &mut [f32]) {
    let head_dim = query.len();
    for (j, score) in scores.iter_mut().enumerate() {
        *score = scale * dot(query, &kept.keys[j * kept.stride..][..head_dim]);
    }
    let largest = max(scores);
    let mut total = 0.0;
    out.fill(0.0);
    for (j, &score) in scores.iter().enumerate() {
        let weight = exp(score - largest);
        total += weight;
        axpy(out, weight, &kept.values[j * kept.stride..][..head_dim]);
    }
    out.iter_mut().for_each(|x| *x /= total);
}
