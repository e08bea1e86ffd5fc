//! RMSNorm, fused with the residual addition before it: `s = x + branch`,
//! `y = g * s / sqrt(mean(s²) + eps)` (Zhang & Sennrich 2019, arXiv 1910.07467).

use multiversion::multiversion;
use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Needs, Suits, Uniform, Variant, linear_grid};
use crate::numeric::Real;
use crate::numeric::vector::{ROWS_PER_TASK, dot};
use crate::tensor::{OpMemory, Use, View};

/// The sum of a residual stream and a block's output.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// The block's output, `[rows, width]`.
    pub branch: View,
    /// The sum, `[rows, width]`.
    pub sum: View,
}

/// `y = g * s * rstd` with `rstd = 1 / sqrt(mean(s²) + eps)` and `s = x`, or `x + branch`.
///
/// Both forms give bitwise equal results from the same `s`: recomputation reads the stored sum, which the forward
/// computed itself.
#[derive(Clone, Copy, Debug)]
pub struct Rmsnorm {
    /// The residual stream, `[rows, width]`.
    pub x: View,
    /// The branch to add before the norm, if any.
    pub residual: Option<Residual>,
    /// Gain, `[width]`.
    pub gain: View,
    /// Output, `[rows, width]`.
    pub y: View,
    /// Saved for the backward, `[rows]`.
    pub rstd: View,
    /// Number of token states.
    pub rows: usize,
    /// Hidden size.
    pub width: usize,
    /// Added to the mean square.
    pub eps: f64,
}

impl Op for Rmsnorm {
    fn name(&self) -> &'static str {
        "rmsnorm"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = vec![Use::read(self.x), Use::read(self.gain)];
        if let Some(Residual { branch, sum }) = self.residual {
            uses.extend([Use::read(branch), Use::write(sum)]);
        }
        uses.extend([Use::write(self.y), Use::write(self.rstd)]);
        uses
    }

    fn flops(&self) -> f64 {
        5.0 * self.rows as f64 * self.width as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let mut s = memory.read(self.x).to_vec();
        if let Some(Residual { branch, sum }) = self.residual {
            s.iter_mut().zip(memory.read(branch)).for_each(|(s, &b)| *s += b);
            memory.write(sum).copy_from_slice(&s);
        }
        let (gain, y, rstd) =
            (memory.read(self.gain), memory.write(self.y), memory.write(self.rstd));
        for t in 0..self.rows {
            let row = &s[t * self.width..][..self.width];
            let mean_square: R = row.iter().map(|&v| v * v).sum::<R>() / R::of(self.width as f64);
            rstd[t] = (mean_square + R::of(self.eps)).sqrt().recip();
            for i in 0..self.width {
                y[t * self.width + i] = gain[i] * row[i] * rstd[t];
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (x, gain) = (memory.read(self.x), memory.read(self.gain));
        let (y, rstd) = (memory.write(self.y), memory.write(self.rstd));
        let block = ROWS_PER_TASK * self.width;
        let eps = self.eps as f32;
        let tasks = y.par_chunks_mut(block).zip(rstd.par_chunks_mut(ROWS_PER_TASK));
        match self.residual {
            None => tasks.zip(x.par_chunks(block)).for_each(|((y, rstd), x)| {
                normalize_rows(x, gain, eps, y, rstd);
            }),
            Some(Residual { branch, sum }) => {
                let (branch, sum) = (memory.read(branch), memory.write(sum));
                tasks
                    .zip(sum.par_chunks_mut(block))
                    .zip(x.par_chunks(block).zip(branch.par_chunks(block)))
                    .for_each(|(((y, rstd), sum), (x, branch))| {
                        for ((s, &x), &b) in sum.iter_mut().zip(x).zip(branch) {
                            *s = x + b;
                        }
                        normalize_rows(sum, gain, eps, y, rstd);
                    });
            }
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let mut bindings =
            vec![("x", self.x), ("gain", self.gain), ("y", self.y), ("rstd", self.rstd)];
        let entry = match self.residual {
            None => "rmsnorm",
            Some(Residual { branch, sum }) => {
                bindings.extend([("branch", branch), ("sum", sum)]);
                "add_rmsnorm"
            }
        };
        vec![Dispatch {
            kernel: kernel(entry),
            bindings,
            uniform: Uniform::new().size(self.rows).size(self.width).real(self.eps as f32),
            grid: linear_grid(self.rows),
        }]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn normalize_rows(x: &[f32], gain: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32]) {
    let width = gain.len();
    for ((x, y), rstd) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(rstd) {
        *rstd = 1.0 / (dot(x, x) / width as f32 + eps).sqrt();
        for ((y, &x), &g) in y.iter_mut().zip(x).zip(gain) {
            *y = g * x * *rstd;
        }
    }
}

/// Gradients of [`Rmsnorm`]: with `n = s * rstd` and `c = dy * g`,
/// `ds (+)= rstd (c - n mean(c n))`, `dg += Σ_rows dy n`.
#[derive(Clone, Copy, Debug)]
pub struct RmsnormBackward {
    /// Gradient of the output, `[rows, width]`.
    pub dy: View,
    /// Input of the norm (the sum, if there was a residual), `[rows, width]`.
    pub x: View,
    /// Gain, `[width]`.
    pub gain: View,
    /// From the forward, `[rows]`.
    pub rstd: View,
    /// Gradient of the residual stream, `[rows, width]`.
    pub dx: View,
    /// Add to `dx`, which holds the gradient of the residual path, instead of overwriting it.
    pub accumulate: bool,
    /// Gradient of the gain, `[width]`; always added to.
    pub dgain: View,
    /// Scratch for the CPU and the baseline on a GPU, `[RmsnormBackward::partial_rows(rows), width]`.
    pub partial: View,
    /// Number of token states.
    pub rows: usize,
    /// Hidden size.
    pub width: usize,
}

impl RmsnormBackward {
    /// Rows that one workgroup sums for the gain's gradient.
    const ROWS_PER_PARTIAL: usize = 32;

    /// Rows of the scratch tensor.
    pub fn partial_rows(rows: usize) -> usize {
        rows.div_ceil(Self::ROWS_PER_PARTIAL)
    }
}

impl Op for RmsnormBackward {
    fn name(&self) -> &'static str {
        "rmsnorm_backward"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.dy),
            Use::read(self.x),
            Use::read(self.gain),
            Use::read(self.rstd),
            Use::output(self.dx, self.accumulate),
            Use::read_write(self.dgain),
            Use::scratch(self.partial),
        ]
    }

    fn flops(&self) -> f64 {
        11.0 * self.rows as f64 * self.width as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (dy, x) = (memory.read(self.dy), memory.read(self.x));
        let (gain, rstd) = (memory.read(self.gain), memory.read(self.rstd));
        let (dx, dgain) = (memory.write(self.dx), memory.write(self.dgain));
        for t in 0..self.rows {
            let at = |i: usize| t * self.width + i;
            let normal = |i: usize| x[at(i)] * rstd[t];
            let mean: R = (0..self.width).map(|i| dy[at(i)] * gain[i] * normal(i)).sum::<R>()
                / R::of(self.width as f64);
            for i in 0..self.width {
                let gradient = rstd[t] * (dy[at(i)] * gain[i] - normal(i) * mean);
                dx[at(i)] = if self.accumulate { dx[at(i)] + gradient } else { gradient };
                dgain[i] += dy[at(i)] * normal(i);
            }
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        let (dy, x) = (memory.read(self.dy), memory.read(self.x));
        let (gain, rstd) = (memory.read(self.gain), memory.read(self.rstd));
        let (dx, dgain) = (memory.write(self.dx), memory.write(self.dgain));
        let partial = memory.write(self.partial);
        let rows = Self::ROWS_PER_PARTIAL;
        let block = rows * self.width;
        let forward = dy.par_chunks(block).zip(x.par_chunks(block)).zip(rstd.par_chunks(rows));
        dx.par_chunks_mut(block).zip(partial.par_chunks_mut(self.width)).zip(forward).for_each(
            |((dx, partial), ((dy, x), rstd))| {
                backward_rows(dy, x, gain, rstd, dx, self.accumulate, partial);
            },
        );
        for partial in partial.chunks_exact(self.width) {
            dgain.iter_mut().zip(partial).for_each(|(sum, &part)| *sum += part);
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let partials = Self::partial_rows(self.rows);
        let sizes = Uniform::new().size(self.rows).size(self.width);
        let input = Dispatch {
            kernel: Kernel {
                constants: vec![("ACCUMULATE", f64::from(u8::from(self.accumulate)))],
                ..kernel_backward("rmsnorm_backward")
            },
            bindings: vec![
                ("dy", self.dy),
                ("x", self.x),
                ("gain", self.gain),
                ("rstd", self.rstd),
                ("dx", self.dx),
            ],
            uniform: sizes.clone(),
            grid: linear_grid(self.rows),
        };
        let columns = self.width.div_ceil(64) as u32;
        let partial = Dispatch {
            kernel: kernel_backward("rmsnorm_backward_partial"),
            bindings: vec![
                ("dy", self.dy),
                ("x", self.x),
                ("rstd", self.rstd),
                ("partial", self.partial),
            ],
            uniform: sizes.clone().size(Self::ROWS_PER_PARTIAL),
            grid: [columns, partials as u32, 1],
        };
        let gain = Dispatch {
            kernel: kernel_backward("rmsnorm_backward_gain"),
            bindings: vec![("partial", self.partial), ("dgain", self.dgain)],
            uniform: Uniform::new().size(partials).size(self.width),
            grid: [columns, 1, 1],
        };
        vec![input, partial, gain]
    }

    fn alternatives(&self) -> Vec<Variant> {
        self.by_rows().into_iter().collect()
    }

    fn tuning_class(&self) -> String {
        format!("{} rows of {}", self.rows.next_power_of_two(), self.width)
    }
}

impl RmsnormBackward {
    /// The variant whose workgroups hold rows in registers, if rows are whole vec4s and short enough.
    fn by_rows(&self) -> Option<Variant> {
        const THREADS: usize = 64;
        /// Vec4s of a row that a thread has registers for.
        const MOST_COLUMNS: usize = 8;
        /// Rows of a workgroup: few, so that there are enough workgroups for a large GPU.
        const ROWS_PER_PARTIAL: usize = 8;
        /// As in the shader.
        const FEW: usize = 4;
        let quads = self.width / 4;
        let columns = quads.div_ceil(THREADS);
        if !self.width.is_multiple_of(4) || columns > MOST_COLUMNS {
            return None;
        }
        let partials = self.rows.div_ceil(ROWS_PER_PARTIAL);
        let partial = View::scratch(partials * self.width);
        let kernel = |entry, constants: &[(&'static str, usize)]| {
            let constants = constants.iter().map(|&(name, value)| (name, value as f64)).collect();
            Kernel { module: Module::Shader("rmsnorm_backward_rows"), entry, constants }
        };
        let rows = Dispatch {
            kernel: kernel(
                "rmsnorm_backward_rows",
                &[("ACCUMULATE", usize::from(self.accumulate)), ("COLUMNS", columns)],
            ),
            bindings: vec![
                ("dy", self.dy),
                ("x", self.x),
                ("gain", self.gain),
                ("rstd", self.rstd),
                ("dx", self.dx),
                ("partial", partial),
            ],
            uniform: Uniform::new().size(self.rows).size(quads).size(ROWS_PER_PARTIAL),
            grid: linear_grid(partials),
        };
        let sum = Dispatch {
            kernel: kernel("rmsnorm_backward_sum", &[]),
            bindings: vec![("partial", partial), ("dgain", self.dgain)],
            uniform: Uniform::new().size(partials).size(quads).size(ROWS_PER_PARTIAL),
            grid: [quads.div_ceil(FEW) as u32, 1, 1],
        };
        let (suits, needs) = (Suits::Gpus, Needs::default());
        Some(Variant { name: "rows", suits, needs, dispatches: vec![rows, sum] })
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_rows(
    dy: &[f32],
    x: &[f32],
    gain: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    partial: &mut [f32],
) {
    let width = gain.len();
    partial.fill(0.0);
    let mut scaled = vec![0.0; width]; // dy * gain
    let rows = dy.chunks_exact(width).zip(x.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for (((dy, x), dx), &rstd) in rows.zip(rstd) {
        for i in 0..width {
            scaled[i] = dy[i] * gain[i];
            partial[i] += dy[i] * x[i] * rstd;
        }
        let mean = dot(&scaled, x) * rstd / width as f32;
        for i in 0..width {
            let gradient = rstd * (scaled[i] - x[i] * rstd * mean);
            dx[i] = if accumulate { dx[i] + gradient } else { gradient };
        }
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("rmsnorm"), entry, constants: Vec::new() }
}

fn kernel_backward(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("rmsnorm_backward"), entry, constants: Vec::new() }
}
