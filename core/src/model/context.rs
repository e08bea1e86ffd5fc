//! The context of block builders: sizes, parameters and the inputs of a plan.

use std::collections::HashMap;

use super::parameters::{Parameter, parameters};
use super::planned::{CacheTensors, Planned};
use crate::config::{Config, Precision};
use crate::ops::accumulate_sum::AccumulateSum;
use crate::ops::copy::Copy;
use crate::ops::loss_scale::{self, ScaleLosses};
use crate::ops::scalars;
use crate::plan::{Limits, PlanBuilder, gradient_name};
use crate::tensor::{DType, Role, View};

/// Indices into the `metrics` state tensor.
pub mod metric {
    /// Elements of `metrics`.
    pub const LEN: usize = 64;
    /// Mean cross-entropy in nats a token.
    pub const NTP_LOSS: usize = 0;
    /// NITP loss without its weight, mean over pairs.
    pub const NITP_LOSS: usize = 1;
    /// Balance loss without its weight, summed over MoE blocks.
    pub const BALANCE_LOSS: usize = 2;
    /// Norm of all gradients before clipping.
    pub const GRAD_NORM: usize = 3;
    /// The loss scale of the step; 0 without loss scaling.
    pub const LOSS_SCALE: usize = 4;
    /// 1 if the step was skipped, because its scaled gradients overflowed.
    pub const SKIPPED: usize = 5;
    /// Cross-entropy of multi-token prediction, in nats a token.
    pub const MTP_LOSS: usize = 6;
    /// Smooth L1 distance of next-latent prediction.
    pub const NEXTLAT_LOSS: usize = 7;
    /// Divergence of next-latent prediction's distributions, in nats.
    pub const NEXTLAT_KL: usize = 8;
    /// Loss of token order prediction, in nats.
    pub const TOP_LOSS: usize = 9;
}

/// Views of the tensors that the host writes.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// Token ids, `[rows * context]`.
    pub tokens: View,
    /// Next tokens, `u32::MAX` at positions without a loss, `[rows * context]`.
    pub labels: View,
    /// 1 if the pair counts for NITP, else 0, `[rows * context]`.
    pub nitp_mask: View,
    /// Positions sorted by token id, `[rows * context]`.
    pub sorted_positions: View,
    /// Start of the run of each distinct token, `[rows * context + 1]`.
    pub segment_starts: View,
    /// See [`scalars`].
    pub scalars: View,
    /// Cosines and sines, `[train.context_length, head_dim]`.
    pub rope_table: View,
    /// Bounds of each token's document in its row, `[rows * context, 2]`
    /// ([`document_bounds`](crate::ops::attention::document_bounds)), with `train.document_mask`.
    pub documents: Option<View>,
    /// Ones, `[rows * context]`, if the model has biases.
    pub ones: Option<View>,
    /// The loss scale, in mixed precision.
    pub loss_scale: Option<View>,
    /// Inputs of heads that read the next token; none without such heads.
    pub ahead: Option<Ahead>,
}

/// The host's inputs about the next token of each position; all but the last are `[rows * context]`.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// The next token; an arbitrary token if there is none.
    pub tokens: View,
    /// The token after the next, `u32::MAX` at positions without a loss.
    pub labels: View,
    /// The next position of the row; for the last position, the same position.
    pub positions: View,
    /// 1 if the next state counts, else 0.
    pub mask: View,
    /// Positions sorted by next token.
    pub sorted_positions: View,
    /// Start of the run of each distinct next token, `[rows * context + 1]`.
    pub segment_starts: View,
}

/// A cache of keys and values, and the places of a run's tokens in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cache {
    pub tensors: CacheTensors,
    /// Tokens of a run.
    pub slots: usize,
    /// Rows of the cache: texts of up to `train.context_length` tokens each.
    pub rows: usize,
}

/// Sizes and names for block builders.
pub(super) struct Context<'a> {
    pub config: &'a Config,
    /// Larger activations are divided by rows.
    pub limits: Limits,
    /// Rows of a micro-batch.
    pub rows: usize,
    /// Tokens of a row.
    pub context: usize,
    /// Whether tensors for inspection are kept: router probabilities.
    pub probe: bool,
    /// The cache of earlier tokens for attention; none if a run holds whole rows.
    pub cache: Option<Cache>,
    /// Element type of the large activations: halves in mixed precision.
    pub working: DType,
    pub inputs: Inputs,
    /// `[metric::LEN]`, see [`metric`].
    pub metrics: View,
    /// The scalars for gradients of losses: multiplied by the loss scale, if there is one.
    pub loss_scalars: View,
    parameters: HashMap<String, Parameter>,
}

impl<'a> Context<'a> {
    pub fn new(
        b: &mut PlanBuilder,
        config: &'a Config,
        limits: Limits,
        rows: usize,
        context: usize,
        train: bool,
    ) -> Self {
        let n = rows * context;
        let mut int = |name: &str, len: usize| b.shared(name, &[len], DType::U32, Role::Input);
        let (tokens, labels, nitp_mask) = (int("tokens", n), int("labels", n), int("nitp_mask", n));
        let (sorted_positions, segment_starts) =
            (int("sorted_positions", n), int("segment_starts", n + 1));
        let ahead = (config.mtp.is_on() || config.nextlat.is_on()).then(|| Ahead {
            tokens: int("next_tokens", n),
            labels: int("second_labels", n),
            positions: int("next_positions", n),
            mask: int("next_mask", n),
            sorted_positions: int("next_sorted_positions", n),
            segment_starts: int("next_segment_starts", n + 1),
        });
        let mut real = |name: &str, len: usize, role| b.shared(name, &[len], DType::Real, role);
        let mut inputs = Inputs {
            tokens,
            labels,
            nitp_mask,
            sorted_positions,
            segment_starts,
            documents: None,
            scalars: real("scalars", scalars::LEN, Role::Input),
            rope_table: real(
                "rope_table",
                config.train.context_length * config.model.head_dim,
                Role::Constant,
            ),
            ones: config.model.has_qkv_bias().then(|| real("ones", n, Role::Constant)),
            loss_scale: None,
            ahead,
        };
        let metrics = real("metrics", metric::LEN, Role::State);
        let mixed = train && config.train.precision == Precision::Mixed;
        inputs.loss_scale = mixed
            .then(|| b.shared("loss_scale", &[loss_scale::state::LEN], DType::Real, Role::Kept));
        let loss_scalars =
            inputs.loss_scale.map_or(inputs.scalars, |state| scaled(b, inputs.scalars, state));
        let parameters = parameters(config).into_iter().map(|p| (p.name.clone(), p)).collect();
        let working = if mixed { DType::Half } else { DType::Real };
        let (probe, cache) = (false, None);
        Self {
            config,
            limits,
            rows,
            context,
            probe,
            cache,
            working,
            inputs,
            metrics,
            loss_scalars,
            parameters,
        }
    }

    /// For rows that may hold several documents: with `train.document_mask`, attention is limited to the query's own.
    pub fn packed(mut self, b: &mut PlanBuilder) -> Self {
        let len = 2 * self.tokens();
        let is_masked = self.config.train.document_mask;
        self.inputs.documents =
            is_masked.then(|| b.shared("documents", &[len], DType::U32, Role::Input));
        self
    }

    /// For plans of single tokens, `slots` per run, with a cache of keys and values of `rows` rows.
    pub fn caching(
        b: &mut PlanBuilder,
        config: &'a Config,
        limits: Limits,
        slots: usize,
        rows: usize,
    ) -> (Self, CacheTensors) {
        let mut int = |name: &str| b.shared(name, &[slots], DType::U32, Role::Input);
        let tensors = CacheTensors { positions: int("positions"), cache_rows: int("cache_rows") };
        let cache = Cache { tensors, slots, rows };
        (Self { cache: Some(cache), ..Self::new(b, config, limits, slots, 1, false) }, tensors)
    }

    /// For a probe plan: one row, no gradients.
    pub fn probing(
        b: &mut PlanBuilder,
        config: &'a Config,
        limits: Limits,
        context: usize,
    ) -> Self {
        Self { probe: true, ..Self::new(b, config, limits, 1, context, false) }
    }

    /// The finished plan, with its inputs and these tensors.
    pub fn planned<T>(&self, builder: PlanBuilder, tensors: T) -> Planned<T> {
        Planned { plan: builder.finish(), inputs: self.inputs, tensors }
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

    /// A parameter in this type: the parameter itself, or a copy that is made at the beginning of a step.
    pub fn weight_as(&self, b: &mut PlanBuilder, name: &str, dtype: DType) -> View {
        let weight = self.weight(b, name);
        if dtype == weight.dtype {
            return weight;
        }
        let copied = format!("working/{name}");
        let exists = b.has(&copied);
        let copy = b.shared(&copied, &self.parameters[name].shape, dtype, Role::Kept);
        if !exists {
            b.prepare(Copy { x: weight, y: copy });
        }
        copy
    }

    /// A tensor in the stream's precision, or its gradient, as an operand of products: the tensor itself, or a copy in
    /// halves, so that both factors are halves.
    pub fn in_working(&self, b: &mut PlanBuilder, x: View) -> View {
        if x.dtype == self.working {
            return x;
        }
        let copy = b.activation_of(self.working, "working", &[x.len]);
        b.push(Copy { x, y: copy });
        copy
    }

    /// The gradient of a parameter.
    pub fn gradient(&self, b: &mut PlanBuilder, name: &str) -> View {
        let shape = &self.parameters[name].shape;
        b.shared(&gradient_name(name), shape, DType::Real, Role::Gradient)
    }
}

/// The scalars of a micro-batch times the loss scale.
fn scaled(b: &mut PlanBuilder, scalars: View, state: View) -> View {
    let scaled = b.activation("loss_scalars", &[scalars::LEN]);
    b.push(ScaleLosses { scalars, state, scaled });
    scaled
}

/// Adds a scaled sum to a metric: `metrics[metric] += scalars[scale] * Σ x`.
pub(super) fn record(b: &mut PlanBuilder, cx: &Context<'_>, x: View, scale: usize, metric: usize) {
    let partial = b.activation("sum_partial", &[AccumulateSum::partials(x.len)]);
    b.push(AccumulateSum {
        x,
        scalars: cx.inputs.scalars,
        index: scale,
        metrics: cx.metrics,
        metric,
        partial,
    });
}
