//! Other objectives in addition to next-token prediction, for comparisons with NITP. Each is off by default, and can be
//! combined with the others and with NITP. docs/rivals.md has the definitions, and the choices that the papers leave
//! open.

use serde::{Deserialize, Serialize};

use super::ModelConfig;
use super::error::{ConfigError, require, require_in};

/// Whether this program can train with rivals. The page compares NITP only with next-token prediction, because it must
/// be small.
pub(crate) const IN_PROGRAM: bool = cfg!(not(target_arch = "wasm32"));

/// Largest window of token order prediction: the threads of one workgroup handle one token each.
pub const MAX_WINDOW: usize = 64;

/// `[mtp]`: multi-token prediction. One head predicts the token after the next, through the model's own unembedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MtpConfig {
    /// Whether the objective is on. Default false.
    pub enabled: bool,
    /// The weight of its cross-entropy in the total loss. At least 0. Default 0.3, as in the first two thirds of
    /// DeepSeek-V3's training.
    pub weight: f64,
    /// The head's input. Default "sequential".
    pub head: MtpHead,
}

/// The input of multi-token prediction's head, before its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MtpHead {
    /// The last state together with the embedding of the next token (DeepSeek-V3, arXiv 2412.19437, section 2.2).
    Sequential,
    /// The last state alone (Gloeckle et al. 2024, arXiv 2404.19737).
    Parallel,
}

/// `[nextlat]`: next-latent prediction (arXiv 2511.05963). A small network predicts the next last hidden state from
/// this one and the next token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NextLatConfig {
    /// Whether the objective is on. Default false.
    pub enabled: bool,
    /// The weight of the smooth L1 distance from the next state. At least 0. Default 1.
    pub weight: f64,
    /// The weight of the divergence between the next-token distributions of the next state and of its prediction. At
    /// least 0. Default 1.
    pub kl_weight: f64,
}

/// `[top]`: token order prediction (arXiv 2508.19228). A second unembedding ranks the next tokens by their distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopConfig {
    /// Whether the objective is on. Default false.
    pub enabled: bool,
    /// The weight of its loss in the total loss. At least 0. Default 1.
    pub weight: f64,
    /// Number of tokens ahead that count, 1 to 64. A token j ahead has a weight proportional to e^-j, so tokens beyond
    /// the default of 16 have less than a millionth of the weight.
    pub window: usize,
}

impl Default for MtpConfig {
    fn default() -> Self {
        Self { enabled: false, weight: 0.3, head: MtpHead::Sequential }
    }
}

impl Default for NextLatConfig {
    fn default() -> Self {
        Self { enabled: false, weight: 1.0, kl_weight: 1.0 }
    }
}

impl Default for TopConfig {
    fn default() -> Self {
        Self { enabled: false, weight: 1.0, window: 16 }
    }
}

impl MtpConfig {
    /// Whether a step computes it.
    pub fn is_on(&self) -> bool {
        IN_PROGRAM && self.enabled
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        require_in("mtp.weight", self.weight, 0.0..=f64::MAX)
    }

    /// FFN width of its block: the inner width that a token uses in the model's last block.
    pub fn intermediate_size(model: &ModelConfig) -> usize {
        model.moe.as_ref().map_or(model.intermediate_size, |moe| {
            moe.num_experts_per_tok
                .saturating_mul(moe.moe_intermediate_size)
                .saturating_add(moe.shared_expert_intermediate_size)
        })
    }
}

impl NextLatConfig {
    /// Whether a step computes it.
    pub fn is_on(&self) -> bool {
        IN_PROGRAM && self.enabled
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        require_in("nextlat.weight", self.weight, 0.0..=f64::MAX)?;
        require_in("nextlat.kl_weight", self.kl_weight, 0.0..=f64::MAX)
    }
}

impl TopConfig {
    /// Whether a step computes it.
    pub fn is_on(&self) -> bool {
        IN_PROGRAM && self.enabled
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        require_in("top.weight", self.weight, 0.0..=f64::MAX)?;
        require(
            (1..=MAX_WINDOW).contains(&self.window),
            "top.window",
            self.window,
            format!("it must be a whole number from 1 to {MAX_WINDOW}"),
            "Set top.window = 16: tokens further ahead have hardly any weight",
        )
    }
}
