//! The attention half of a block: norm, packed QKV projection, RoPE, causal attention with grouped
//! key-value heads, output projection.
//! Biases of the projection are products with ones: `[tokens, 1]` times the biases, to which the projection is added.
//! Their gradient is a product with ones, too: the sum over tokens. They take too small a part of a step for ops of
//! their own.

use super::context::{Cache, Context};
use super::linear::Linear;
use super::norm::{Norm, Stream};
use super::planned::CacheTensors;
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
    /// Projected, normalised and rotated, `[tokens, (q_heads + 2 kv_heads) * head_dim]`.
    qkv: View,
    heads_norm: Option<HeadsNorm>,
    /// Log-sum-exp of each query's scores, `[tokens * q_heads]`.
    lse: View,
    /// Attention's result, `[tokens, q_heads * head_dim]`.
    out: View,
}

fn shape(cx: &Context<'_>) -> Shape {
    let model = &cx.config.model;
    Shape {
        batch: cx.rows,
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
    x: View,
    /// `[tokens, q_heads + kv_heads]`.
    rstd: View,
}

/// The gains of a block's query and key heads, by name.
fn gains(block: &str) -> [String; 2] {
    ["q_norm", "k_norm"].map(|norm| format!("{block}.{norm}"))
}

/// The ones that biases are multiplied by, if the model has biases.
fn ones(cx: &Context<'_>) -> Option<View> {
    cx.inputs.ones.filter(|_| cx.config.model.has_qkv_bias())
}

/// The parameter with a block's biases, by name.
fn bias(block: &str) -> String {
    format!("{block}.qkv_bias")
}

fn heads(Shape { batch, context, q_heads, kv_heads, head_dim, .. }: Shape) -> Heads {
    Heads { tokens: batch * context, q_heads, kv_heads, head_dim }
}

fn rope(cx: &Context<'_>, qkv: View, inverse: bool) -> Rope {
    let Shape { context, q_heads, kv_heads, head_dim, .. } = shape(cx);
    let table = cx.inputs.rope_table;
    Rope { qkv, table, tokens: cx.tokens(), context, q_heads, kv_heads, head_dim, inverse }
}

/// Attention over a block's keys and values of earlier runs.
fn cached(
    b: &mut PlanBuilder,
    cx: &Context<'_>,
    name: &str,
    cache: Cache,
    qkv: View,
    out: View,
) -> CachedAttention {
    let Cache { tensors: CacheTensors { positions, cache_rows }, slots, rows } = cache;
    let context = cx.config.train.context_length;
    let shape = Shape { batch: rows, context, ..shape(cx) };
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
        let (shape, n) = (shape(cx), cx.tokens());
        let norm = Norm::forward(b, cx, &format!("{name}.attention_norm"), stream, None);
        let weight = format!("{name}.qkv");
        let (inputs, outputs, dtype) = (cx.width(), shape.width(), cx.working);
        let project = Linear { weight: &weight, inputs, outputs, dtype };
        let qkv = b.activation_of(dtype, "qkv", &[n, shape.width()]);
        let rope = rope(cx, qkv, false);
        let heads_norm = cx.config.model.has_qk_norm().then(|| HeadsNorm {
            x: b.activation_of(dtype, "projected", &[n, shape.width()]),
            rstd: b.activation("heads_rstd", &[n, shape.q_heads + shape.kv_heads]),
        });
        let projected = heads_norm.as_ref().map_or(qkv, |it| it.x);
        let product = project.product(b, cx, norm.y, projected, n);
        if heads_norm.is_none() && ones(cx).is_none() && cx.cache.is_none() {
            b.push(FusedProduct { product: Product::Dense(product), then: Then::Rope(rope) });
        } else {
            if let Some(ones) = ones(cx) {
                let bias = cx.weight(b, &bias(name));
                let (m, n, k, transpose) = (n, shape.width(), 1, Transpose::None);
                let accumulate = false;
                b.push(Matmul { a: ones, b: bias, c: projected, m, n, k, transpose, accumulate });
            }
            b.push(Matmul { accumulate: ones(cx).is_some(), ..product });
            if let Some(HeadsNorm { x, rstd }) = heads_norm {
                let [q_gain, k_gain] = gains(name).map(|gain| cx.weight(b, &gain));
                let (heads, eps) = (heads(shape), cx.config.model.rms_norm_eps);
                b.push(HeadNorm { x, q_gain, k_gain, y: qkv, rstd, heads, eps });
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
                let documents = cx.inputs.documents;
                b.push(Attention { qkv, out, lse, documents, shape });
            }
            Some(cache) => {
                let attention = cached(b, cx, name, cache, qkv, out);
                b.push(attention);
            }
        }
        let weight = format!("{name}.o_proj");
        let (inputs, outputs) = (shape.out_width(), cx.width());
        let project = Linear { weight: &weight, inputs, outputs, dtype };
        let branch = project.forward(b, cx, "out", out, n);
        (Stream { sum: norm.sum, branch: Some(branch) }, Self { norm, qkv, heads_norm, lse, out })
    }

    /// `dstream` is the gradient of the stream after this half on entry, before it on return.
    pub fn backward(self, b: &mut PlanBuilder, cx: &Context<'_>, name: &str, dstream: View) {
        let has_norm = cx.config.model.has_qk_norm();
        let (shape, n, width) = (shape(cx), cx.tokens(), cx.width());
        let weight = format!("{name}.o_proj");
        let (inputs, dtype) = (shape.out_width(), cx.working);
        let project = Linear { weight: &weight, inputs, outputs: width, dtype };
        let dbranch = cx.in_working(b, dstream);
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
            documents: cx.inputs.documents,
            shape,
        });
        b.push(rope(cx, dqkv, true));
        if let Some(HeadsNorm { x, rstd }) = self.heads_norm.filter(|_| has_norm) {
            let gains = gains(name);
            let [q_gain, k_gain] = gains.each_ref().map(|gain| cx.weight(b, gain));
            let [dq_gain, dk_gain] = gains.each_ref().map(|gain| cx.gradient(b, gain));
            let rows = HeadNormBackward::partial_rows(n);
            let partial = b.activation("dgains_partial", &[rows, 2 * shape.head_dim]);
            let heads = heads(shape);
            b.push(HeadNormBackward {
                dqkv,
                x,
                q_gain,
                k_gain,
                rstd,
                dq_gain,
                dk_gain,
                partial,
                heads,
            });
        }
        if let Some(ones) = ones(cx) {
            let dbias = cx.gradient(b, &bias(name));
            let ones = cx.in_working(b, ones);
            let (m, k, transpose) = (shape.width(), n, Transpose::A);
            b.push(Matmul { a: dqkv, b: ones, c: dbias, m, n: 1, k, transpose, accumulate: true });
        }
        let weight = format!("{name}.qkv");
        let project = Linear { weight: &weight, inputs: width, outputs: shape.width(), dtype };
        project.backward_weight(b, cx, dqkv, self.norm.y, n);
        let dnormed = b.activation_of(dtype, "dnormed", &[n, width]);
        project.backward_input(b, cx, dqkv, dnormed, false, n);
        self.norm.backward(b, cx, dnormed, dstream, true);
    }
}
