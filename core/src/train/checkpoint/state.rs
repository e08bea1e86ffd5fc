//! Position of a run, without its weights and moments.

use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::ops::loss_scale::{self, state};

/// Position of a run. Batches and initial weights follow from the seed and the step, so the step is also the position
/// in the data and the state of the random numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Held-out loss in nats a token, if this step was evaluated.
    pub val_loss: Option<f64>,
    /// The lowest held-out loss so far and its step.
    pub best: Option<(f64, usize)>,
    /// SHA-256 of the tokenised data that the run trains on.
    pub data_fingerprint: String,
    /// State of loss scaling, in mixed precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

impl TrainerState {
    /// The state before the first step.
    pub fn new(data_fingerprint: String) -> Self {
        Self { step: 0, tokens: 0, val_loss: None, best: None, data_fingerprint, loss_scale: None }
    }
}

/// State that a run in mixed precision keeps between steps, in addition to weights and moments: see [`state`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// The scale of the next step's losses.
    pub scale: f32,
    /// Steps since it changed.
    pub good_steps: f32,
    /// `1 - beta1^t`, where `t` counts the steps that were not skipped.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
}

impl LossScale {
    /// The state after `steps` steps, none of which was skipped.
    pub fn after(steps: usize, train: &TrainConfig) -> Self {
        let correction = |beta: f64| (1.0 - beta.powi(steps as i32)) as f32;
        Self {
            scale: loss_scale::FIRST,
            good_steps: 0.0,
            correction1: correction(train.beta1),
            correction2: correction(train.beta2),
        }
    }

    /// Conversion to the plan's tensor.
    pub fn to_tensor(self) -> [f32; state::LEN] {
        let mut tensor = [0.0; state::LEN];
        tensor[state::SCALE] = self.scale;
        tensor[state::GOOD_STEPS] = self.good_steps;
        tensor[state::CORRECTION1] = self.correction1;
        tensor[state::CORRECTION2] = self.correction2;
        tensor
    }

    /// Conversion from the plan's tensor.
    pub fn from_tensor(tensor: &[f32]) -> Self {
        Self {
            scale: tensor[state::SCALE],
            good_steps: tensor[state::GOOD_STEPS],
            correction1: tensor[state::CORRECTION1],
            correction2: tensor[state::CORRECTION2],
        }
    }
}
