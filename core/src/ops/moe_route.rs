//! The router of a mixture of experts: softmax over all experts, then the k largest probabilities
//! (DeepSeek-V2, arXiv 2405.04434).

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, dot, exp, max, sum};
use crate::tensor::{OpMemory, Use, View};

/// `probs = softmax(logits)`; `experts` the `k` largest of each token, largest first, ties to the
/// lowest index; `weights` their probabilities, divided by their sum if `norm_topk_prob`.
/// Experts are compared by logits, which have the order of the probabilities without the rounding of `exp`. Every
/// executor therefore picks the same experts from the same logits. For any logits, even NaN, a token's experts are
/// distinct and below `num_experts`, so that later ops stay within their memory.
#[derive(Clone, Copy, Debug)]
pub struct MoeRoute {
    /// Router scores, `[tokens, num_experts]`.
    pub logits: View,
    /// Softmax of the scores, `[tokens, num_experts]`.
    pub probs: View,
    /// Chosen experts, u32 `[tokens, top_k]`.
    pub experts: View,
    /// Their weights, `[tokens, top_k]`.
    pub weights: View,
    /// Number of token states.
    pub tokens: usize,
    /// Number of routed experts.
    pub num_experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Make the weights of a token sum to 1.
    pub norm_topk_prob: bool,
}

impl Op for MoeRoute {
    fn name(&self) -> &'static str {
        "moe_route"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.logits),
            Use::write(self.probs),
            Use::write(self.experts),
            Use::write(self.weights),
        ]
    }

    fn flops(&self) -> f64 {
        5.0 * self.tokens as f64 * self.num_experts as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (logits, probs) = (memory.read(self.logits), memory.write(self.probs));
        let (experts, weights) = (memory.write_u32(self.experts), memory.write(self.weights));
        for t in 0..self.tokens {
            let logits = &logits[t * self.num_experts..][..self.num_experts];
            let probs = &mut probs[t * self.num_experts..][..self.num_experts];
            let largest = logits.iter().copied().fold(R::neg_infinity(), R::max);
            let total: R = logits.iter().map(|&l| (l - largest).exp()).sum();
            for (p, &l) in probs.iter_mut().zip(logits) {
                *p = (l - largest).exp() / total;
            }
            let mut free: Vec<usize> = (0..self.num_experts).collect();
            for slot in 0..self.top_k {
                // Strictly larger, so that of equal logits the first wins.
                let best = (1..free.len())
                    .fold(0, |best, i| if logits[free[i]] > logits[free[best]] { i } else { best });
                let expert = free.remove(best);
                experts[t * self.top_k + slot] = expert as u32;
                weights[t * self.top_k + slot] = probs[expert];
            }
            if self.norm_topk_prob {
                let weights = &mut weights[t * self.top_k..][..self.top_k];
                let chosen: R = weights.iter().copied().sum();
                weights.iter_mut().for_each(|w| *w /= chosen);
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (logits, probs) = (memory.read(self.logits), memory.write(self.probs));
        let (experts, weights) = (memory.write_u32(self.experts), memory.write(self.weights));
        let rows = ROWS_PER_TASK;
        let (all, chosen) = (rows * self.num_experts, rows * self.top_k);
        probs
            .par_chunks_mut(all)
            .zip(logits.par_chunks(all))
            .zip(experts.par_chunks_mut(chosen).zip(weights.par_chunks_mut(chosen)))
            .for_each(|((probs, logits), (experts, weights))| {
                softmax_rows(logits, self.num_experts, probs);
                let tokens = logits
                    .chunks_exact(self.num_experts)
                    .zip(probs.chunks_exact(self.num_experts))
                    .zip(experts.chunks_exact_mut(self.top_k))
                    .zip(weights.chunks_exact_mut(self.top_k));
                for (((logits, probs), experts), weights) in tokens {
                    top_k(logits, experts, weights);
                    for (weight, &expert) in weights.iter_mut().zip(&*experts) {
                        *weight = probs[expert as usize];
                    }
                    if self.norm_topk_prob {
                        let scale = 1.0 / weights.iter().sum::<f32>();
                        weights.iter_mut().for_each(|weight| *weight *= scale);
                    }
                }
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("moe_route"),
                entry: "moe_route",
                constants: vec![("NORMALIZE", f64::from(u8::from(self.norm_topk_prob)))],
            },
            bindings: vec![
                ("logits", self.logits),
                ("probs", self.probs),
                ("experts", self.experts),
                ("weights", self.weights),
            ],
            uniform: Uniform::new().size(self.tokens).size(self.num_experts).size(self.top_k),
            grid: linear_grid(self.tokens),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn softmax_rows(logits: &[f32], num_experts: usize, probs: &mut [f32]) {
    let rows = logits.chunks_exact(num_experts).zip(probs.chunks_exact_mut(num_experts));
    for (logits, probs) in rows {
        let largest = max(logits);
        for (p, &l) in probs.iter_mut().zip(logits) {
            *p = exp(l - largest);
        }
        let scale = 1.0 / sum(probs);
        probs.iter_mut().for_each(|p| *p *= scale);
    }
}

/// Fills `experts` with the indices of the largest logits, and `best` with these logits, in descending order. It
/// inserts into a sorted list, which few elements of a row enter.
fn top_k(logits: &[f32], experts: &mut [u32], best: &mut [f32]) {
    let k = experts.len();
    for (expert, &logit) in logits.iter().enumerate() {
        let mut slot = if expert < k {
            expert
        } else if logit > best[k - 1] {
            k - 1
        } else {
            continue;
        };
        // Strictly larger, so that of equal logits the first stays in front.
        while slot > 0 && logit > best[slot - 1] {
            best[slot] = best[slot - 1];
            experts[slot] = experts[slot - 1];
            slot -= 1;
        }
        best[slot] = logit;
        experts[slot] = expert as u32;
    }
}

/// Gradient of [`MoeRoute`] and of the balance loss ([`MoeBalance`](super::moe_balance)).
///
/// With `p` a token's probabilities, `S` the sum of its chosen ones and `f_e = counts_e / pairs`:
/// `dp_e = c num_experts f_e / tokens + [e chosen] g_e`, where `g_e` is `dw_e`, or
/// `(dw_e - Σ dw_j p_j / S) / S` if the weights were normalised; `dlogits = p (dp - Σ p dp)`.
/// `c = aux_coefficient * scalars[scale]`. The counts and the choice of experts count as constants.
#[derive(Clone, Copy, Debug)]
pub struct MoeRouteBackward {
    /// Gradient of the weights, `[tokens, top_k]`.
    pub dweights: View,
    /// From the forward, `[tokens, num_experts]`.
    pub probs: View,
    /// From the forward, u32 `[tokens, top_k]`.
    pub experts: View,
    /// Pairs of each expert, u32 `[num_experts]`, from [`MoeDispatch`](super::moe_dispatch).
    pub counts: View,
    /// Step scalars, [`scalars::LEN`](super::scalars::LEN) elements.
    pub scalars: View,
    /// Index of the scalar that scales the balance loss.
    pub scale: usize,
    /// Weight of the balance loss in the training loss.
    pub aux_coefficient: f64,
    /// Gradient of the router scores, `[tokens, num_experts]`.
    pub dlogits: View,
    /// Number of token states.
    pub tokens: usize,
    /// Number of routed experts.
    pub num_experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// As in the forward.
    pub norm_topk_prob: bool,
}

impl MoeRouteBackward {
    /// `aux_coefficient * num_experts / (pairs * tokens)`. Times `counts_e`, it is the gradient of the balance loss in
    /// each probability of expert `e`.
    fn balance_coefficient(&self) -> f64 {
        let (tokens, pairs) = (self.tokens as f64, (self.tokens * self.top_k) as f64);
        self.aux_coefficient * self.num_experts as f64 / (pairs * tokens)
    }
}

impl Op for MoeRouteBackward {
    fn name(&self) -> &'static str {
        "moe_route_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.dweights),
            Use::read(self.probs),
            Use::read(self.experts),
            Use::read(self.counts),
            Use::read(self.scalars),
            Use::write(self.dlogits),
        ]
    }

    fn flops(&self) -> f64 {
        5.0 * self.tokens as f64 * self.num_experts as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dweights, probs) = (memory.read(self.dweights), memory.read(self.probs));
        let (experts, counts) = (memory.read_u32(self.experts), memory.read_u32(self.counts));
        let scalars = memory.read(self.scalars);
        let dlogits = memory.write(self.dlogits);
        let balance = R::of(self.balance_coefficient()) * scalars[self.scale];
        for t in 0..self.tokens {
            let probs = &probs[t * self.num_experts..][..self.num_experts];
            let experts = &experts[t * self.top_k..][..self.top_k];
            let dweights = &dweights[t * self.top_k..][..self.top_k];
            let mut dprobs: Vec<R> =
                counts.iter().map(|&count| balance * R::of(f64::from(count))).collect();
            let p = |slot: usize| probs[experts[slot] as usize];
            let chosen: R = (0..self.top_k).map(p).sum();
            let product: R = (0..self.top_k).map(|slot| dweights[slot] * p(slot)).sum();
            for slot in 0..self.top_k {
                dprobs[experts[slot] as usize] += if self.norm_topk_prob {
                    (dweights[slot] - product / chosen) / chosen
                } else {
                    dweights[slot]
                };
            }
            let mean: R = probs.iter().zip(&dprobs).map(|(&p, &dp)| p * dp).sum();
            for e in 0..self.num_experts {
                dlogits[t * self.num_experts + e] = probs[e] * (dprobs[e] - mean);
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dweights, probs) = (memory.read(self.dweights), memory.read(self.probs));
        let (experts, counts) = (memory.read_u32(self.experts), memory.read_u32(self.counts));
        let dlogits = memory.write(self.dlogits);
        let coefficient = self.balance_coefficient() as f32 * memory.read(self.scalars)[self.scale];
        let balance: Vec<f32> = counts.iter().map(|&count| coefficient * count as f32).collect();
        let rows = ROWS_PER_TASK;
        let (all, chosen) = (rows * self.num_experts, rows * self.top_k);
        dlogits
            .par_chunks_mut(all)
            .zip(probs.par_chunks(all))
            .zip(experts.par_chunks(chosen).zip(dweights.par_chunks(chosen)))
            .for_each(|((dlogits, probs), (experts, dweights))| {
                backward_rows(probs, experts, dweights, &balance, self.norm_topk_prob, dlogits);
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("moe_route_backward"),
                entry: "moe_route_backward",
                constants: vec![("NORMALIZE", f64::from(u8::from(self.norm_topk_prob)))],
            },
            bindings: vec![
                ("dweights", self.dweights),
                ("probs", self.probs),
                ("experts", self.experts),
                ("counts", self.counts),
                ("scalars", self.scalars),
                ("dlogits", self.dlogits),
            ],
            uniform: Uniform::new()
                .size(self.tokens)
                .size(self.num_experts)
                .size(self.top_k)
                .size(self.scale)
                .real(self.balance_coefficient() as f32),
            grid: linear_grid(self.tokens),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_rows(
    probs: &[f32],
    experts: &[u32],
    dweights: &[f32],
    balance: &[f32],
    normalized: bool,
    dlogits: &mut [f32],
) {
    let num_experts = balance.len();
    let rows = probs.chunks_exact(num_experts).zip(dlogits.chunks_exact_mut(num_experts));
    let top_k = experts.len() * num_experts / probs.len();
    let chosen = experts.chunks_exact(top_k).zip(dweights.chunks_exact(top_k));
    for ((probs, dlogits), (experts, dweights)) in rows.zip(chosen) {
        // Constants that are subtracted from and multiplied with a chosen weight's gradient.
        let (mean, scale) = if normalized {
            let (mut total, mut product) = (0.0, 0.0);
            for (&expert, &dweight) in experts.iter().zip(dweights) {
                total += probs[expert as usize];
                product += probs[expert as usize] * dweight;
            }
            (product / total, 1.0 / total)
        } else {
            (0.0, 1.0)
        };
        dlogits.copy_from_slice(balance);
        for (&expert, &dweight) in experts.iter().zip(dweights) {
            dlogits[expert as usize] += (dweight - mean) * scale;
        }
        let mean = dot(probs, dlogits);
        for (dlogit, &p) in dlogits.iter_mut().zip(probs) {
            *dlogit = p * (*dlogit - mean);
        }
    }
}
