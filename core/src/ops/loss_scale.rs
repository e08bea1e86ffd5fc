//! Dynamic loss scaling (Micikevicius et al. 2018, arXiv 1710.03740). A gradient below 6e-8 is 0 in
//! f16, so the losses are multiplied by a scale before they are differentiated, and gradients are
//! divided by it before they are used. A step whose gradients overflowed is skipped, and the scale
//! halved; after [`GOOD_STEPS`] steps without it is doubled.

use super::{Op, Use, scalars};
use crate::cpu::{OpMemory, Real};
use crate::kernel::{Dispatch, Kernel, Module, Uniform};
use crate::plan::View;

/// Steps in a row without overflow after which the scale doubles: PyTorch's `growth_interval`.
pub const GOOD_STEPS: usize = 2000;

/// The scale of a run's first step: PyTorch's `init_scale`.
pub const FIRST: f32 = 65536.0;

/// Indices into the tensor `loss_scale`, which lasts from step to step.
pub mod state {
    /// Number of elements.
    pub const LEN: usize = 4;
    /// What the losses of the next step are multiplied by: a power of two, so that multiplying and
    /// dividing round nothing.
    pub const SCALE: usize = 0;
    /// Steps since the scale changed.
    pub const GOOD_STEPS: usize = 1;
    /// `1 - beta1^t` with `t` the steps that were not skipped.
    pub const CORRECTION1: usize = 2;
    /// `1 - beta2^t`.
    pub const CORRECTION2: usize = 3;
}

/// `scaled = scale * scalars`: what the gradients of losses read in place of the scalars.
#[derive(Clone, Copy, Debug)]
pub struct ScaleLosses {
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// See [`state`], `[state::LEN]`.
    pub state: View,
    /// Each scalar times the scale, `[scalars::LEN]`.
    pub scaled: View,
}

impl Op for ScaleLosses {
    fn name(&self) -> &'static str {
        "scale_losses"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.scalars), Use::read(self.state), Use::write(self.scaled)]
    }

    fn flops(&self) -> f64 {
        self.scalars.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (scalars, state) = (memory.read(self.scalars), memory.read(self.state));
        for (scaled, &scalar) in memory.write(self.scaled).iter_mut().zip(scalars) {
            *scaled = state[state::SCALE] * scalar;
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: kernel("scale_losses"),
            bindings: vec![
                ("scalars", self.scalars),
                ("state", self.state),
                ("scaled", self.scaled),
            ],
            uniform: Uniform::new().size(self.scaled.len),
            grid: [1, 1, 1],
        }]
    }
}

/// The end of a step under a loss scale, after
/// [`ClipFactor`](super::grad_norm::ClipFactor) took the norm of the scaled gradients.
///
/// If the norm is finite: `norm /= scale`, `clip = min(1, max_norm / (norm + eps)) / scale`. Else the
/// step is skipped: `clip = 0`, which the optimizer knows, the norm reads 0, and the scale halves.
///
/// Bias corrections count the steps that were not skipped, as PyTorch's `GradScaler` has it; the
/// host, which reads nothing back in a step, can't know them. `c = 1 - beta^t` goes on as
/// `c <- beta c + (1 - beta)`, which loses no digits where `c` is small.
#[derive(Clone, Copy, Debug)]
pub struct UpdateLossScale {
    /// See [`state`], `[state::LEN]`.
    pub state: View,
    /// Has the norm, and gets the scale and whether the step was skipped.
    pub metrics: View,
    /// Which element of `metrics` is the norm.
    pub norm: usize,
    /// Which element gets the scale of this step.
    pub scale: usize,
    /// Which element gets 1 for a step that is skipped, else 0.
    pub skipped: usize,
    /// What the optimizer multiplies gradients by, `[1]`.
    pub clip: View,
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// The same with the bias corrections of the steps that were not skipped, `[scalars::LEN]`.
    pub corrected: View,
    /// Largest norm; 0 for no clipping.
    pub max_norm: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
}

impl UpdateLossScale {
    /// As in [`ClipFactor`](super::grad_norm::ClipFactor).
    const EPS: f64 = 1e-6;
}

impl Op for UpdateLossScale {
    fn name(&self) -> &'static str {
        "update_loss_scale"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read_write(self.state),
            Use::read_write(self.metrics),
            Use::write(self.clip),
            Use::read(self.scalars),
            Use::write(self.corrected),
        ]
    }

    fn flops(&self) -> f64 {
        10.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (state, metrics) = (memory.write(self.state), memory.write(self.metrics));
        let (clip, corrected) = (memory.write(self.clip), memory.write(self.corrected));
        let scale = state[state::SCALE];
        let norm = metrics[self.norm] / scale;
        let skipped = !norm.is_finite();
        metrics[self.scale] = scale;
        metrics[self.skipped] = if skipped { R::one() } else { R::zero() };
        if skipped {
            metrics[self.norm] = R::zero();
            clip[0] = R::zero();
            state[state::SCALE] = scale / R::of(2.0);
            state[state::GOOD_STEPS] = R::zero();
        } else {
            metrics[self.norm] = norm;
            let factor = if self.max_norm > 0.0 {
                (R::of(self.max_norm) / (norm + R::of(Self::EPS))).min(R::one())
            } else {
                R::one()
            };
            clip[0] = factor / scale;
            state[state::GOOD_STEPS] += R::one();
            if state[state::GOOD_STEPS] >= R::of(GOOD_STEPS as f64) {
                state[state::SCALE] = scale * R::of(2.0);
                state[state::GOOD_STEPS] = R::zero();
            }
            for (at, beta) in [(state::CORRECTION1, self.beta1), (state::CORRECTION2, self.beta2)] {
                state[at] = R::of(beta) * state[at] + R::of(1.0 - beta);
            }
        }
        corrected.copy_from_slice(memory.read(self.scalars));
        corrected[scalars::BIAS_CORRECTION1] = state[state::CORRECTION1];
        corrected[scalars::BIAS_CORRECTION2] = state[state::CORRECTION2];
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                constants: vec![
                    ("NORM", self.norm as f64),
                    ("SCALE", self.scale as f64),
                    ("SKIPPED", self.skipped as f64),
                    ("GOOD_STEPS", GOOD_STEPS as f64),
                    ("BIAS_CORRECTION1", scalars::BIAS_CORRECTION1 as f64),
                    ("BIAS_CORRECTION2", scalars::BIAS_CORRECTION2 as f64),
                ],
                ..kernel("update_loss_scale")
            },
            bindings: vec![
                ("state", self.state),
                ("metrics", self.metrics),
                ("clip", self.clip),
                ("scalars", self.scalars),
                ("corrected", self.corrected),
            ],
            uniform: Uniform::new()
                .real(self.max_norm as f32)
                .real(Self::EPS as f32)
                .real(self.beta1 as f32)
                .real((1.0 - self.beta1) as f32)
                .real(self.beta2 as f32)
                .real((1.0 - self.beta2) as f32)
                .size(self.corrected.len),
            grid: [1, 1, 1],
        }]
    }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader(entry), entry, constants: Vec::new() }
}
