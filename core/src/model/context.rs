//! What every block builder needs: sizes, parameters and the inputs of a plan.

use std::collections::HashMap;

use super::parameters::{Parameter, parameters};
use crate::config::Config;
use crate::ops::accumulate_sum::AccumulateSum;
use crate::ops::scalars;
use crate::plan::{DType, PlanBuilder, Role, View, gradient_name};

/// Indices into the `metrics` state tensor.
pub mod metric {
    /// Elements of `metrics`.
    pub const LEN: usize = 64;
    /// Mean cross-entropy in nats a token.
    pub const NTP_LOSS: usize = 0;
    /// Raw NITP loss, mean over pairs.
    pub const NITP_LOSS: usize = 1;
    /// Raw balance loss, summed over MoE blocks.
    pub const BALANCE_LOSS: usize = 2;
    /// Norm of all gradients before clipping.
    pub const GRAD_NORM: usize = 3;
}

/// Views of the tensors that the host writes.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// Token ids, `[rows * context]`.
    pub tokens: View,
    /// Next tokens, `u32::MAX` where there is no loss, `[rows * context]`.
    pub labels: View,
    /// 1 where the pair counts for NITP, `[rows * context]`.
    pub nitp_mask: View,
    /// Positions sorted by token id, `[rows * context]`.
    pub sorted_positions: View,
    /// Where each distinct token's run starts, `[rows * context + 1]`.
    pub segment_starts: View,
    /// See [`scalars`].
    pub scalars: View,
    /// Cosines and sines, `[context, head_dim]`.
    pub rope_table: View,
    /// `[metric::LEN]`, see [`metric`].
    pub metrics: View,
}

/// Sizes and names for block builders.
pub(super) struct Context<'a> {
    pub config: &'a Config,
    /// Rows of a micro-batch.
    pub rows: usize,
    /// Tokens of a row.
    pub context: usize,
    /// Whether gradients are planned.
    pub train: bool,
    /// Whether what a reader wants to see is kept: router probabilities.
    pub probe: bool,
    pub inputs: Inputs,
    parameters: HashMap<String, Parameter>,
}

impl<'a> Context<'a> {
    pub fn new(
        b: &mut PlanBuilder,
        config: &'a Config,
        rows: usize,
        context: usize,
        train: bool,
    ) -> Self {
        let n = rows * context;
        let mut int = |name: &str, len: usize| b.shared(name, &[len], DType::U32, Role::Input);
        let (tokens, labels, nitp_mask) = (int("tokens", n), int("labels", n), int("nitp_mask", n));
        let (sorted_positions, segment_starts) =
            (int("sorted_positions", n), int("segment_starts", n + 1));
        let mut real = |name: &str, len: usize, role| b.shared(name, &[len], DType::Real, role);
        let inputs = Inputs {
            tokens,
            labels,
            nitp_mask,
            sorted_positions,
            segment_starts,
            scalars: real("scalars", scalars::LEN, Role::Input),
            rope_table: real("rope_table", context * config.model.head_dim, Role::Constant),
            metrics: real("metrics", metric::LEN, Role::State),
        };
        let parameters = parameters(config).into_iter().map(|p| (p.name.clone(), p)).collect();
        Self { config, rows, context, train, probe: false, inputs, parameters }
    }

    /// For a probe plan: one row, no gradients.
    pub fn probing(b: &mut PlanBuilder, config: &'a Config, context: usize) -> Self {
        Self { probe: true, ..Self::new(b, config, 1, context, false) }
    }

    /// Tokens of a micro-batch.
    pub fn tokens(&self) -> usize {
        self.rows * self.context
    }

    /// Hidden size.
    pub fn width(&self) -> usize {
        self.config.model.hidden_size
    }

    /// A parameter.
    pub fn weight(&self, b: &mut PlanBuilder, name: &str) -> View {
        let shape = &self.parameters[name].shape;
        b.shared(name, shape, DType::Real, Role::Parameter)
    }

    /// The gradient of a parameter.
    pub fn gradient(&self, b: &mut PlanBuilder, name: &str) -> View {
        let shape = &self.parameters[name].shape;
        b.shared(&gradient_name(name), shape, DType::Real, Role::Gradient)
    }
}

/// Adds a scaled sum to a metric: `metrics[metric] += scalars[scale] * Σ x`.
pub(super) fn record(b: &mut PlanBuilder, cx: &Context<'_>, x: View, scale: usize, metric: usize) {
    let partial = b.activation("sum_partial", &[AccumulateSum::partials(x.len)]);
    b.push(AccumulateSum {
        x,
        scalars: cx.inputs.scalars,
        index: scale,
        metrics: cx.inputs.metrics,
        metric,
        partial,
    });
}
