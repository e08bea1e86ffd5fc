//! Measures of the experts' balance: the balance loss of a block, and each expert's share of the routed pairs (Switch
//! Transformer, arXiv 2101.03961, with k experts a token).

use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// `metrics[metric] += s num_experts Σ_e f_e P_e` and `load_e += s f_e`, with
/// `f_e = counts_e / (tokens top_k)`, `P_e` the mean probability of `e` and `s = scalars[scale]`.
/// The loss is 1 if all experts have equal loads. Its gradient flows only through `P`, and is part of
/// [`MoeRouteBackward`](super::moe_route::MoeRouteBackward).
#[derive(Clone, Copy, Debug)]
pub struct MoeBalance {
    /// Router probabilities, `[tokens, num_experts]`.
    pub probs: View,
    /// Pairs of each expert, u32 `[num_experts]`.
    pub counts: View,
    /// Step scalars, [`scalars::LEN`](super::scalars::LEN) elements.
    pub scalars: View,
    /// Index of the scalar that scales both results.
    pub scale: usize,
    /// Sums of the run's metrics.
    pub metrics: View,
    /// Index in `metrics` of the element that the loss is added to.
    pub metric: usize,
    /// Shares of the pairs, `[num_experts]`; accumulated.
    pub load: View,
    /// Scratch, `[MoeBalance::partial_rows(tokens), num_experts]`.
    pub partial: View,
    /// Number of token states.
    pub tokens: usize,
    /// Number of routed experts.
    pub num_experts: usize,
    /// Experts per token.
    pub top_k: usize,
}

impl MoeBalance {
    /// Tokens whose probabilities one thread sums.
    const ROWS_PER_PARTIAL: usize = 128;

    /// Rows of the scratch tensor.
    pub fn partial_rows(tokens: usize) -> usize {
        tokens.div_ceil(Self::ROWS_PER_PARTIAL)
    }

    /// The factor `c` in `loss = c Σ_e counts_e Σ_t p_te`.
    fn loss_scale(&self) -> f64 {
        self.num_experts as f64 / (self.pairs() * self.tokens as f64)
    }

    fn pairs(&self) -> f64 {
        (self.tokens * self.top_k) as f64
    }
}

impl Op for MoeBalance {
    fn name(&self) -> &'static str {
        "moe_balance"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.probs),
            Use::read(self.counts),
            Use::read(self.scalars),
            Use::read_write(self.metrics),
            Use::read_write(self.load),
            Use::write(self.partial),
        ]
    }

    fn flops(&self) -> f64 {
        self.tokens as f64 * self.num_experts as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (probs, counts) = (memory.read(self.probs), memory.read_u32(self.counts));
        let scale = memory.read(self.scalars)[self.scale];
        let (metrics, load) = (memory.write(self.metrics), memory.write(self.load));
        let mut loss = R::zero();
        for e in 0..self.num_experts {
            let fraction = R::of(f64::from(counts[e]) / self.pairs());
            let total: R = (0..self.tokens).map(|t| probs[t * self.num_experts + e]).sum();
            loss += fraction * total / R::of(self.tokens as f64);
            load[e] += scale * fraction;
        }
        metrics[self.metric] += scale * R::of(self.num_experts as f64) * loss;
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (probs, counts) = (memory.read(self.probs), memory.read_u32(self.counts));
        let scale = memory.read(self.scalars)[self.scale];
        let (metrics, load) = (memory.write(self.metrics), memory.write(self.load));
        let partial = memory.write(self.partial);
        let block = Self::ROWS_PER_PARTIAL * self.num_experts;
        partial.par_chunks_mut(self.num_experts).zip(probs.par_chunks(block)).for_each(
            |(partial, probs)| {
                partial.fill(0.0);
                for row in probs.chunks_exact(self.num_experts) {
                    partial.iter_mut().zip(row).for_each(|(sum, &p)| *sum += p);
                }
            },
        );
        let mut loss = 0.0;
        for (e, &count) in counts.iter().enumerate() {
            let total: f32 = partial.iter().skip(e).step_by(self.num_experts).sum();
            loss += count as f32 * total;
            load[e] += scale * (count as f32 / self.pairs() as f32);
        }
        metrics[self.metric] += scale * self.loss_scale() as f32 * loss;
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let partials = Self::partial_rows(self.tokens);
        let uniform = |rows: usize| {
            Uniform::new()
                .size(rows)
                .size(self.num_experts)
                .size(Self::ROWS_PER_PARTIAL)
                .size(self.scale)
                .size(self.metric)
                .real(self.loss_scale() as f32)
                .real((1.0 / self.pairs()) as f32)
        };
        let partial = Dispatch {
            kernel: kernel("moe_balance_partial"),
            bindings: vec![("probs", self.probs), ("partial", self.partial)],
            uniform: uniform(self.tokens),
            grid: linear_grid((partials * self.num_experts).div_ceil(64)),
        };
        let total = Dispatch {
            kernel: kernel("moe_balance"),
            bindings: vec![
                ("counts", self.counts),
                ("partial", self.partial),
                ("scalars", self.scalars),
                ("metrics", self.metrics),
                ("load", self.load),
            ],
            uniform: uniform(partials),
            grid: [1, 1, 1],
        };
        vec![partial, total]
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("moe_balance"), entry, constants: Vec::new() }
}
