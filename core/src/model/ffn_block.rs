//! The feed-forward half of a block: norm, then one SwiGLU MLP or a mixture of experts.

use super::block::BlockOf;
use super::context::Context;
use super::linear::SwigluMlp;
use super::moe_block::Moe;
use super::norm::{Norm, Stream};
use crate::config::MoeConfig;
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// The kind of a feed-forward network.
#[derive(Clone, Debug)]
pub(super) enum Ffn {
    /// One SwiGLU of this inner width.
    Dense { inner: usize },
    /// A mixture of experts.
    Moe(MoeConfig),
}

enum Kind {
    Dense(SwigluMlp),
    Moe(Box<Moe>),
}

/// Tensors for the backward.
pub(super) struct FfnBlock {
    norm: Norm,
    kind: Kind,
}

impl FfnBlock {
    /// The stream with this half's output pending.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        of: &BlockOf,
        stream: Stream,
    ) -> (Stream, Self) {
        let BlockOf { name, ffn, .. } = of;
        let norm = Norm::forward(b, cx, &format!("{name}.ffn_norm"), stream, None);
        let (branch, kind) = match ffn {
            &Ffn::Dense { inner } => {
                let name = format!("{name}.ffn");
                let (n, result) = (cx.tokens(), cx.working);
                let (out, mlp) = SwigluMlp::forward(b, cx, &name, norm.y, n, inner, result);
                (out, Kind::Dense(mlp))
            }
            Ffn::Moe(moe) => {
                let (out, moe) = Moe::forward(b, cx, name, moe, norm.y);
                (out, Kind::Moe(Box::new(moe)))
            }
        };
        (Stream { sum: norm.sum, branch: Some(branch) }, Self { norm, kind })
    }

    /// Adds the metrics of a mixture's forward: once per micro-batch, even if the forward is recomputed.
    /// Returns the shares of the experts, `[num_experts]`.
    pub fn record(&self, b: &mut PlanBuilder, cx: &Context<'_>, name: &str) -> Option<View> {
        match &self.kind {
            Kind::Dense(_) => None,
            Kind::Moe(moe) => Some(moe.record(b, cx, name)),
        }
    }

    /// Probabilities of a mixture's experts, `[tokens, num_experts]`.
    pub fn router_probs(&self) -> Option<View> {
        match &self.kind {
            Kind::Dense(_) => None,
            Kind::Moe(moe) => Some(moe.probs()),
        }
    }

    /// `dstream` is the gradient of the stream after this half on entry, before it on return.
    pub fn backward(self, b: &mut PlanBuilder, cx: &Context<'_>, name: &str, dstream: View) {
        let dnormed = b.activation_of(cx.working, "dnormed", &[cx.tokens(), cx.width()]);
        match self.kind {
            Kind::Dense(mlp) => mlp.backward(b, cx, dstream, dnormed, false),
            Kind::Moe(moe) => moe.backward(b, cx, name, dstream, dnormed),
        }
        self.norm.backward(b, cx, dnormed, dstream, true);
    }
}
