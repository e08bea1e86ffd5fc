//! A mixture of experts as in DeepSeek-V2: softmax router, top-k, dispatch without dropped tokens, grouped GEMMs of the
//! experts, weighted combination, and shared experts for all tokens.

use super::context::{Context, metric};
use super::linear::{Linear, SwigluMlp};
use crate::config::MoeConfig;
use crate::ops::fused_product::{FusedProduct, Product, Then};
use crate::ops::grouped_matmul::{GroupedMatmul, GroupedMatmulBackwardWeight};
use crate::ops::matmul::Transpose;
use crate::ops::moe_balance::MoeBalance;
use crate::ops::moe_combine::{MoeCombine, MoeCombineBackward};
use crate::ops::moe_dispatch::MoeDispatch;
use crate::ops::moe_gather::{MoeGather, MoeGatherBackward};
use crate::ops::moe_route::{MoeRoute, MoeRouteBackward};
use crate::ops::scalars;
use crate::ops::sigmoid_gate::{SigmoidGate, SigmoidGateBackward};
use crate::ops::swiglu::{Swiglu, SwigluBackward};
use crate::plan::PlanBuilder;
use crate::tensor::{DType, Role, View};

/// The dispatch's order of pairs; a pair's id is `token * top_k + slot`.
#[derive(Clone, Copy)]
struct Routing {
    /// u32 `[num_experts]`.
    counts: View,
    /// u32 `[num_experts + 1]`.
    offsets: View,
    /// Pair id by sorted row, u32 `[pairs]`.
    order: View,
    /// Sorted row by pair id, u32 `[pairs]`.
    position: View,
    /// u32 `[tiles]`.
    tile_expert: View,
    /// u32 `[tiles]`.
    tile_row: View,
}

/// Tensors for the backward.
pub(super) struct Moe {
    config: MoeConfig,
    /// Normalised states, `[tokens, width]`.
    x: View,
    /// `[tokens, num_experts]`.
    probs: View,
    /// u32 `[tokens, top_k]`.
    experts: View,
    /// `[tokens, top_k]`.
    weights: View,
    routing: Routing,
    /// States by sorted row, `[pairs, width]`.
    gathered: View,
    /// `[pairs, 2 * inner]`.
    gate_up: View,
    /// `[pairs, inner]`.
    activated: View,
    /// Experts' results by sorted row, `[pairs, width]`.
    y: View,
    shared: Option<Shared>,
}

/// The shared expert, and its gate, if any.
struct Shared {
    mlp: SwigluMlp,
    /// The expert's result, `[tokens, width]`.
    out: View,
    /// The gate's scores, `[tokens]`.
    gate_logits: Option<View>,
}

/// A matrix of every expert, `[num_experts, outputs, inputs]`, by the name of its parameter.
struct ExpertLinear<'a> {
    weight: &'a str,
    inputs: usize,
    outputs: usize,
    num_experts: usize,
    rows: usize,
}

impl ExpertLinear<'_> {
    /// `y [pairs, outputs] = x wᵀ`, or with [`Transpose::None`] `dx [pairs, inputs] = dy w`.
    fn apply(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        routing: Routing,
        transpose: Transpose,
        a: View,
        c: View,
    ) {
        let product = self.product(b, cx, routing, transpose, a, c);
        b.push(product);
    }

    /// The product of [`ExpertLinear::apply`], to fuse with another op.
    fn product(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        routing: Routing,
        transpose: Transpose,
        a: View,
        c: View,
    ) -> GroupedMatmul {
        let weight = cx.weight_as(b, self.weight, cx.working);
        let (n, k) = match transpose {
            Transpose::B => (self.outputs, self.inputs),
            _ => (self.inputs, self.outputs),
        };
        GroupedMatmul {
            a,
            b: weight,
            c,
            offsets: routing.offsets,
            tile_expert: routing.tile_expert,
            tile_row: routing.tile_row,
            rows: self.rows,
            n,
            k,
            num_experts: self.num_experts,
            transpose,
            accumulate: false,
        }
    }

    /// `dw_e += dy_eᵀ x_e` over each expert's rows.
    fn backward_weight(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        routing: Routing,
        dy: View,
        x: View,
    ) {
        let dweight = cx.gradient(b, self.weight);
        b.push(GroupedMatmulBackwardWeight {
            dy,
            x,
            offsets: routing.offsets,
            dweight,
            rows: self.rows,
            in_features: self.inputs,
            out_features: self.outputs,
            num_experts: self.num_experts,
        });
    }
}

/// The layer for the experts' scores. Scores are few, and they decide the choice of experts, so they are never halves.
fn router<'a>(cx: &Context<'_>, weight: &'a str, num_experts: usize) -> Linear<'a> {
    Linear { weight, inputs: cx.width(), outputs: num_experts, dtype: DType::Real }
}

/// Name of the gate of a block's shared expert.
fn gate_name(block: &str) -> String {
    format!("{block}.shared_gate")
}

/// The layer for the score of the shared expert's gate, in the router's precision.
fn gate<'a>(cx: &Context<'_>, weight: &'a str) -> Linear<'a> {
    router(cx, weight, 1)
}

/// The two matrices of an expert's SwiGLU: `(gate_up, down)` names.
fn names(block: &str) -> (String, String) {
    (format!("{block}.experts.gate_up"), format!("{block}.experts.down"))
}

fn linears<'a>(
    cx: &Context<'_>,
    config: &MoeConfig,
    names: &'a (String, String),
) -> (ExpertLinear<'a>, ExpertLinear<'a>) {
    let (num_experts, inner) = (config.num_experts, config.moe_intermediate_size);
    let (width, rows) = (cx.width(), cx.tokens() * config.num_experts_per_tok);
    let (gate_up, down) = (names.0.as_str(), names.1.as_str());
    (
        ExpertLinear { weight: gate_up, inputs: width, outputs: 2 * inner, num_experts, rows },
        ExpertLinear { weight: down, inputs: inner, outputs: width, num_experts, rows },
    )
}

impl Moe {
    /// `out [tokens, width]` of the normalised states `x`.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        block: &str,
        config: &MoeConfig,
        x: View,
    ) -> (View, Self) {
        let (tokens, width) = (cx.tokens(), cx.width());
        let (num_experts, top_k) = (config.num_experts, config.num_experts_per_tok);
        let (pairs, inner) = (tokens * top_k, config.moe_intermediate_size);

        let name = format!("{block}.router");
        let router = router(cx, &name, num_experts);
        let logits = router.forward(b, cx, "router_logits", x, tokens);
        let shape = [tokens, num_experts];
        let probs = if cx.probe {
            let name = format!("{block}.router_probs");
            b.shared(&name, &shape, DType::Real, Role::State)
        } else {
            b.activation("router_probs", &shape)
        };
        let experts = b.activation_u32("experts", &[tokens, top_k]);
        let weights = b.activation("expert_weights", &[tokens, top_k]);
        let norm_topk_prob = config.norm_topk_prob;
        b.push(MoeRoute {
            logits,
            probs,
            experts,
            weights,
            tokens,
            num_experts,
            top_k,
            norm_topk_prob,
        });
        let routing = dispatch(b, experts, pairs, num_experts);

        let gathered = b.activation_of(cx.working, "gathered", &[pairs, width]);
        b.push(MoeGather {
            x,
            order: routing.order,
            y: gathered,
            tokens,
            top_k,
            hidden_size: width,
        });
        let names = names(block);
        let (up, down) = linears(cx, config, &names);
        let gate_up = b.activation_of(cx.working, "gate_up", &[pairs, 2 * inner]);
        let activated = b.activation_of(cx.working, "activated", &[pairs, inner]);
        let product = up.product(b, cx, routing, Transpose::B, gathered, gate_up);
        let then = Swiglu { gate_up, y: activated, rows: pairs, width: inner };
        b.push(FusedProduct { product: Product::Experts(product), then: Then::Swiglu(then) });
        let y = b.activation_of(cx.working, "expert_out", &[pairs, width]);
        down.apply(b, cx, routing, Transpose::B, activated, y);

        let shared_inner = config.shared_expert_intermediate_size;
        let shared = (shared_inner > 0).then(|| {
            let (name, gate_name) = (format!("{block}.shared"), gate_name(block));
            b.scoped("shared", |b| {
                let (out, mlp) =
                    SwigluMlp::forward(b, cx, &name, x, tokens, shared_inner, cx.working);
                let gate_logits = config
                    .has_shared_expert_gate()
                    .then(|| gate(cx, &gate_name).forward(b, cx, "gate_logits", x, tokens));
                let gated = gate_logits.map_or(out, |logits| {
                    let y = b.activation_of(cx.working, "gated", &[tokens, width]);
                    b.push(SigmoidGate { x: out, logits, y, rows: tokens, width });
                    y
                });
                (gated, Shared { mlp, out, gate_logits })
            })
        });
        let (shared_out, shared) = shared.unzip();
        let out = b.activation_of(cx.working, "out", &[tokens, width]);
        b.push(MoeCombine {
            y,
            weights,
            position: routing.position,
            shared: shared_out,
            out,
            tokens,
            top_k,
            hidden_size: width,
        });
        let config = config.clone();
        let saved = Self {
            config,
            x,
            probs,
            experts,
            weights,
            routing,
            gathered,
            gate_up,
            activated,
            y,
            shared,
        };
        (out, saved)
    }

    /// Adds the balance loss to the metrics, and each expert's share of the pairs to the state
    /// `{block}.expert_load` `[num_experts]`, which it returns.
    pub fn record(&self, b: &mut PlanBuilder, cx: &Context<'_>, block: &str) -> View {
        let (tokens, num_experts) = (cx.tokens(), self.config.num_experts);
        let load = format!("{block}.expert_load");
        let load = b.shared(&load, &[num_experts], DType::Real, Role::State);
        let partial =
            b.activation("balance_partial", &[MoeBalance::partial_rows(tokens), num_experts]);
        b.push(MoeBalance {
            probs: self.probs,
            counts: self.routing.counts,
            scalars: cx.inputs.scalars,
            scale: scalars::MICRO_SCALE,
            metrics: cx.metrics,
            metric: metric::BALANCE_LOSS,
            load,
            partial,
            tokens,
            num_experts,
            top_k: self.config.num_experts_per_tok,
        });
        load
    }

    /// Probabilities of the experts, `[tokens, num_experts]`.
    pub fn probs(&self) -> View {
        self.probs
    }

    /// Writes `dx [tokens, width]` and adds to the gradients of router and experts.
    pub fn backward(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        block: &str,
        dout: View,
        dx: View,
    ) {
        let (tokens, width) = (cx.tokens(), cx.width());
        let (num_experts, top_k) = (self.config.num_experts, self.config.num_experts_per_tok);
        let (pairs, inner) = (tokens * top_k, self.config.moe_intermediate_size);
        let routing = self.routing;

        let dy = b.activation_of(cx.working, "dexpert_out", &[pairs, width]);
        let dweights = b.activation("dexpert_weights", &[tokens, top_k]);
        b.push(MoeCombineBackward {
            dout,
            y: self.y,
            weights: self.weights,
            order: routing.order,
            dy,
            dweights,
            tokens,
            top_k,
            hidden_size: width,
        });
        let names = names(block);
        let (up, down) = linears(cx, &self.config, &names);
        down.backward_weight(b, cx, routing, dy, self.activated);
        let dactivated = b.activation_of(cx.working, "dactivated", &[pairs, inner]);
        let dgate_up = b.activation_of(cx.working, "dgate_up", &[pairs, 2 * inner]);
        let product = down.product(b, cx, routing, Transpose::None, dy, dactivated);
        let then = SwigluBackward {
            dy: dactivated,
            gate_up: self.gate_up,
            dgate_up,
            rows: pairs,
            width: inner,
        };
        b.push(FusedProduct {
            product: Product::Experts(product),
            then: Then::SwigluBackward(then),
        });
        up.backward_weight(b, cx, routing, dgate_up, self.gathered);
        let dgathered = b.activation_of(cx.working, "dgathered", &[pairs, width]);
        up.apply(b, cx, routing, Transpose::None, dgate_up, dgathered);
        b.push(MoeGatherBackward {
            dy: dgathered,
            position: routing.position,
            dx,
            accumulate: false,
            tokens,
            top_k,
            hidden_size: width,
        });
        if let Some(Shared { mlp, out, gate_logits }) = self.shared {
            b.scoped("shared", |b| {
                let mut dshared = dout;
                let has_gate = self.config.has_shared_expert_gate();
                if let Some(logits) = gate_logits.filter(|_| has_gate) {
                    dshared = b.activation_of(cx.working, "dshared", &[tokens, width]);
                    let dlogits = b.activation("dgate_logits", &[tokens, 1]);
                    let (dy, rows) = (cx.in_working(b, dout), tokens);
                    b.push(SigmoidGateBackward {
                        dy,
                        x: out,
                        logits,
                        dx: dshared,
                        dlogits,
                        rows,
                        width,
                    });
                    let name = gate_name(block);
                    let gate = gate(cx, &name);
                    gate.backward_weight(b, cx, dlogits, self.x, tokens);
                    gate.backward_input(b, cx, dlogits, dx, true, tokens);
                }
                mlp.backward(b, cx, dshared, dx, true);
            });
        }

        let dlogits = b.activation("drouter_logits", &[tokens, num_experts]);
        b.push(MoeRouteBackward {
            dweights,
            probs: self.probs,
            experts: self.experts,
            counts: routing.counts,
            scalars: cx.loss_scalars,
            scale: scalars::MICRO_SCALE,
            aux_coefficient: self.config.router_aux_loss_coef,
            dlogits,
            tokens,
            num_experts,
            top_k,
            norm_topk_prob: self.config.norm_topk_prob,
        });
        let name = format!("{block}.router");
        let router = router(cx, &name, num_experts);
        router.backward_weight(b, cx, dlogits, self.x, tokens);
        router.backward_input(b, cx, dlogits, dx, true, tokens);
    }
}

/// Sorts the pairs by expert.
fn dispatch(b: &mut PlanBuilder, experts: View, pairs: usize, num_experts: usize) -> Routing {
    let tiles = MoeDispatch::max_tiles(pairs, num_experts);
    let mut int = |name: &str, len: usize| b.activation_u32(name, &[len]);
    let routing = Routing {
        counts: int("expert_counts", num_experts),
        offsets: int("expert_offsets", num_experts + 1),
        order: int("pair_order", pairs),
        position: int("pair_position", pairs),
        tile_expert: int("tile_expert", tiles),
        tile_row: int("tile_row", tiles),
    };
    let chunk_counts = int("chunk_counts", MoeDispatch::chunks(pairs) * num_experts);
    let tile_offsets = int("tile_offsets", num_experts + 1);
    b.push(MoeDispatch {
        experts,
        counts: routing.counts,
        offsets: routing.offsets,
        order: routing.order,
        position: routing.position,
        tile_expert: routing.tile_expert,
        tile_row: routing.tile_row,
        chunk_counts,
        tile_offsets,
        pairs,
        num_experts,
    });
    routing
}
