//! A block: attention, then a feed-forward network, each added to the residual stream.

use super::attention_block::AttentionBlock;
use super::context::Context;
use super::ffn_block::{Ffn, FfnBlock};
use super::norm::Stream;
use crate::plan::{PlanBuilder, View};

/// What the backward needs.
pub(super) struct Block {
    of: BlockOf,
    attention: AttentionBlock,
    ffn: FfnBlock,
}

/// Which block.
#[derive(Clone, Debug)]
pub(super) struct BlockOf {
    /// What its parameters' names begin with, and its scope.
    pub name: String,
    /// Its feed-forward network.
    pub ffn: Ffn,
    /// Whether its backward computes its forward again, out of the stream that it read.
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
            let (after, block) = Self::compute(b, cx, of, stream);
            if cx.cache.is_none() {
                b.scoped("ffn", |b| block.ffn.record(b, cx, &block.of.name));
            }
            (after, block)
        })
    }

    /// The forward but for what it tells the metrics, so that planning it twice counts nothing
    /// twice.
    fn compute(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        of: BlockOf,
        stream: Stream,
    ) -> (Stream, Self) {
        let (after, attention) =
            b.scoped("attention", |b| AttentionBlock::forward(b, cx, &of.name, stream));
        let (after, ffn) = b.scoped("ffn", |b| FfnBlock::forward(b, cx, &of, after));
        (after, Self { of, attention, ffn })
    }

    /// The residual stream that the block reads, `[tokens, width]`.
    pub fn input(&self) -> View {
        self.attention.input()
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

    /// Activation recomputation (Chen et al. 2016, arXiv 1604.06174): the same block out of other
    /// tensors, planned from the stream that it read, which alone stays alive until then. The ops
    /// and their operands are those of the forward, and so are the bits: the first norm finds
    /// summed what it summed itself. The builder leaves out what the backward doesn't read.
    fn recompute(&self, b: &mut PlanBuilder, cx: &Context<'_>) -> Self {
        let stream = Stream { sum: self.input(), branch: None };
        b.scoped("recompute", |b| Self::compute(b, cx, self.of.clone(), stream).1)
    }
}
