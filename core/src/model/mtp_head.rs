//! Multi-token prediction: one more block predicts the token after the next, through the model's own unembedding
//! (Gloeckle et al. 2024, arXiv 2404.19737; DeepSeek-V3, arXiv 2412.19437, section 2.2).

use super::block::{Block, BlockOf};
use super::context::{Context, metric};
use super::ffn_block::Ffn;
use super::head::{Compared, GradientTo, TokenLoss, unembedding};
use super::next_token::{Joined, ahead};
use super::norm::{Norm, Stream};
use crate::config::{MtpConfig, MtpHead};
use crate::ops::add::Add;
use crate::ops::scalars;
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// Plans the loss of `last [tokens, width]`, the stream after the last block, and in a training plan `dlast +=` its
/// gradient.
pub(super) fn mtp(b: &mut PlanBuilder, cx: &Context<'_>, last: View, dlast: Option<View>) {
    b.scoped("mtp", |b| predict(b, cx, last, dlast));
}

fn predict(b: &mut PlanBuilder, cx: &Context<'_>, last: View, dlast: Option<View>) {
    let (n, width, model) = (cx.tokens(), cx.width(), &cx.config.model);
    let joined = match cx.config.mtp.head {
        MtpHead::Sequential => Some(Joined::forward(b, cx, "mtp", last)),
        MtpHead::Parallel => None,
    };
    let sum = joined.as_ref().map_or(last, |joined| joined.sum);
    let ffn = Ffn::Dense { inner: MtpConfig::intermediate_size(model) };
    // Its backward follows immediately, so recomputation would save no memory.
    let of = BlockOf { name: "mtp.block".to_owned(), ffn, recomputed: false };
    let (stream, block) = Block::forward(b, cx, of, Stream { sum, branch: None });
    let hidden = b.activation("normed", &[n, width]);
    let norm = Norm::forward(b, cx, "mtp.norm", stream, Some(hidden));
    let loss = TokenLoss {
        project: unembedding(cx),
        compared: Compared::Labels(ahead(cx).labels),
        weight: cx.config.mtp.weight,
        scale: scalars::MTP_SCALE,
        metric: metric::MTP_LOSS,
    };
    let dhidden = dlast.map(|_| b.activation("dhidden", &[n, width]));
    loss.plan(b, cx, hidden, dhidden.map(|view| GradientTo { view, accumulate: false }));
    let (Some(dlast), Some(dhidden)) = (dlast, dhidden) else { return };
    let dstream = b.activation("dstream", &[n, width]);
    norm.backward(b, cx, dhidden, dstream, false);
    block.backward(b, cx, dstream);
    match joined {
        Some(joined) => joined.backward(b, cx, dstream, dlast),
        None => b.push(Add { y: dlast, x: dstream }),
    }
}
