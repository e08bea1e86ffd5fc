//! A block of the model: attention, then a feed-forward network, each added to the residual stream.

use super::attention_block::AttentionBlock;
use super::context::Context;
use super::ffn_block::FfnBlock;
use super::norm::Stream;
use crate::plan::{PlanBuilder, View};

/// What the backward needs.
pub(super) struct Block {
    layer: usize,
    attention: AttentionBlock,
    ffn: FfnBlock,
}

impl Block {
    /// The stream with the block's output pending.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        layer: usize,
        stream: Stream,
    ) -> (Stream, Self) {
        b.scoped(format!("layers.{layer}"), |b| {
            let (after, block) = Self::compute(b, cx, layer, stream);
            b.scoped("ffn", |b| block.ffn.record(b, cx, layer));
            (after, block)
        })
    }

    /// The forward but for what it tells the metrics, so that planning it twice counts nothing
    /// twice.
    fn compute(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        layer: usize,
        stream: Stream,
    ) -> (Stream, Self) {
        let (after, attention) =
            b.scoped("attention", |b| AttentionBlock::forward(b, cx, layer, stream));
        let (after, ffn) = b.scoped("ffn", |b| FfnBlock::forward(b, cx, layer, after));
        (after, Self { layer, attention, ffn })
    }

    /// The residual stream that the block reads, `[tokens, width]`.
    pub fn input(&self) -> View {
        self.attention.input()
    }

    /// `dstream` is the gradient of the stream after the block on entry, before it on return.
    pub fn backward(self, b: &mut PlanBuilder, cx: &Context<'_>, dstream: View) {
        let layer = self.layer;
        b.scoped(format!("layers.{layer}"), |b| {
            let block =
                if cx.config.train.recompute_activations { self.recompute(b, cx) } else { self };
            b.scoped("ffn", |b| block.ffn.backward(b, cx, layer, dstream));
            b.scoped("attention", |b| block.attention.backward(b, cx, layer, dstream));
        });
    }

    /// Activation recomputation (Chen et al. 2016, arXiv 1604.06174): the same block out of other
    /// tensors, planned from the stream that it read, which alone stays alive until then. The ops
    /// and their operands are those of the forward, and so are the bits: the first norm finds
    /// summed what it summed itself. The builder leaves out what the backward doesn't read.
    fn recompute(&self, b: &mut PlanBuilder, cx: &Context<'_>) -> Self {
        let stream = Stream { sum: self.input(), branch: None };
        b.scoped("recompute", |b| Self::compute(b, cx, self.layer, stream).1)
    }
}
