//! The end of a step: the norm of all gradients, the clip factor, AdamW over the packed store.

use super::context::{Context, metric};
use crate::ops::adamw::Adamw;
use crate::ops::grad_norm::{ClipFactor, SumOfSquares};
use crate::ops::loss_scale::UpdateLossScale;
use crate::plan::{ParameterLayout, PlanBuilder, packed_name};
use crate::tensor::{DType, Role};

/// Plans the ops that run once a step.
pub(super) fn update(b: &mut PlanBuilder, cx: &Context<'_>, layout: &ParameterLayout) {
    b.begin_update();
    let train = &cx.config.train;
    let mut packed = |role, chunk: usize| {
        b.shared(&packed_name(role, chunk), &[layout.chunks[chunk]], DType::Real, role)
    };
    let chunks: Vec<_> = (0..layout.chunks.len())
        .map(|chunk| {
            let roles = [Role::Parameter, Role::Gradient, Role::Moment1, Role::Moment2];
            roles.map(|role| packed(role, chunk))
        })
        .collect();
    let counts: Vec<usize> = layout.chunks.iter().map(|&len| SumOfSquares::partials(len)).collect();
    let partials = b.activation("grad_norm_partials", &[counts.iter().sum()]);
    let mut first = 0;
    for ([_, gradient, ..], &count) in chunks.iter().zip(&counts) {
        b.push(SumOfSquares { x: *gradient, partials: partials.slice(first, count) });
        first += count;
    }
    let clip = b.activation("clip", &[1]);
    b.push(ClipFactor {
        partials,
        metrics: cx.metrics,
        metric: metric::GRAD_NORM,
        clip,
        max_norm: train.grad_clip,
    });
    let mut scalars = cx.inputs.scalars;
    if let Some(state) = cx.inputs.loss_scale {
        let corrected = b.activation("corrected_scalars", &[scalars.len]);
        b.push(UpdateLossScale {
            state,
            metrics: cx.metrics,
            norm: metric::GRAD_NORM,
            scale: metric::LOSS_SCALE,
            skipped: metric::SKIPPED,
            clip,
            scalars,
            corrected,
            max_norm: train.grad_clip,
            beta1: train.beta1,
            beta2: train.beta2,
        });
        scalars = corrected;
    }
    for ([parameter, gradient, moment1, moment2], &decay_end) in
        chunks.into_iter().zip(&layout.decay_ends)
    {
        b.push(Adamw {
            parameter,
            gradient,
            moment1,
            moment2,
            clip,
            scalars,
            decay_end,
            beta1: train.beta1,
            beta2: train.beta2,
            eps: train.eps,
            weight_decay: train.weight_decay,
        });
    }
}
