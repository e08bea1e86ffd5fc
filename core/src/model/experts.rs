//! The experts of a mixture: dispatch of pairs of tokens and experts, and the grouped products of each expert's SwiGLU.

use super::context::Context;
use super::rows::Rows;
use crate::config::MoeConfig;
use crate::ops::fused_product::{FusedProduct, Product, Then};
use crate::ops::grouped_matmul::{GroupedMatmul, GroupedMatmulBackwardWeight};
use crate::ops::matmul::Transpose;
use crate::ops::moe_combine::MoeCombineBackward;
use crate::ops::moe_dispatch::MoeDispatch;
use crate::ops::moe_gather::{MoeGather, MoeGatherBackward};
use crate::ops::swiglu::{Swiglu, SwigluBackward};
use crate::plan::PlanBuilder;
use crate::tensor::View;

/// The dispatch's order of pairs; a pair's id is `token * top_k + slot`.
#[derive(Clone, Copy)]
pub(super) struct Routing {
    /// u32 `[num_experts]`.
    pub counts: View,
    /// u32 `[num_experts + 1]`.
    offsets: View,
    /// Pair id by sorted row, u32 `[pairs]`.
    order: View,
    /// Sorted row by pair id, u32 `[pairs]`.
    pub position: View,
    /// u32 `[tiles]`.
    tile_expert: View,
    /// u32 `[tiles]`.
    tile_row: View,
}

/// The experts' activations of a part of the tokens. The part has an order of pairs of its own.
pub(super) struct Experts {
    /// Its tokens.
    pub rows: Rows,
    /// `[tokens, top_k]`.
    pub weights: View,
    pub routing: Routing,
    /// States by sorted row, `[pairs, width]`.
    gathered: View,
    /// `[pairs, 2 * inner]`.
    gate_up: View,
    /// `[pairs, inner]`.
    activated: View,
    /// Experts' results by sorted row, `[pairs, width]`.
    pub y: View,
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

/// The two matrices of an expert's SwiGLU: `(gate_up, down)` names.
fn names(block: &str) -> (String, String) {
    (format!("{block}.experts.gate_up"), format!("{block}.experts.down"))
}

fn linears<'a>(
    cx: &Context<'_>,
    config: &MoeConfig,
    names: &'a (String, String),
    tokens: usize,
) -> (ExpertLinear<'a>, ExpertLinear<'a>) {
    let (num_experts, inner) = (config.num_experts, config.moe_intermediate_size);
    let (width, rows) = (cx.width(), tokens * config.num_experts_per_tok);
    let (gate_up, down) = (names.0.as_str(), names.1.as_str());
    (
        ExpertLinear { weight: gate_up, inputs: width, outputs: 2 * inner, num_experts, rows },
        ExpertLinear { weight: down, inputs: inner, outputs: width, num_experts, rows },
    )
}

/// The tokens of a run, divided so that the activations of their pairs fit a binding.
pub(super) fn parts(cx: &Context<'_>, config: &MoeConfig) -> Vec<Rows> {
    let columns = cx.width().max(2 * config.moe_intermediate_size);
    cx.parts(cx.tokens(), config.num_experts_per_tok * columns)
}

impl Experts {
    /// The experts' results for the part's states `[tokens, width]`, its choice of experts and their weights, both
    /// `[tokens, top_k]`.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        block: &str,
        config: &MoeConfig,
        rows: Rows,
        [x, experts, weights]: [View; 3],
    ) -> Self {
        let (tokens, width) = (rows.len, cx.width());
        let (num_experts, top_k) = (config.num_experts, config.num_experts_per_tok);
        let (pairs, inner) = (tokens * top_k, config.moe_intermediate_size);
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
        let (up, down) = linears(cx, config, &names, tokens);
        let gate_up = b.activation_of(cx.working, "gate_up", &[pairs, 2 * inner]);
        let activated = b.activation_of(cx.working, "activated", &[pairs, inner]);
        let product = up.product(b, cx, routing, Transpose::B, gathered, gate_up);
        let then = Swiglu { gate_up, y: activated, rows: pairs, width: inner };
        b.push(FusedProduct { product: Product::Experts(product), then: Then::Swiglu(then) });
        let y = b.activation_of(cx.working, "expert_out", &[pairs, width]);
        down.apply(b, cx, routing, Transpose::B, activated, y);
        Self { rows, weights, routing, gathered, gate_up, activated, y }
    }

    /// From `dout [tokens, width]`, writes `dx [tokens, width]` and `dweights [tokens, top_k]`, and adds to the
    /// gradients of the experts.
    pub fn backward(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        block: &str,
        config: &MoeConfig,
        [dout, dx, dweights]: [View; 3],
    ) {
        let (tokens, width) = (self.rows.len, cx.width());
        let (top_k, inner) = (config.num_experts_per_tok, config.moe_intermediate_size);
        let pairs = tokens * top_k;
        let routing = self.routing;

        let dy = b.activation_of(cx.working, "dexpert_out", &[pairs, width]);
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
        let (up, down) = linears(cx, config, &names, tokens);
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
    }
}

/// Sorts the pairs by expert.
pub(super) fn dispatch(
    b: &mut PlanBuilder,
    experts: View,
    pairs: usize,
    num_experts: usize,
) -> Routing {
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
