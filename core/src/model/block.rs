//! A block: attention, then a feed-forward network, each added to the residual stream.

use super::attention_block::AttentionBlock;
use super::context::Context;
use super::ffn_block::{Ffn, FfnBlock};
use super::norm::Stream;
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// Tensors for the backward.
pub(super) struct Block {
    of: BlockOf,
    attention: AttentionBlock,
    ffn: FfnBlock,
    /// Each expert's share of the pairs, `[num_experts]`, in a mixture whose metrics are recorded.
    pub expert_load: Option<View>,
}

/// A block of a model or of a head.
#[derive(Clone, Debug)]
pub(super) struct BlockOf {
    /// Prefix of its parameters' names, and its scope.
    pub name: String,
    /// Its feed-forward network.
    pub ffn: Ffn,
    /// Whether the backward recomputes the forward from the residual stream that the block read.
    pub recomputed: bool,
}

impl BlockOf {
    /// A block of the model, from 0.
    pub fn layer(cx: &Context<'_>, layer: usize) -> Self {
        let model = &cx.config.model;
        let ffn = match model.moe_of(layer) {
            None => Ffn::Dense { inner: model.intermediate_size },
            Some(moe) => Ffn::Moe(moe.clone()),
        };
        let recomputed = cx.config.train.recompute_activations;
        Self { name: format!("layers.{layer}"), ffn, recomputed }
    }
}

impl Block {
    /// The stream with the block's output pending.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        of: BlockOf,
        stream: Stream,
    ) -> (Stream, Self) {
        b.scoped(of.name.clone(), |b| {
            let (after, mut block) = Self::compute(b, cx, of, stream);
            if cx.cache.is_none() {
                block.expert_load = b.scoped("ffn", |b| block.ffn.record(b, cx, &block.of.name));
            }
            (after, block)
        })
    }

    /// The forward without its metrics, so that a recomputed forward is not counted twice.
    fn compute(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        of: BlockOf,
        stream: Stream,
    ) -> (Stream, Self) {
        let (after, attention) =
            b.scoped("attention", |b| AttentionBlock::forward(b, cx, &of.name, stream));
        let (after, ffn) = b.scoped("ffn", |b| FfnBlock::forward(b, cx, &of, after));
        (after, Self { of, attention, ffn, expert_load: None })
    }

    /// The residual stream that the block reads, `[tokens, width]`.
    pub fn input(&self) -> View {
        self.attention.input()
    }

    /// Probabilities of a mixture's experts, `[tokens, num_experts]`.
    pub fn router_probs(&self) -> Option<View> {
        self.ffn.router_probs()
    }

    /// `dstream` is the gradient of the stream after the block on entry, before it on return.
    pub fn backward(self, b: &mut PlanBuilder, cx: &Context<'_>, dstream: View) {
        let name = self.of.name.clone();
        b.scoped(name.clone(), |b| {
            let block = if self.of.recomputed { self.recompute(b, cx) } else { self };
            b.scoped("ffn", |b| block.ffn.backward(b, cx, &name, dstream));
            b.scoped("attention", |b| block.attention.backward(b, cx, &name, dstream));
        });
    }

    /// Activation recomputation (Chen et al. 2016, arXiv 1604.06174): plans the block again with new tensors, from the
    /// residual stream that it read, which is the only tensor kept from the forward. The ops and the values of their
    /// operands equal those of the forward, so results are bitwise equal; the first norm reads the stored sum instead
    /// of computing it. The builder removes ops whose results the backward doesn't read.
    fn recompute(&self, b: &mut PlanBuilder, cx: &Context<'_>) -> Self {
        let stream = Stream { sum: self.input(), branch: None };
        b.scoped("recompute", |b| Self::compute(b, cx, self.of.clone(), stream).1)
    }
}
