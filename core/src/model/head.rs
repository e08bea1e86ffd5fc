//! The last norm and the unembedding, fused with cross-entropy in chunks of tokens, so that the
//! tokens x vocabulary logits never exist.

use super::context::{Context, metric, record};
use super::linear::Linear;
use crate::ops::cross_entropy::{CrossEntropy, CrossEntropyGradient};
use crate::ops::scalars;
use crate::plan::{PlanBuilder, View};

/// Logits of one chunk: a megabyte stays in a CPU's cache.
const CHUNK_ELEMENTS: usize = 1 << 18;

/// Most chunks: each is some nodes of the plan, which is made before anything runs.
const MOST_CHUNKS: usize = 256;

/// Tokens of a chunk: a multiple of [`View::ALIGNMENT`], so that slices of labels can be bound,
/// and (above that) at most about half of all.
fn chunk_rows(tokens: usize, vocab_size: usize) -> usize {
    let rows = (CHUNK_ELEMENTS / vocab_size).min(tokens.div_ceil(2));
    let rows = rows.max(tokens.div_ceil(MOST_CHUNKS));
    rows.next_multiple_of(View::ALIGNMENT).min(tokens)
}

/// The unembedding: `lm_head`, or the embedding where they are tied.
pub(super) fn unembedding<'a>(cx: &Context<'_>) -> Linear<'a> {
    let model = &cx.config.model;
    Linear {
        weight: if model.tie_word_embeddings { "embed_tokens" } else { "lm_head" },
        inputs: model.hidden_size,
        outputs: model.vocab_size,
        dtype: cx.working,
    }
}

/// Mean cross-entropy of the labels given `hidden [tokens, width]`, into the metrics. Training
/// plans get its gradient with respect to `hidden`, and add the unembedding's.
pub(super) fn linear_cross_entropy(
    b: &mut PlanBuilder,
    cx: &Context<'_>,
    hidden: View,
) -> Option<View> {
    let loss = b.activation("token_loss", &[cx.tokens()]);
    let dhidden = token_losses(b, cx, hidden, loss);
    record(b, cx, loss, scalars::NTP_SCALE, metric::NTP_LOSS);
    dhidden
}

/// Cross-entropy of each label given `hidden [tokens, width]`, into `loss [tokens]`: 0 where there is none. Gradients
/// as in [`linear_cross_entropy`].
pub(super) fn token_losses(
    b: &mut PlanBuilder,
    cx: &Context<'_>,
    hidden: View,
    loss: View,
) -> Option<View> {
    let (n, width) = (cx.tokens(), cx.width());
    let vocab = cx.config.model.vocab_size;
    let project = unembedding(cx);
    let dhidden = cx.train.then(|| b.activation("dhidden", &[n, width]));
    let step = chunk_rows(n, vocab);
    for first in (0..n).step_by(step) {
        let rows = step.min(n - first);
        let states = hidden.slice(first * width, rows * width);
        let logits = b.activation("logits", &[rows, vocab]);
        project.forward_into(b, cx, states, logits, rows);
        b.push(CrossEntropy {
            logits,
            labels: cx.inputs.labels.slice(first, rows),
            loss: loss.slice(first, rows),
            gradient: cx.train.then_some(CrossEntropyGradient {
                scalars: cx.loss_scalars,
                index: scalars::NTP_SCALE,
            }),
            rows,
            vocab,
        });
        if let Some(dhidden) = dhidden {
            let dstates = dhidden.slice(first * width, rows * width);
            project.backward_weight(b, cx, logits, states, rows);
            project.backward_input(b, cx, logits, dstates, false, rows);
        }
    }
    dhidden
}
