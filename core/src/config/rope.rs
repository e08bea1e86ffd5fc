//! Scaling of RoPE, for contexts longer than the one that a model was first trained with.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, require, require_positive};

/// A kind of scaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RopeType {
    /// Every angle is divided by `factor` (position interpolation, Chen et al. 2023, arXiv 2306.15595).
    Linear,
    /// Slow rotations are divided by `factor`, fast ones are unchanged, and those between are interpolated (Llama 3.1).
    Llama3,
}

/// `[model.rope_scaling]`: RoPE frequencies other than `theta^(-2i / head_dim)`.
///
/// Key names are those of Hugging Face's configurations. Omitted keys take the value of Llama 3.1, which each field
/// names as its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RopeScaling {
    /// "linear" or "llama3". Default "llama3".
    pub rope_type: RopeType,
    /// The divisor of angles. Above 0. Default 8.
    pub factor: f64,
    /// For llama3: rotations with fewer turns than this over the original context are divided by `factor`. Above 0.
    /// Default 1.
    pub low_freq_factor: f64,
    /// For llama3: rotations with more turns than this are unchanged. Above `low_freq_factor`. Default 4.
    pub high_freq_factor: f64,
    /// For llama3: the original context, in tokens. At least 1. Default 8192.
    pub original_max_position_embeddings: usize,
}

impl Default for RopeScaling {
    fn default() -> Self {
        Self {
            rope_type: RopeType::Llama3,
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        }
    }
}

impl RopeScaling {
    /// The scaled angle of one position, in radians, from the unscaled one.
    pub fn scaled(&self, frequency: f64) -> f64 {
        let slow = frequency / self.factor;
        match self.rope_type {
            RopeType::Linear => slow,
            RopeType::Llama3 => {
                let (low, high) = (self.low_freq_factor, self.high_freq_factor);
                let context = self.original_max_position_embeddings as f64;
                let turns = context * frequency / std::f64::consts::TAU;
                let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                share * frequency + (1.0 - share) * slow
            }
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        require_positive("model.rope_scaling.factor", self.factor)?;
        require_positive("model.rope_scaling.low_freq_factor", self.low_freq_factor)?;
        let low = self.low_freq_factor;
        require(
            self.high_freq_factor.is_finite() && self.high_freq_factor > low,
            "model.rope_scaling.high_freq_factor",
            self.high_freq_factor,
            format!("it must be above model.rope_scaling.low_freq_factor = {low}"),
            "Set model.rope_scaling.high_freq_factor = 4 and model.rope_scaling.low_freq_factor = 1",
        )?;
        require(
            self.original_max_position_embeddings > 0,
            "model.rope_scaling.original_max_position_embeddings",
            self.original_max_position_embeddings,
            "it must be at least 1",
            "Set the context that the model was first trained with",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_rotations_are_divided_and_fast_ones_stay() {
        let llama3 = RopeScaling::default();
        assert_eq!(llama3.scaled(1.0), 1.0);
        assert_eq!(llama3.scaled(1e-5), 1e-5 / 8.0);
        let between = std::f64::consts::TAU * 2.5 / 8192.0;
        assert!((llama3.scaled(between) - between * (0.5 + 0.5 / 8.0)).abs() < 1e-15);
        let linear = RopeScaling { rope_type: RopeType::Linear, factor: 2.0, ..llama3 };
        assert_eq!(linear.scaled(1.0), 0.5);
    }
}
