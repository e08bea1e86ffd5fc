//! The attention half of a block: norm, packed QKV projection, RoPE, causal attention with grouped
//! key-value heads, output projection.
//! Biases of the projection are products with ones: `[tokens, 1]` times the biases, to which the projection is added.
//! Their gradient is a product with ones, too: the sum over tokens. They take too small a part of a step for ops of
//! their own.

use super::context::{Cache, Context};
use super::linear::Linear;
use super::norm::{Norm, Stream};
use super::planned::CacheTensors;
use super::rows::Rows;
use crate::ops::attention::{Attention, AttentionBackward, CachedAttention, Shape};
use crate::ops::fused_product::{FusedProduct, Product, Then};
use crate::ops::head_norm::{HeadNorm, HeadNormBackward, Heads};
use crate::ops::matmul::{Matmul, Transpose};
use crate::ops::rope::Rope;
use crate::plan::PlanBuilder;
use crate::tensor::{DType, Role, View};

/// Tensors for the backward.
pub(super) struct AttentionBlock {
    norm: Norm,
    parts: Vec<Part>,
}

/// Activations of a part of the texts.
struct Part {
    /// Its tokens.
    rows: Rows,
    /// Projected, normalised and rotated, `[tokens, (q_heads + 2 kv_heads) * head_dim]`.
    qkv: View,
    heads_norm: Option<HeadsNorm>,
    /// Log-sum-exp of each query's scores, `[tokens * q_heads]`.
    lse: View,
    /// Attention's result, `[tokens, q_heads * head_dim]`.
    out: View,
}

fn shape(cx: &Context<'_>, rows: Rows) -> Shape {
    let model = &cx.config.model;
    Shape {
        batch: rows.len / cx.context,
        context: cx.context,
        q_heads: model.num_attention_heads,
        kv_heads: model.num_key_value_heads,
        head_dim: model.head_dim,
    }
}

/// Tensors for the backward of the heads' norm.
#[derive(Clone, Copy)]
struct HeadsNorm {
    /// The projection before the norm, with the shape of `qkv`.
    before: View,
    /// `[tokens, q_heads + kv_heads]`.
    rstd: View,
}

/// The gains of a block's query and key heads, by name.
fn gains(block: &str) -> [String; 2] {
    ["q_norm", "k_norm"].map(|norm| format!("{block}.{norm}"))
}

/// The ones that biases are multiplied by, if the model has biases.
fn ones(cx: &Context<'_>, rows: Rows) -> Option<View> {
    let ones = cx.inputs.ones.filter(|_| cx.config.model.has_qkv_bias());
    ones.map(|ones| ones.slice(0, rows.len))
}

/// The parameter with a block's biases, by name.
fn bias(block: &str) -> String {
    format!("{block}.qkv_bias")
}

fn heads(Shape { batch, context, q_heads, kv_heads, head_dim, .. }: Shape) -> Heads {
    Heads { tokens: batch * context, q_heads, kv_heads, head_dim }
}

fn rope(cx: &Context<'_>, qkv: View, shape: Shape, inverse: bool) -> Rope {
    let Shape { batch, context, q_heads, kv_heads, head_dim, .. } = shape;
    let (table, tokens) = (cx.inputs.rope_table, batch * context);
    Rope { qkv, table, tokens, context, q_heads, kv_heads, head_dim, inverse }
}

/// Attention over a block's keys and values of earlier runs.
fn cached(
    b: &mut PlanBuilder,
    cx: &Context<'_>,
    name: &str,
    cache: Cache,
    [qkv, out]: [View; 2],
    shape: Shape,
) -> CachedAttention {
    let Cache { tensors: CacheTensors { positions, cache_rows }, slots, rows } = cache;
    let context = cx.config.train.context_length;
    let shape = Shape { batch: rows, context, ..shape };
    let extents = [rows, context, shape.kv_heads * shape.head_dim];
    let [keys, values] = ["keys", "values"]
        .map(|it| b.shared(&format!("{name}.{it}"), &extents, DType::Real, Role::Kept));
    let table = cx.inputs.rope_table;
    CachedAttention { qkv, table, positions, cache_rows, keys, values, out, slots, shape }
}

impl AttentionBlock {
    /// The residual stream that the block reads, `[tokens, width]`.
    pub fn input(&self) -> View {
        self.norm.sum
    }

    /// The stream with this half's output pending.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        name: &str,
        stream: Stream,
    ) -> (Stream, Self) {
        let norm = Norm::forward(b, cx, &format!("{name}.attention_norm"), stream, None);
        let width = cx.width();
        let branch = b.activation_of(cx.working, "out", &[cx.tokens(), width]);
        let parts = parts(cx).into_iter().map(|rows| {
            let part = Part::forward(b, cx, name, rows, rows.of(norm.y, width));
            let weight = format!("{name}.o_proj");
            let inputs = shape(cx, rows).out_width();
            let project = Linear { weight: &weight, inputs, outputs: width, dtype: cx.working };
            project.forward_into(b, cx, part.out, rows.of(branch, width), rows.len);
            part
        });
        let parts = parts.collect();
        (Stream { sum: norm.sum, branch: Some(branch) }, Self { norm, parts })
    }

    /// `dstream` is the gradient of the stream after this half on entry, before it on return.
    pub fn backward(self, b: &mut PlanBuilder, cx: &Context<'_>, name: &str, dstream: View) {
        let (n, width) = (cx.tokens(), cx.width());
        let dbranch = cx.in_working(b, dstream);
        let dnormed = b.activation_of(cx.working, "dnormed", &[n, width]);
        for part in self.parts {
            let rows = part.rows;
            let [x, dbranch, dx] = [self.norm.y, dbranch, dnormed].map(|view| rows.of(view, width));
            part.backward(b, cx, name, x, dbranch, dx);
        }
        self.norm.backward(b, cx, dnormed, dstream, true);
    }
}

/// The texts of a run, divided so that the projected states fit a binding.
fn parts(cx: &Context<'_>) -> Vec<Rows> {
    let all = Rows { first: 0, len: cx.tokens() };
    // The tokens of a cache are few, and read it as a whole.
    if cx.cache.is_some() { vec![all] } else { cx.parts_of_texts(shape(cx, all).width()) }
}

impl Part {
    /// Attention of the normalised states `x` `[rows, width]` of a part.
    fn forward(b: &mut PlanBuilder, cx: &Context<'_>, name: &str, rows: Rows, x: View) -> Self {
        let (shape, n) = (shape(cx, rows), rows.len);
        let weight = format!("{name}.qkv");
        let (inputs, outputs, dtype) = (cx.width(), shape.width(), cx.working);
        let project = Linear { weight: &weight, inputs, outputs, dtype };
        let qkv = b.activation_of(dtype, "qkv", &[n, shape.width()]);
        let rope = rope(cx, qkv, shape, false);
        let heads_norm = cx.config.model.has_qk_norm().then(|| HeadsNorm {
            before: b.activation_of(dtype, "projected", &[n, shape.width()]),
            rstd: b.activation("heads_rstd", &[n, shape.q_heads + shape.kv_heads]),
        });
        let projected = heads_norm.as_ref().map_or(qkv, |it| it.before);
        let product = project.product(b, cx, x, projected, n);
        if heads_norm.is_none() && ones(cx, rows).is_none() && cx.cache.is_none() {
            b.push(FusedProduct { product: Product::Dense(product), then: Then::Rope(rope) });
        } else {
            if let Some(ones) = ones(cx, rows) {
                let bias = cx.weight(b, &bias(name));
                let (m, n, k, transpose) = (n, shape.width(), 1, Transpose::None);
                let accumulate = false;
                b.push(Matmul { a: ones, b: bias, c: projected, m, n, k, transpose, accumulate });
            }
            b.push(Matmul { accumulate: ones(cx, rows).is_some(), ..product });
            if let Some(HeadsNorm { before, rstd }) = heads_norm {
                let [q_gain, k_gain] = gains(name).map(|gain| cx.weight(b, &gain));
                let (heads, eps) = (heads(shape), cx.config.model.rms_norm_eps);
                b.push(HeadNorm { x: before, q_gain, k_gain, y: qkv, rstd, heads, eps });
            }
            // With a cache, attention applies RoPE itself.
            if cx.cache.is_none() {
                b.push(rope);
            }
        }
        let out = b.activation_of(cx.working, "heads_out", &[n, shape.out_width()]);
        let lse = b.activation("lse", &[n * shape.q_heads]);
        match cx.cache {
            None => {
                let documents = cx.inputs.documents.map(|it| rows.of(it, 2));
                b.push(Attention { qkv, out, lse, documents, shape });
            }
            Some(cache) => {
                let attention = cached(b, cx, name, cache, [qkv, out], shape);
                b.push(attention);
            }
        }
        Self { rows, qkv, heads_norm, lse, out }
    }

    /// Writes the gradient of `x` to `dx`, both `[rows, width]`, and adds to those of the parameters; `dbranch` is that
    /// of the part's output.
    fn backward(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        name: &str,
        x: View,
        dbranch: View,
        dx: View,
    ) {
        let has_norm = cx.config.model.has_qk_norm();
        let (shape, n, width) = (shape(cx, self.rows), self.rows.len, cx.width());
        let weight = format!("{name}.o_proj");
        let (inputs, dtype) = (shape.out_width(), cx.working);
        let project = Linear { weight: &weight, inputs, outputs: width, dtype };
        project.backward_weight(b, cx, dbranch, self.out, n);
        let dout = b.activation_of(dtype, "dheads_out", &[n, shape.out_width()]);
        project.backward_input(b, cx, dbranch, dout, false, n);
        let dqkv = b.activation_of(dtype, "dqkv", &[n, shape.width()]);
        let delta = b.activation("delta", &[n * shape.q_heads]);
        b.push(AttentionBackward {
            qkv: self.qkv,
            out: self.out,
            lse: self.lse,
            dout,
            delta,
            dqkv,
            documents: cx.inputs.documents.map(|it| self.rows.of(it, 2)),
            shape,
        });
        b.push(rope(cx, dqkv, shape, true));
        if let Some(HeadsNorm { before, rstd }) = self.heads_norm.filter(|_| has_norm) {
            let gains = gains(name);
            let [q_gain, k_gain] = gains.each_ref().map(|gain| cx.weight(b, gain));
            let [dq_gain, dk_gain] = gains.each_ref().map(|gain| cx.gradient(b, gain));
            let rows = HeadNormBackward::partial_rows(n);
            let partial = b.activation("dgains_partial", &[rows, 2 * shape.head_dim]);
            let heads = heads(shape);
            b.push(HeadNormBackward {
                dqkv,
                x: before,
                q_gain,
                k_gain,
                rstd,
                dq_gain,
                dk_gain,
                partial,
                heads,
            });
        }
        if let Some(ones) = ones(cx, self.rows) {
            let dbias = cx.gradient(b, &bias(name));
            let ones = cx.in_working(b, ones);
            let (m, k, transpose) = (shape.width(), n, Transpose::A);
            b.push(Matmul { a: dqkv, b: ones, c: dbias, m, n: 1, k, transpose, accumulate: true });
        }
        let weight = format!("{name}.qkv");
        let project = Linear { weight: &weight, inputs: width, outputs: shape.width(), dtype };
        project.backward_weight(b, cx, dqkv, x, n);
        project.backward_input(b, cx, dqkv, dx, false, n);
    }
}
