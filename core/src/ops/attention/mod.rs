//! Causal attention with grouped query heads, with the softmax computed tile by tile, so that memory is linear in the
//! context (Dao 2023, FlashAttention-2, arXiv 2307.08691; Ainslie et al. 2023, arXiv 2305.13245).
//!
//! For query head `h` reading key and value head `g = h kv_heads / q_heads`:
//! `s_ij = q_i · k_j / √head_dim`, `p_ij = softmax over j <= i`, `out_i = Σ_j p_ij v_j`.
//!
//! With `documents`, a query sees only keys of its own document: the matrix of `p` is block-diagonal.

mod blocks;
mod cached;
mod fast;
mod tile;
mod variants;

pub use cached::{CachedAttention, IDLE};
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Variant};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// Extents of an attention, and positions of heads in a packed row: all query heads, then the key heads, then the value
/// heads.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows of the batch. Attention does not cross rows.
    pub batch: usize,
    /// Tokens of a row.
    pub context: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key heads, and as many value heads.
    pub kv_heads: usize,
    /// Features of a head; even, at most 256.
    pub head_dim: usize,
}

impl Shape {
    /// Elements of a token's packed projection.
    pub fn width(&self) -> usize {
        (self.q_heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Elements of a token's result.
    pub fn out_width(&self) -> usize {
        self.q_heads * self.head_dim
    }

    /// Tokens of the batch.
    pub fn tokens(&self) -> usize {
        self.batch * self.context
    }

    /// Column of a query head, in a packed row and in a row of results.
    fn q(&self, head: usize) -> usize {
        head * self.head_dim
    }

    /// Column of a key head.
    fn k(&self, kv: usize) -> usize {
        (self.q_heads + kv) * self.head_dim
    }

    /// Column of a value head.
    fn v(&self, kv: usize) -> usize {
        (self.q_heads + self.kv_heads + kv) * self.head_dim
    }

    /// The key and value head that a query head reads.
    fn kv_head(&self, head: usize) -> usize {
        head / (self.q_heads / self.kv_heads)
    }

    /// The query heads that read a key and value head.
    fn q_heads_of(&self, kv: usize) -> std::ops::Range<usize> {
        let group = self.q_heads / self.kv_heads;
        kv * group..(kv + 1) * group
    }

    /// The scale of the scores.
    fn scale(&self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }

    /// Number of (query, key) pairs of all heads whose key is not in the future.
    fn pairs(&self) -> f64 {
        (self.batch * self.q_heads) as f64 * (self.context * (self.context + 1) / 2) as f64
    }

    /// Element `i` of a head that starts at `column` of the packed row of token (row, t).
    fn at(&self, row: usize, t: usize, column: usize) -> usize {
        (row * self.context + t) * self.width() + column
    }

    /// The same index in a row of results.
    fn out_at(&self, row: usize, t: usize, head: usize) -> usize {
        (row * self.context + t) * self.out_width() + self.q(head)
    }

    /// Index in `lse`.
    fn lse_at(&self, row: usize, t: usize, head: usize) -> usize {
        (row * self.q_heads + head) * self.context + t
    }
}

/// `out = softmax(q kᵀ / √head_dim, causal) v`, and the log-sum-exp of each softmax.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Packed projection, already rotated, `[tokens, width]`.
    pub qkv: View,
    /// Result, `[tokens, q_heads * head_dim]`.
    pub out: View,
    /// `ln Σ_j exp(s_ij)`, saved for the backward, `[batch, q_heads, context]`.
    pub lse: View,
    /// [`document_bounds`] of each token; none if queries see all earlier tokens of the row.
    pub documents: Option<View>,
    /// Extents.
    pub shape: Shape,
}

/// The bounds of documents, `[tokens, 2]`: for each token the first token of its document in the row, and the token
/// after the last. `starts` has the former, and `context` tokens a row.
pub fn document_bounds(starts: &[u32], context: usize) -> Vec<u32> {
    let mut bounds = Vec::with_capacity(2 * starts.len());
    for row in starts.chunks(context) {
        let mut end = 0;
        for document in row.chunk_by(|a, b| a == b) {
            end += document.len() as u32;
            bounds.extend(document.iter().flat_map(|&start| [start, end]));
        }
    }
    bounds
}

/// The first key that each query of a row sees: 0 without `documents`, the bounds of all tokens.
struct FirstKeys<'a> {
    documents: Option<&'a [u32]>,
    first: usize,
}

impl<'a> FirstKeys<'a> {
    fn of_row(documents: Option<&'a [u32]>, row: usize, shape: &Shape) -> Self {
        Self { documents, first: row * shape.context }
    }

    /// The first key that query `i` sees.
    fn of(&self, i: usize) -> usize {
        self.documents.map_or(0, |bounds| bounds[2 * (self.first + i)] as usize)
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn uses(&self) -> Vec<Use> {
        let documents = self.documents.map(Use::read);
        let uses = [Use::read(self.qkv), Use::write(self.out), Use::write(self.lse)];
        uses.into_iter().chain(documents).collect()
    }

    fn flops(&self) -> f64 {
        self.shape.pairs() * (4 * self.shape.head_dim) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let shape = &self.shape;
        let (qkv, out, lse) =
            (memory.read(self.qkv), memory.write(self.out), memory.write(self.lse));
        let documents = self.documents.map(|view| memory.read_u32(view));
        let scale = R::of(shape.head_dim as f64).sqrt().recip();
        for row in 0..shape.batch {
            let first_keys = FirstKeys::of_row(documents, row, shape);
            for head in 0..shape.q_heads {
                let kv = shape.kv_head(head);
                for i in 0..shape.context {
                    let q = shape.at(row, i, shape.q(head));
                    let first = first_keys.of(i);
                    let scores: Vec<R> = (first..=i)
                        .map(|j| {
                            let k = shape.at(row, j, shape.k(kv));
                            scale * (0..shape.head_dim).map(|d| qkv[q + d] * qkv[k + d]).sum::<R>()
                        })
                        .collect();
                    let largest = scores.iter().fold(R::neg_infinity(), |m, &s| m.max(s));
                    let total: R = scores.iter().map(|&s| (s - largest).exp()).sum();
                    let log_sum = largest + total.ln();
                    for d in 0..shape.head_dim {
                        out[shape.out_at(row, i, head) + d] = (first..=i)
                            .map(|j| {
                                let v = qkv[shape.at(row, j, shape.v(kv)) + d];
                                (scores[j - first] - log_sum).exp() * v
                            })
                            .sum();
                    }
                    lse[shape.lse_at(row, i, head)] = log_sum;
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let shape = &self.shape;
        let qkv = memory.read(self.qkv);
        let out = fast::Shared::new(memory.write(self.out));
        let lse = memory.write(self.lse);
        let documents = self.documents.map(|view| memory.read_u32(view));
        lse.par_chunks_mut(shape.context).enumerate().for_each(|(task, lse)| {
            let (row, head) = (task / shape.q_heads, task % shape.q_heads);
            let qkv = part(qkv, row, shape.context * shape.width());
            let first_keys = FirstKeys::of_row(documents, row, shape);
            // SAFETY: each row and head has one task.
            unsafe { fast::forward(shape, (row, head), qkv, &first_keys, &out, lse) };
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        variants::forward::baseline(self)
    }

    fn alternatives(&self) -> Vec<Variant> {
        variants::forward::alternatives(self)
    }

    fn tuning_class(&self) -> String {
        variants::class(&self.shape, self.documents)
    }
}

/// Gradient of [`Attention`]. With `p_ij = exp(s_ij - lse_i)` and `δ_i = dout_i · out_i`:
/// `ds_ij = p_ij (dout_i · v_j - δ_i) / √head_dim`, `dq_i = Σ_j ds_ij k_j`, and over the query heads
/// of a group `dk_j = Σ_i ds_ij q_i`, `dv_j = Σ_i p_ij dout_i`.
#[derive(Clone, Copy, Debug)]
pub struct AttentionBackward {
    /// The forward's packed projection, `[tokens, width]`.
    pub qkv: View,
    /// The forward's result, `[tokens, q_heads * head_dim]`.
    pub out: View,
    /// Its gradient, `[tokens, q_heads * head_dim]`.
    pub dout: View,
    /// From the forward, `[batch, q_heads, context]`.
    pub lse: View,
    /// Gradient of `qkv`, with the same packing; all elements are written, `[tokens, width]`.
    pub dqkv: View,
    /// Scratch for the GPU, `δ` as `[batch, q_heads, context]`.
    pub delta: View,
    /// As in the forward.
    pub documents: Option<View>,
    /// Extents.
    pub shape: Shape,
}

impl Op for AttentionBackward {
    fn name(&self) -> &'static str {
        "attention_backward"
    }

    fn uses(&self) -> Vec<Use> {
        let uses = [
            Use::read(self.qkv),
            Use::read(self.out),
            Use::read(self.dout),
            Use::read(self.lse),
            Use::write(self.dqkv),
            Use::scratch(self.delta),
        ];
        uses.into_iter().chain(self.documents.map(Use::read)).collect()
    }

    fn flops(&self) -> f64 {
        self.shape.pairs() * (10 * self.shape.head_dim) as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let shape = &self.shape;
        let (qkv, out) = (memory.read(self.qkv), memory.read(self.out));
        let (dout, lse) = (memory.read(self.dout), memory.read(self.lse));
        let dqkv = memory.write(self.dqkv);
        dqkv.fill(R::zero());
        let documents = self.documents.map(|view| memory.read_u32(view));
        let scale = R::of(shape.head_dim as f64).sqrt().recip();
        for row in 0..shape.batch {
            let first_keys = FirstKeys::of_row(documents, row, shape);
            for head in 0..shape.q_heads {
                let kv = shape.kv_head(head);
                for i in 0..shape.context {
                    let q = shape.at(row, i, shape.q(head));
                    let o = shape.out_at(row, i, head);
                    let delta: R = (0..shape.head_dim).map(|d| dout[o + d] * out[o + d]).sum();
                    for j in first_keys.of(i)..=i {
                        let k = shape.at(row, j, shape.k(kv));
                        let v = shape.at(row, j, shape.v(kv));
                        let qk: R = (0..shape.head_dim).map(|d| qkv[q + d] * qkv[k + d]).sum();
                        let dp: R = (0..shape.head_dim).map(|d| dout[o + d] * qkv[v + d]).sum();
                        let p = (qk * scale - lse[shape.lse_at(row, i, head)]).exp();
                        let ds = p * (dp - delta) * scale;
                        for d in 0..shape.head_dim {
                            dqkv[q + d] += ds * qkv[k + d];
                            dqkv[k + d] += ds * qkv[q + d];
                            dqkv[v + d] += p * dout[o + d];
                        }
                    }
                }
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let shape = &self.shape;
        let (qkv, out) = (memory.read(self.qkv), memory.read(self.out));
        let (dout, lse) = (memory.read(self.dout), memory.read(self.lse));
        let dqkv = fast::Shared::new(memory.write(self.dqkv));
        let documents = self.documents.map(|view| memory.read_u32(view));
        (0..shape.batch * shape.kv_heads).into_par_iter().for_each(|task| {
            let (row, kv) = (task / shape.kv_heads, task % shape.kv_heads);
            let results = shape.context * shape.out_width();
            let saved = (
                part(qkv, row, shape.context * shape.width()),
                part(out, row, results),
                part(dout, row, results),
                part(lse, row, shape.q_heads * shape.context),
            );
            let first_keys = FirstKeys::of_row(documents, row, shape);
            // SAFETY: each row and key head has one task, and each query head reads one key head.
            unsafe { fast::backward(shape, (row, kv), saved, &first_keys, &dqkv) };
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        variants::backward::baseline(self)
    }

    fn alternatives(&self) -> Vec<Variant> {
        variants::backward::alternatives(self)
    }

    fn tuning_class(&self) -> String {
        variants::class(&self.shape, self.documents)
    }
}

/// The `index`-th part of `len` elements.
fn part(x: &[f32], index: usize, len: usize) -> &[f32] {
    &x[index * len..][..len]
}
