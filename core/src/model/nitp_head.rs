//! Next Implicit Token Prediction: the projection head and its loss against a shallow state
//! (section "The objective" of the paper; every ablation of its tables is a setting).

use super::context::{Context, metric, record};
use super::linear::SwigluMlp;
use crate::config::{Projector, Regularizer};
use crate::ops::add::Add;
use crate::ops::copy::Copy;
use crate::ops::nitp::{Nitp, NitpGradient};
use crate::ops::scalars;
use crate::ops::token_cosine::{TokenCosine, TokenCosineGradient};
use crate::plan::PlanBuilder;
use crate::tensor::{DType, View};

/// Operands of NITP.
#[derive(Clone, Copy)]
pub(super) struct States {
    /// The predicting states: last hidden states after or before the final norm, `[tokens, width]`.
    pub source: View,
    /// The target: the residual stream after block k, `[tokens, width]`.
    pub target: View,
}

/// Plans the loss, and in a training plan `dsource +=` its gradient. Returns the gradient of the target if the
/// stop-gradient is off.
pub(super) fn nitp(
    b: &mut PlanBuilder,
    cx: &Context<'_>,
    states: States,
    dsource: Option<View>,
) -> Option<View> {
    b.scoped("nitp", |b| match cx.config.nitp.regularizer {
        Regularizer::None => predict(b, cx, states, dsource),
        Regularizer::TokenCosine => {
            regularize(b, cx, states.source, dsource);
            None
        }
    })
}

fn predict(
    b: &mut PlanBuilder,
    cx: &Context<'_>,
    states: States,
    dsource: Option<View>,
) -> Option<View> {
    let nitp = &cx.config.nitp;
    let (n, width) = (cx.tokens(), cx.width());
    let (predictions, head) = match nitp.projector {
        Projector::None if states.source == states.target => {
            let copy = b.activation("predictions", &[n, width]);
            b.push(Copy { x: states.source, y: copy });
            (copy, None)
        }
        Projector::None => (states.source, None),
        Projector::Swiglu => {
            let (inner, result) = (4 * width, DType::Real);
            let source = cx.in_working(b, states.source);
            let (out, mlp) = SwigluMlp::forward(b, cx, "projector", source, n, inner, result);
            (out, Some(mlp))
        }
    };
    let loss = b.activation("pair_loss", &[n]);
    let dp = dsource.map(|_| b.activation("dpredictions", &[n, width]));
    let dz =
        (dsource.is_some() && !nitp.stop_gradient).then(|| b.activation("dtargets", &[n, width]));
    b.push(Nitp {
        p: predictions,
        z: states.target,
        mask: cx.inputs.nitp_mask,
        loss,
        gradient: dp.map(|dp| NitpGradient {
            dp,
            dz,
            weight: nitp.weight,
            scalars: cx.loss_scalars,
            index: scalars::NITP_SCALE,
        }),
        kind: nitp.loss,
        shift: nitp.shift,
        rows: cx.rows,
        context: cx.context,
        width,
    });
    record(b, cx, loss, scalars::NITP_SCALE, metric::NITP_LOSS);
    if let (Some(dsource), Some(dp)) = (dsource, dp) {
        match head {
            Some(mlp) => mlp.backward(b, cx, dp, dsource, true),
            None => b.push(Add { y: dsource, x: dp }),
        }
    }
    dz
}

/// The regulariser without target and projector.
fn regularize(b: &mut PlanBuilder, cx: &Context<'_>, source: View, dsource: Option<View>) {
    let width = cx.width();
    let loss = b.activation("row_loss", &[cx.rows]);
    let partial_rows = TokenCosine::partial_rows(cx.rows, cx.context);
    let inverse = b.activation("inverse_norms", &[cx.tokens()]);
    let partial = b.activation("unit_partial", &[partial_rows, width]);
    let unit_sum = b.activation("unit_sum", &[cx.rows, width]);
    b.push(TokenCosine {
        h: source,
        loss,
        gradient: dsource.map(|dh| TokenCosineGradient {
            dh,
            accumulate: true,
            weight: cx.config.nitp.weight,
            scalars: cx.loss_scalars,
            index: scalars::NITP_SCALE,
        }),
        inverse,
        partial,
        unit_sum,
        rows: cx.rows,
        context: cx.context,
        width,
    });
    record(b, cx, loss, scalars::NITP_SCALE, metric::NITP_LOSS);
}
