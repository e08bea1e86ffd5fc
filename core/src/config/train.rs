//! The training recipe: AdamW, its schedule, and the intervals of evaluations and checkpoints.

use serde::{Deserialize, Serialize};

use super::error::{
    ConfigError, require, require_below_one, require_in, require_positive, require_size,
};

/// `[train]`: batches, AdamW, schedule and intervals. Omitted keys take the value of the `tiny`
/// preset, which each field names as its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps of the whole run. At least 1. Default 800.
    pub steps: usize,
    /// Rows of one micro-batch. 1 to 2^20. Default 8.
    pub batch_size: usize,
    /// T, tokens of a row. At least 1, at least 2 for a loss over pairs of positions. Default 128.
    pub context_length: usize,
    /// Micro-batches whose mean gradient makes one step. At least 1. Default 1.
    pub gradient_accumulation_steps: usize,
    /// Whether the backward pass of a block recomputes the block's activations (also known as gradient checkpointing):
    /// only the residual stream before each block is kept between the passes. Changes memory and time, but no result.
    /// Default false.
    pub recompute_activations: bool,
    /// Whether attention is limited to the document of the query (also known as intra-document masking). Without it,
    /// a token also sees the documents before its own in the same row. Default false.
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "super::is_default"))]
    pub document_mask: bool,
    /// Number types of a step. Default "f32".
    pub precision: Precision,
    /// Peak learning rate. Above 0. Default 0.002.
    pub learning_rate: f64,
    /// Steps in which the rate rises: it is peak (s + 1) / warmup_steps at step s. 0: no warm-up.
    /// A run that ends before its warm-up does never reaches the peak. Default 80.
    pub warmup_steps: usize,
    /// Schedule of the rate after the warm-up. Default "wsd".
    pub schedule: Schedule,
    /// Share of `steps` at the end in which "wsd" and "wsd_exp" let the rate fall. 0 to 1. Default
    /// 0.2.
    pub decay_ratio: f64,
    /// Last learning rate as a share of the peak, for "cosine" and "wsd_exp"; "wsd" falls towards
    /// 0 and "constant" doesn't fall. 0 to 1, above 0 for "wsd_exp". Default 0.1.
    pub min_learning_rate_ratio: f64,
    /// AdamW's decay of the mean gradient. At least 0, below 1. Default 0.9.
    pub beta1: f64,
    /// AdamW's decay of the mean squared gradient. At least 0, below 1. Default 0.95.
    pub beta2: f64,
    /// AdamW's constant added to the root of the mean square. Above 0. Default 1e-8.
    pub eps: f64,
    /// Decoupled weight decay of all matrices (including embeddings, router and projector), but not of norm gains. At
    /// least 0. Default 0.1.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; a larger one is scaled down to it. At least 0, and 0
    /// doesn't clip. Default 1.
    pub grad_clip: f64,
    /// Seed of the weights and of the order of the batches. 0 to 2^63 - 1, the largest TOML integer. Default 0.
    pub seed: u64,
    /// Steps between evaluations on the held-out text; 0 for none. Default 100.
    pub eval_interval: usize,
    /// Batches of an evaluation. At least 1. Default 8.
    pub eval_batches: usize,
    /// Steps between measurements of the hidden states' geometry; 0 for none. Default 100.
    pub geometry_interval: usize,
    /// Steps between checkpoints; 0 for only the one after the last step, which is always written. Default 200.
    pub checkpoint_interval: usize,
    /// Number of newest checkpoints to keep, in addition to the best. At least 1. Default 3.
    pub keep_checkpoints: usize,
}

/// Number types of a training step. Evaluation and generation always use f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// Activations and working copies of the matrices in f16, with sums in f32; the residual stream,
    /// weights, moments, gradients of weights and losses in f32; a dynamic loss scale. Needs a GPU
    /// with `shader-f16`; the CPU emulates it, slower than f32.
    Mixed,
}

/// Schedule of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Warm-up, stable, linear decay: in the last `decay_ratio` of the steps, peak (steps - s) /
    /// decay steps.
    Wsd,
    /// As `Wsd` with an exponential decay, down to `min_learning_rate_ratio` of the peak.
    WsdExp,
    /// Half a cosine from the peak, after the warm-up, down to `min_learning_rate_ratio` of it.
    Cosine,
    /// The peak.
    Constant,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 800,
            batch_size: 8,
            context_length: 128,
            gradient_accumulation_steps: 1,
            recompute_activations: false,
            document_mask: false,
            precision: Precision::F32,
            learning_rate: 2e-3,
            warmup_steps: 80,
            schedule: Schedule::Wsd,
            decay_ratio: 0.2,
            min_learning_rate_ratio: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            grad_clip: 1.0,
            seed: 0,
            eval_interval: 100,
            eval_batches: 8,
            geometry_interval: 100,
            checkpoint_interval: 200,
            keep_checkpoints: 3,
        }
    }
}

impl TrainConfig {
    /// Tokens that one optimizer step reads.
    pub fn tokens_per_step(&self) -> usize {
        self.batch_size
            .saturating_mul(self.gradient_accumulation_steps)
            .saturating_mul(self.context_length)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (field, value, least) in [
            ("train.steps", self.steps, 1),
            ("train.batch_size", self.batch_size, 1),
            ("train.context_length", self.context_length, 1),
            ("train.gradient_accumulation_steps", self.gradient_accumulation_steps, 1),
            ("train.eval_interval", self.eval_interval, 0),
            ("train.eval_batches", self.eval_batches, 1),
            ("train.geometry_interval", self.geometry_interval, 0),
            ("train.checkpoint_interval", self.checkpoint_interval, 0),
            ("train.keep_checkpoints", self.keep_checkpoints, 1),
        ] {
            require_size(field, value, least)?;
        }
        require(
            self.batch_size.saturating_mul(self.context_length) <= i32::MAX as usize,
            "train.batch_size",
            self.batch_size,
            format!(
                "with train.context_length = {} a micro-batch has more tokens than a 32-bit index can \
                 address",
                self.context_length
            ),
            "Set a smaller batch_size and more train.gradient_accumulation_steps",
        )?;
        require_positive("train.learning_rate", self.learning_rate)?;
        require_in("train.decay_ratio", self.decay_ratio, 0.0..=1.0)?;
        require_in("train.min_learning_rate_ratio", self.min_learning_rate_ratio, 0.0..=1.0)?;
        require(
            self.schedule != Schedule::WsdExp || self.min_learning_rate_ratio > 0.0,
            "train.min_learning_rate_ratio",
            self.min_learning_rate_ratio,
            "with train.schedule = \"wsd_exp\" it must be above 0, because an \
             exponential never reaches 0",
            "Set it to 0.1 or 0.01, or train.schedule to \"wsd\"",
        )?;
        require_below_one("train.beta1", self.beta1)?;
        require_below_one("train.beta2", self.beta2)?;
        require_positive("train.eps", self.eps)?;
        require_in("train.weight_decay", self.weight_decay, 0.0..=f64::MAX)?;
        require_in("train.grad_clip", self.grad_clip, 0.0..=f64::MAX)?;
        require(
            i64::try_from(self.seed).is_ok(),
            "train.seed",
            self.seed,
            format!("it must be from 0 to {}, the largest TOML integer", i64::MAX),
            "Set a smaller seed",
        )
    }
}
