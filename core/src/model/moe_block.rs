//! A mixture of experts as in DeepSeek-V2: softmax router, top-k, dispatch without dropped tokens, grouped GEMMs of the
//! experts, weighted combination, and shared experts for all tokens.

use super::context::{Context, metric};
use super::experts::{Experts, dispatch, parts};
use super::linear::{Linear, SwigluMlp};
use crate::config::MoeConfig;
use crate::ops::moe_balance::MoeBalance;
use crate::ops::moe_combine::MoeCombine;
use crate::ops::moe_route::{MoeRoute, MoeRouteBackward};
use crate::ops::scalars;
use crate::ops::sigmoid_gate::{SigmoidGate, SigmoidGateBackward};
use crate::plan::PlanBuilder;
use crate::tensor::{DType, Role, View};

/// Tensors for the backward.
pub(super) struct Moe {
    config: MoeConfig,
    /// Normalised states, `[tokens, width]`.
    x: View,
    /// `[tokens, num_experts]`.
    probs: View,
    /// u32 `[tokens, top_k]`.
    experts: View,
    /// Pairs of each expert, u32 `[num_experts]`.
    counts: View,
    parts: Vec<Experts>,
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
        let parts: Vec<Experts> = parts(cx, config)
            .into_iter()
            .map(|rows| {
                let views = [rows.of(x, width), rows.of(experts, top_k), rows.of(weights, top_k)];
                Experts::forward(b, cx, block, config, rows, views)
            })
            .collect();
        // The balance of the experts is that of all tokens. A dispatch of all pairs counts them: it takes little of the
        // time of the products, and needs no op of its own.
        let counts = match &parts[..] {
            [part] => part.routing.counts,
            _ => dispatch(b, experts, tokens * top_k, num_experts).counts,
        };

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
        for &Experts { rows, weights, routing, y, .. } in &parts {
            b.push(MoeCombine {
                y,
                weights,
                position: routing.position,
                shared: shared_out.map(|shared| rows.of(shared, width)),
                out: rows.of(out, width),
                tokens: rows.len,
                top_k,
                hidden_size: width,
            });
        }
        let config = config.clone();
        (out, Self { config, x, probs, experts, counts, parts, shared })
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
            counts: self.counts,
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
        let dweights = b.activation("dexpert_weights", &[tokens, top_k]);
        for part in self.parts {
            let rows = part.rows;
            let views = [rows.of(dout, width), rows.of(dx, width), rows.of(dweights, top_k)];
            part.backward(b, cx, block, &self.config, views);
        }
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
            counts: self.counts,
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
