//! Logits of states and their loss, for next-token prediction and for other objectives that predict tokens. They are
//! computed in chunks of tokens, so that logits of all tokens are never in memory.

use super::context::{Context, metric, record};
use super::linear::Linear;
use crate::config::RIVALS_IN_PROGRAM;
use crate::ops::cross_entropy::{CrossEntropy, CrossEntropyGradient};
use crate::ops::scalars;
use crate::ops::token_order::TokenOrder;
use crate::plan::PlanBuilder;
use crate::tensor::{DType, View};

/// Logits of one chunk: 16 MiB, so that its products keep a GPU busy.
const CHUNK_ELEMENTS: usize = 1 << 22;

/// Largest number of chunks: each adds some nodes to the plan.
const MOST_CHUNKS: usize = 256;

/// Tokens of a chunk: a multiple of [`View::ALIGNMENT`], so that slices of labels can be bound,
/// and (above that) at most about half of all. A chunk has at most `most` elements, if so many hold such a multiple.
fn chunk_rows(tokens: usize, vocab_size: usize, most: usize) -> usize {
    let rows = (CHUNK_ELEMENTS / vocab_size).min(tokens.div_ceil(2));
    let rows = rows.max(tokens.div_ceil(MOST_CHUNKS));
    let fitting = (most / vocab_size / View::ALIGNMENT).max(1) * View::ALIGNMENT;
    rows.next_multiple_of(View::ALIGNMENT).min(fitting).min(tokens)
}

/// The unembedding: `lm_head`, or the embedding if they are tied.
pub(super) fn unembedding<'a>(cx: &Context<'_>) -> Linear<'a> {
    let model = &cx.config.model;
    Linear {
        weight: if model.tie_word_embeddings { "embed_tokens" } else { "lm_head" },
        inputs: model.hidden_size,
        outputs: model.vocab_size,
        dtype: cx.working,
    }
}

/// A loss of logits: the projection to logits, and their target.
pub(super) struct TokenLoss<'a> {
    /// From states to logits.
    pub project: Linear<'a>,
    pub compared: Compared,
    /// Its weight in the total loss.
    pub weight: f64,
    /// Index of the scalar that turns the sum over positions into a mean.
    pub scale: usize,
    pub metric: usize,
}

/// The target of logits.
#[derive(Clone, Copy)]
pub(super) enum Compared {
    /// These labels, u32 `[tokens]`.
    Labels(View),
    /// The order of the next tokens, at most `window` of them.
    Order { window: usize },
}

/// Destination of the gradient of states.
#[derive(Clone, Copy)]
pub(super) struct GradientTo {
    /// `[tokens, width]`.
    pub view: View,
    /// Add to `view` instead of overwriting it.
    pub accumulate: bool,
}

impl TokenLoss<'_> {
    /// Next-token prediction: the model's own unembedding, and the next tokens.
    pub fn next_token(cx: &Context<'_>) -> Self {
        Self {
            project: unembedding(cx),
            compared: Compared::Labels(cx.inputs.labels),
            weight: 1.0,
            scale: scalars::NTP_SCALE,
            metric: metric::NTP_LOSS,
        }
    }

    /// Plans the loss of `hidden [tokens, width]` without its weight, and adds it to the metrics. Gradients are as in
    /// [`Self::of_tokens`].
    pub fn plan(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        hidden: View,
        dhidden: Option<GradientTo>,
    ) {
        let loss = b.activation("token_loss", &[cx.tokens()]);
        self.of_tokens(b, cx, hidden, loss, dhidden);
        record(b, cx, loss, self.scale, self.metric);
    }

    /// Plans the loss of each state of `hidden [tokens, width]` without its weight, to `loss [tokens]`; 0 at positions
    /// without a loss. With `dhidden`, also plans the gradients of the weighted mean in `hidden` and in the projection.
    pub fn of_tokens(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        hidden: View,
        loss: View,
        dhidden: Option<GradientTo>,
    ) {
        let (width, vocab) = (cx.width(), self.project.outputs);
        let gradient = dhidden.is_some().then_some(CrossEntropyGradient {
            scalars: cx.loss_scalars,
            index: self.scale,
            weight: self.weight,
        });
        for (first, rows) in chunks(cx, vocab) {
            let states = hidden.slice(first * width, rows * width);
            let logits = b.activation("logits", &[rows, vocab]);
            self.project.forward_into(b, cx, states, logits, rows);
            let loss = loss.slice(first, rows);
            match self.compared {
                Compared::Labels(labels) => b.push(CrossEntropy {
                    logits,
                    labels: labels.slice(first, rows),
                    loss,
                    gradient,
                    rows,
                    vocab,
                }),
                // A program without rivals has no op for it, either.
                Compared::Order { .. } if !RIVALS_IN_PROGRAM => {
                    unreachable!("no plan of this program has it")
                }
                Compared::Order { window } => b.push(TokenOrder {
                    logits,
                    labels: cx.inputs.labels,
                    loss,
                    gradient,
                    rows,
                    first,
                    vocab,
                    context: cx.context,
                    window,
                }),
            }
            if let Some(GradientTo { view, accumulate }) = dhidden {
                let dstates = view.slice(first * width, rows * width);
                self.project.backward_weight(b, cx, logits, states, rows);
                self.project.backward_input(b, cx, logits, dstates, accumulate, rows);
            }
        }
    }
}

/// The first token and the number of tokens of each chunk of logits.
pub(super) fn chunks(
    cx: &Context<'_>,
    vocab: usize,
) -> impl Iterator<Item = (usize, usize)> + use<> {
    let tokens = cx.tokens();
    let step = chunk_rows(tokens, vocab, cx.limits.tensor_of(DType::Real));
    (0..tokens).step_by(step).map(move |first| (first, step.min(tokens - first)))
}
