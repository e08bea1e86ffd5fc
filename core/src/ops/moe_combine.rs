//! Combines the experts' results for each token: their weighted sum, plus the result of the shared experts without a
//! weight (DeepSeek-V2, arXiv 2405.04434).

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, axpy, dot};
use crate::tensor::{OpMemory, Use, View};

/// `out[t] = Σ_slot weights[t, slot] y[position[t * top_k + slot]] (+ shared[t])`.
///
/// The gradient of `shared` equals that of `out`, so it needs no op.
#[derive(Clone, Copy, Debug)]
pub struct MoeCombine {
    /// Results of the routed experts, sorted by expert, `[tokens * top_k, hidden_size]`.
    pub y: View,
    /// Router weights, `[tokens, top_k]`.
    pub weights: View,
    /// Sorted row of each pair id, u32 `[tokens * top_k]`.
    pub position: View,
    /// Result of the shared experts, if there are any, `[tokens, hidden_size]`.
    pub shared: Option<View>,
    /// The block's output, `[tokens, hidden_size]`.
    pub out: View,
    /// Number of token states.
    pub tokens: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Width of a token state.
    pub hidden_size: usize,
}

impl Op for MoeCombine {
    fn name(&self) -> &'static str {
        "moe_combine"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = vec![Use::read(self.y), Use::read(self.weights), Use::read(self.position)];
        uses.extend(self.shared.map(Use::read));
        uses.push(Use::write(self.out));
        uses
    }

    fn flops(&self) -> f64 {
        2.0 * (self.tokens * self.top_k) as f64 * self.hidden_size as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (y, weights) = (memory.read(self.y), memory.read(self.weights));
        let position = memory.read_u32(self.position);
        let shared = self.shared.map(|shared| memory.read(shared));
        let out = memory.write(self.out);
        for t in 0..self.tokens {
            for i in 0..self.hidden_size {
                let routed: R = (t * self.top_k..(t + 1) * self.top_k)
                    .map(|pair| weights[pair] * y[position[pair] as usize * self.hidden_size + i])
                    .sum();
                let at = t * self.hidden_size + i;
                out[at] = shared.map_or(R::zero(), |shared| shared[at]) + routed;
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (y, weights) = (memory.read(self.y), memory.read(self.weights));
        let position = memory.read_u32(self.position);
        let shared = self.shared.map(|shared| memory.read(shared));
        let (block, pairs) = (ROWS_PER_TASK * self.hidden_size, ROWS_PER_TASK * self.top_k);
        memory
            .write(self.out)
            .par_chunks_mut(block)
            .zip(weights.par_chunks(pairs).zip(position.par_chunks(pairs)))
            .enumerate()
            .for_each(|(task, (out, (weights, position)))| {
                match shared {
                    Some(shared) => out.copy_from_slice(&shared[task * block..][..out.len()]),
                    None => out.fill(0.0),
                }
                combine_rows(y, weights, position, self.top_k, self.hidden_size, out);
            });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let mut bindings = vec![
            ("y", self.y),
            ("weights", self.weights),
            ("position", self.position),
            ("out", self.out),
        ];
        bindings.extend(self.shared.map(|shared| ("shared_y", shared)));
        vec![Dispatch {
            kernel: kernel(if self.shared.is_some() {
                "moe_combine_shared"
            } else {
                "moe_combine"
            }),
            bindings,
            uniform: Uniform::new().size(self.tokens).size(self.top_k).size(self.hidden_size),
            grid: linear_grid(self.tokens),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn combine_rows(
    y: &[f32],
    weights: &[f32],
    position: &[u32],
    top_k: usize,
    width: usize,
    out: &mut [f32],
) {
    let pairs = weights.chunks_exact(top_k).zip(position.chunks_exact(top_k));
    for (out, (weights, position)) in out.chunks_exact_mut(width).zip(pairs) {
        for (&weight, &row) in weights.iter().zip(position) {
            axpy(out, weight, &y[row as usize * width..][..width]);
        }
    }
}

/// Gradients of [`MoeCombine`]: for the sorted row of the pair `(t, slot)`,
/// `dy[row] = weights[t, slot] dout[t]` and `dweights[t, slot] = dout[t] · y[row]`.
#[derive(Clone, Copy, Debug)]
pub struct MoeCombineBackward {
    /// Gradient of the output, `[tokens, hidden_size]`.
    pub dout: View,
    /// Results of the routed experts, `[tokens * top_k, hidden_size]`.
    pub y: View,
    /// Router weights, `[tokens, top_k]`.
    pub weights: View,
    /// Pair id of each sorted row, u32 `[tokens * top_k]`.
    pub order: View,
    /// Gradient of the experts' results, `[tokens * top_k, hidden_size]`.
    pub dy: View,
    /// Gradient of the weights, `[tokens, top_k]`.
    pub dweights: View,
    /// Number of token states.
    pub tokens: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Width of a token state.
    pub hidden_size: usize,
}

impl Op for MoeCombineBackward {
    fn name(&self) -> &'static str {
        "moe_combine_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.dout),
            Use::read(self.y),
            Use::read(self.weights),
            Use::read(self.order),
            Use::write(self.dy),
            Use::write(self.dweights),
        ]
    }

    fn flops(&self) -> f64 {
        3.0 * (self.tokens * self.top_k) as f64 * self.hidden_size as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dout, y) = (memory.read(self.dout), memory.read(self.y));
        let (weights, order) = (memory.read(self.weights), memory.read_u32(self.order));
        let (dy, dweights) = (memory.write(self.dy), memory.write(self.dweights));
        for (row, &pair) in order.iter().enumerate() {
            let pair = pair as usize;
            let dout = &dout[pair / self.top_k * self.hidden_size..][..self.hidden_size];
            let y = &y[row * self.hidden_size..][..self.hidden_size];
            for i in 0..self.hidden_size {
                dy[row * self.hidden_size + i] = weights[pair] * dout[i];
            }
            dweights[pair] = dout.iter().zip(y).map(|(&dout, &y)| dout * y).sum();
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dout, y) = (memory.read(self.dout), memory.read(self.y));
        let (weights, order) = (memory.read(self.weights), memory.read_u32(self.order));
        let (dy, dweights) = (memory.write(self.dy), memory.write(self.dweights));
        let block = ROWS_PER_TASK * self.hidden_size;
        // One pass over the rows computes both gradients; then the products are stored by pair.
        let mut products = vec![0.0; order.len()];
        dy.par_chunks_mut(block)
            .zip(y.par_chunks(block))
            .zip(products.par_chunks_mut(ROWS_PER_TASK).zip(order.par_chunks(ROWS_PER_TASK)))
            .for_each(|((dy, y), (products, order))| {
                backward_rows(dout, y, weights, order, self.top_k, self.hidden_size, dy, products);
            });
        for (&product, &pair) in products.iter().zip(order) {
            dweights[pair as usize] = product;
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let pairs = self.tokens * self.top_k;
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("moe_combine_backward"),
                entry: "moe_combine_backward",
                constants: Vec::new(),
            },
            bindings: vec![
                ("dout", self.dout),
                ("y", self.y),
                ("weights", self.weights),
                ("order", self.order),
                ("dy", self.dy),
                ("dweights", self.dweights),
            ],
            uniform: Uniform::new().size(pairs).size(self.top_k).size(self.hidden_size),
            grid: linear_grid(pairs),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_rows(
    dout: &[f32],
    y: &[f32],
    weights: &[f32],
    order: &[u32],
    top_k: usize,
    width: usize,
    dy: &mut [f32],
    products: &mut [f32],
) {
    let rows = dy.chunks_exact_mut(width).zip(y.chunks_exact(width));
    for ((dy, y), (product, &pair)) in rows.zip(products.iter_mut().zip(order)) {
        let dout = &dout[pair as usize / top_k * width..][..width];
        let weight = weights[pair as usize];
        for (dy, &dout) in dy.iter_mut().zip(dout) {
            *dy = weight * dout;
        }
        *product = dot(dout, y);
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("moe_combine"), entry, constants: Vec::new() }
}
