//! The residual stream, and the norm that reads it. The next norm adds a block's output to the stream, so both are one
//! op.

use super::context::Context;
use crate::ops::rmsnorm::{Residual, Rmsnorm, RmsnormBackward};
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// The residual stream between blocks, `[tokens, width]`: the sum so far, and the last block's output, which is not
/// added yet.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    pub sum: View,
    pub branch: Option<View>,
}

/// A planned norm, with the tensors for its backward.
pub(super) struct Norm {
    gain: String,
    rstd: View,
    /// The residual stream, the norm's input.
    pub sum: View,
    /// The normalised states.
    pub y: View,
}

impl Norm {
    /// Adds the pending branch and normalises with the gain of this name. The states go to
    /// `y`, or to a new activation of the working type.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        gain: &str,
        stream: Stream,
        y: Option<View>,
    ) -> Self {
        let (rows, width) = (cx.tokens(), cx.width());
        let residual = stream
            .branch
            .map(|branch| Residual { branch, sum: b.activation("stream", &[rows, width]) });
        let y = y.unwrap_or_else(|| b.activation_of(cx.working, "normed", &[rows, width]));
        let rstd = b.activation("rstd", &[rows]);
        let weight = cx.weight(b, gain);
        b.push(Rmsnorm {
            x: stream.sum,
            residual,
            gain: weight,
            y,
            rstd,
            rows,
            width,
            eps: cx.config.model.rms_norm_eps,
        });
        let sum = residual.map_or(stream.sum, |residual| residual.sum);
        Self { gain: gain.to_owned(), rstd, sum, y }
    }

    /// Plans the backward: `dstream (+)=` the gradient from `dy`.
    pub fn backward(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        dy: View,
        dstream: View,
        accumulate: bool,
    ) {
        let (rows, width) = (cx.tokens(), cx.width());
        let (gain, dgain) = (cx.weight(b, &self.gain), cx.gradient(b, &self.gain));
        let partial = b.activation("dgain_partial", &[RmsnormBackward::partial_rows(rows), width]);
        b.push(RmsnormBackward {
            dy,
            x: self.sum,
            gain,
            rstd: self.rstd,
            dx: dstream,
            accumulate,
            dgain,
            partial,
            rows,
            width,
        });
    }
}
