//! The objective in addition to next-token prediction, with every choice that the paper's ablations vary.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, require, require_in};

/// `[nitp]`: Next Implicit Token Prediction (arXiv 2605.24956).
///
/// A projector P maps the last hidden state h_t to a prediction of z_{t+1}, the residual stream
/// after a shallow block at the next position, and the loss is added to the next-token loss with a
/// weight. Omitted keys take the default that each field names; the defaults are the paper's
/// choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NitpConfig {
    /// Whether the objective is on; false trains by next-token prediction alone. Default
    /// true.
    pub enabled: bool,
    /// lambda, the weight of the NITP loss (or of the penalty of `regularizer`) in the total loss. At least 0. Default
    /// 1.
    pub weight: f64,
    /// k, the block whose output is the target: 0 is the embedding output, k the residual stream
    /// after the k-th block, up to `num_hidden_layers`, the stream before the final norm. Default
    /// 1; presets take about 20% of their depth.
    pub target_layer: usize,
    /// The position of the target that h_t predicts. Default "next".
    pub shift: Shift,
    /// The loss between prediction and target. Default "cosine".
    pub loss: NitpLoss,
    /// "none", or a penalty on the hidden states alone that *replaces* the target loss: with
    /// "token_cosine" there is no target and no projector, and `target_layer`, `shift`, `loss`,
    /// `stop_gradient` and `projector` have no effect. Default "none".
    pub regularizer: Regularizer,
    /// Whether the target is a constant of the loss; false lets the gradient flow into blocks 1 to
    /// k through the target too. Default true.
    pub stop_gradient: bool,
    /// P, the head between h_t and the comparison, used in training only. Default "swiglu".
    pub projector: Projector,
    /// First step (from 0) at which the objective counts; before it the NITP loss is 0. A value of
    /// `train.steps` or more leaves it out of the whole run. Default 0.
    pub start_step: usize,
    /// The hidden state that is h_t. Default "post_norm".
    pub source: Source,
}

/// The position of the target that the state at t predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    /// z_{t+1}: the paper's objective. The last position of a row has no target.
    Next,
    /// z_t: the paper's unshifted ablation.
    Current,
}

/// The loss between the prediction p = P(h_t) and the target z, both of width d. Every loss is a mean over the pairs
/// that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NitpLoss {
    /// 1 - cos(p, z).
    Cosine,
    /// Mean over d of (p - z)^2.
    Mse,
    /// Mean over d of (p - z)^2 / 2 where |p - z| < 1, else |p - z| - 1/2.
    SmoothL1,
    /// KL(softmax(z) || softmax(p)), softmax and sum over d.
    Kl,
}

/// A penalty instead of the loss against the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regularizer {
    /// No penalty: the loss against the target.
    None,
    /// Mean cosine of the hidden states of pairs of different positions of one row; no target, no
    /// projector.
    TokenCosine,
}

/// The head that turns a hidden state into a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projector {
    /// W_down(silu(W_gate h) * (W_up h)), d to 4 d to d without biases: 12 d^2 weights.
    Swiglu,
    /// The hidden state itself.
    None,
}

/// The hidden state that predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The state after the final RMSNorm, which the unembedding reads.
    PostNorm,
    /// The residual stream after the last block.
    PreNorm,
}

impl Default for NitpConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            weight: 1.0,
            target_layer: 1,
            shift: Shift::Next,
            loss: NitpLoss::Cosine,
            regularizer: Regularizer::None,
            stop_gradient: true,
            projector: Projector::Swiglu,
            start_step: 0,
            source: Source::PostNorm,
        }
    }
}

impl NitpConfig {
    /// Whether the loss has a target: it is enabled, and not replaced by a penalty.
    pub fn has_target(&self) -> bool {
        self.enabled && self.regularizer == Regularizer::None
    }

    /// Whether training has the projector's weights.
    pub fn has_projector(&self) -> bool {
        self.has_target() && self.projector == Projector::Swiglu
    }

    pub(super) fn validate(&self, num_hidden_layers: usize) -> Result<(), ConfigError> {
        require_in("nitp.weight", self.weight, 0.0..=f64::MAX)?;
        require(
            self.target_layer <= num_hidden_layers,
            "nitp.target_layer",
            self.target_layer,
            format!(
                "it must be from 0 (the embedding output) to model.num_hidden_layers = \
                 {num_hidden_layers}"
            ),
            "Set it to about 20% of the depth",
        )?;
        let compares_a_state_with_itself = self.has_target()
            && self.shift == Shift::Current
            && self.projector == Projector::None
            && self.source == Source::PreNorm
            && self.target_layer == num_hidden_layers;
        require(
            !compares_a_state_with_itself,
            "nitp.shift",
            "\"current\"",
            format!(
                "with nitp.projector = \"none\", nitp.source = \"pre_norm\" and \
                 nitp.target_layer = {num_hidden_layers}, the last block, it compares each state \
                 with itself and the loss is always 0"
            ),
            "Set nitp.shift = \"next\", or a smaller nitp.target_layer",
        )
    }
}
