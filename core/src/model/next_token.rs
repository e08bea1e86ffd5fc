//! A state joined with the next token: the input of multi-token and next-latent prediction.

use super::context::{Ahead, Context};
use super::linear::Linear;
use super::norm::{Norm, Stream};
use crate::ops::embedding::{Embedding, EmbeddingBackward};
use crate::ops::matmul::Matmul;
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// Tensors for the backward.
pub(super) struct Joined {
    head: &'static str,
    hidden: Norm,
    token: Norm,
    /// `W_hidden norm(h_t) + W_token norm(embedding(x_{t + 1}))`, `[tokens, width]`.
    pub sum: View,
}

/// Names of the two parts in the names of norms and matrices.
const PARTS: [&str; 2] = ["hidden", "token"];

impl Joined {
    /// Joins the states `h [tokens, width]` with their next tokens, with the parameters of this head.
    pub fn forward(b: &mut PlanBuilder, cx: &Context<'_>, head: &'static str, h: View) -> Self {
        let (rows, width, vocab) = (cx.tokens(), cx.width(), cx.config.model.vocab_size);
        let tokens = ahead(cx).tokens;
        let x = b.activation("next_embedded", &[rows, width]);
        let weight = cx.weight(b, "embed_tokens");
        b.push(Embedding { tokens, weight, x, rows, vocab, width });
        let [hidden, token] = PARTS.map(|part| format!("{head}.{part}_norm"));
        let norm = |b: &mut PlanBuilder, gain: &str, sum: View| {
            Norm::forward(b, cx, gain, Stream { sum, branch: None }, None)
        };
        let (hidden, token) = (norm(b, &hidden, h), norm(b, &token, x));
        let sum = b.activation("joined", &[rows, width]);
        for (part, normed, accumulate) in [("hidden", hidden.y, false), ("token", token.y, true)] {
            let name = format!("{head}.{part}_proj");
            let product = project(cx, &name).product(b, cx, normed, sum, rows);
            b.push(Matmul { accumulate, ..product });
        }
        Self { head, hidden, token, sum }
    }

    /// Plans the backward of `dsum [tokens, width]`: adds to `dh`, and to the gradients of the embedding and of the
    /// head's parameters.
    pub fn backward(self, b: &mut PlanBuilder, cx: &Context<'_>, dsum: View, dh: View) {
        let (rows, width) = (cx.tokens(), cx.width());
        let Self { head, hidden, token, .. } = self;
        let dsum = cx.in_working(b, dsum);
        let dx = b.activation("dnext_embedded", &[rows, width]);
        for (part, norm, gradient, accumulate) in
            [("hidden", hidden, dh, true), ("token", token, dx, false)]
        {
            let name = format!("{head}.{part}_proj");
            let project = project(cx, &name);
            project.backward_weight(b, cx, dsum, norm.y, rows);
            let dnormed = b.activation_of(cx.working, "dnormed", &[rows, width]);
            project.backward_input(b, cx, dsum, dnormed, false, rows);
            norm.backward(b, cx, dnormed, gradient, accumulate);
        }
        let Ahead { tokens, sorted_positions, segment_starts, .. } = ahead(cx);
        let dweight = cx.gradient(b, "embed_tokens");
        let vocab = cx.config.model.vocab_size;
        b.push(EmbeddingBackward {
            tokens,
            sorted_positions,
            segment_starts,
            dx,
            dweight,
            rows,
            vocab,
            width,
        });
    }
}

fn project<'a>(cx: &Context<'_>, weight: &'a str) -> Linear<'a> {
    Linear { weight, inputs: cx.width(), outputs: cx.width(), dtype: cx.working }
}

/// The host's inputs about the next tokens.
pub(super) fn ahead(cx: &Context<'_>) -> Ahead {
    cx.inputs.ahead.expect("plans of heads that read the next token have it")
}
