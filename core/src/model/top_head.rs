//! Token order prediction: a second unembedding of the last hidden state ranks the next tokens (arXiv 2508.19228).

use super::context::{Context, metric};
use super::head::{Compared, GradientTo, TokenLoss};
use super::linear::Linear;
use crate::ops::scalars;
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// Plans the loss of the last hidden states `h [tokens, width]`, and in a training plan `dh +=` its gradient.
pub(super) fn top(b: &mut PlanBuilder, cx: &Context<'_>, h: View, dh: Option<View>) {
    let (model, top) = (&cx.config.model, &cx.config.top);
    let project = Linear {
        weight: "top.unembedding",
        inputs: model.hidden_size,
        outputs: model.vocab_size,
        dtype: cx.working,
    };
    let loss = TokenLoss {
        project,
        compared: Compared::Order { window: top.window },
        weight: top.weight,
        // A position has tokens ahead if it has a label.
        scale: scalars::NTP_SCALE,
        metric: metric::TOP_LOSS,
    };
    b.scoped("top", |b| loss.plan(b, cx, h, dh.map(|view| GradientTo { view, accumulate: true })));
}
