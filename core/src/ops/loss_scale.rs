//! Dynamic loss scaling (Micikevicius et al. 2018, arXiv 1710.03740). A gradient below 6e-8 is 0 in
//! f16, so losses are multiplied by a scale before differentiation, and gradients are divided by it before use. If
//! gradients overflow, the step is skipped and the scale is halved. After [`GOOD_STEPS`] steps without overflow the
//! scale is doubled.

use super::{Op, scalars};
use crate::kernel::{Dispatch, Kernel, Module, Uniform};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// Steps in a row without overflow after which the scale doubles: PyTorch's `growth_interval`.
pub const GOOD_STEPS: usize = 2000;

/// The scale of a run's first step: PyTorch's `init_scale`.
pub const FIRST: f32 = 65536.0;

/// Indices into the tensor `loss_scale`, which keeps its values between steps.
pub mod state {
    /// Number of elements.
    pub const LEN: usize = 4;
    /// The scale of the next step's losses: a power of two, so that scaling is exact.
    pub const SCALE: usize = 0;
    /// Steps since the scale changed.
    pub const GOOD_STEPS: usize = 1;
    /// `1 - beta1^t`, where `t` counts the steps that were not skipped.
    pub const CORRECTION1: usize = 2;
    /// `1 - beta2^t`.
    pub const CORRECTION2: usize = 3;
}

/// `scaled = scale * scalars`: the scalars for the gradients of losses.
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

/// Update of the loss scale at the end of a step, after [`ClipFactor`](super::grad_norm::ClipFactor) computed the norm
/// of the scaled gradients.
///
/// If the norm is finite: `norm /= scale`, `clip = min(1, max_norm / (norm + eps)) / scale`. Otherwise the step is
/// skipped: `clip = 0`, which makes the optimizer skip its update, the norm is 0, and the scale halves. Bias
/// corrections count the steps that were not skipped, as with PyTorch's `GradScaler`. The host reads nothing back
/// within a step, so it does not know this number, and the device keeps `c = 1 - beta^t` by `c <- beta c + (1 - beta)`,
/// which loses no digits of a small `c`.
#[derive(Clone, Copy, Debug)]
pub struct UpdateLossScale {
    /// See [`state`], `[state::LEN]`.
    pub state: View,
    /// The step's metrics: the norm is read; the scale and the flag of a skipped step are written.
    pub metrics: View,
    /// Index of the norm in `metrics`.
    pub norm: usize,
    /// Index in `metrics` of the scale of this step.
    pub scale: usize,
    /// Index in `metrics` of the flag: 1 for a skipped step, else 0.
    pub skipped: usize,
    /// The optimizer's factor on the gradients, `[1]`.
    pub clip: View,
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// The scalars with bias corrections that count only steps that were not skipped, `[scalars::LEN]`.
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
