//! Events of a run: one stream of typed events for progress bars, logs and views.

use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::schedule::learning_rate;
use crate::config::{Config, flops_per_token};
use crate::model::metric;

/// An event. Serialises to one flat JSON object with a key `event`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A training step is finished.
    Step(StepEvent),
    /// The held-out split was evaluated.
    Evaluation(EvaluationEvent),
    /// The geometry of the last hidden states of held-out tokens.
    Geometry(GeometryEvent),
    /// A checkpoint is ready to be saved.
    Checkpoint(CheckpointEvent),
    /// A message for the user.
    Warning(WarningEvent),
    /// The run is over.
    Finished(FinishedEvent),
}

/// Numbers of one training step. Losses are means over the step's micro-batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEvent {
    /// Steps done, from 1.
    pub step: usize,
    /// Tokens seen so far.
    pub tokens: u64,
    /// ntp_loss + weight * nitp_loss + router_aux_loss_coef * balance_loss, and the weighted losses of rivals.
    pub loss: f64,
    /// Cross-entropy, nats a token.
    pub ntp_loss: f64,
    /// NITP loss without its weight; 0 if NITP is off, and before its start step.
    pub nitp_loss: f64,
    /// Balance loss without its weight, summed over MoE blocks.
    pub balance_loss: f64,
    /// Losses of other objectives, without their weights.
    #[cfg_attr(not(target_arch = "wasm32"), serde(flatten))]
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    pub rivals: RivalLosses,
    /// Norm of all gradients before clipping; 0 in a step that was skipped.
    pub grad_norm: f64,
    /// In mixed precision, the loss scale of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// Whether the step was skipped because scaled gradients overflowed: weights and moments are unchanged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Speed of this step; none if it is unknown, because results of other work, such as an evaluation, arrived with it
    /// or just before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Model FLOPs utilisation: the model's floating-point operations a second ([`flops_per_token`], without
    /// recomputation), divided by the measured peak rate of multiply-adds in f32. With matrix units it can exceed 1.
    /// None if the speed or the peak rate is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfu: Option<f64>,
}

impl StepEvent {
    /// The event of step `done + 1`, from the plan's `metrics`, without its speed.
    pub fn new(config: &Config, done: usize, metrics: &[f32]) -> Self {
        let value = |index: usize| f64::from(metrics[index]);
        let (ntp_loss, balance_loss) = (value(metric::NTP_LOSS), value(metric::BALANCE_LOSS));
        let nitp_on = config.nitp.enabled && done >= config.nitp.start_step;
        let nitp_loss = if nitp_on { value(metric::NITP_LOSS) } else { 0.0 };
        let coefficient = config.model.moe.as_ref().map_or(0.0, |moe| moe.router_aux_loss_coef);
        let tokens = config.train.tokens_per_step() as u64;
        let rivals = RivalLosses::new(config, value);
        Self {
            step: done + 1,
            tokens: (done as u64 + 1) * tokens,
            loss: ntp_loss
                + config.nitp.weight * nitp_loss
                + coefficient * balance_loss
                + rivals.weighted(config),
            ntp_loss,
            nitp_loss,
            balance_loss,
            rivals,
            grad_norm: value(metric::GRAD_NORM),
            loss_scale: Some(value(metric::LOSS_SCALE)).filter(|&scale| scale > 0.0),
            skipped: value(metric::SKIPPED) > 0.0,
            learning_rate: learning_rate(&config.train, done),
            tokens_per_second: None,
            mfu: None,
        }
    }

    /// Sets the speed of a step that took `seconds`, on a device with a peak rate of `flops_ceiling` floating-point
    /// operations a second.
    pub(super) fn set_speed(&mut self, config: &Config, seconds: f64, flops_ceiling: Option<f64>) {
        let tokens_per_second = config.train.tokens_per_step() as f64 / seconds.max(1e-9);
        self.tokens_per_second = Some(tokens_per_second);
        let cost = flops_per_token(config);
        // The projector also runs before NITP's start step; its loss is then scaled by 0.
        let flops = tokens_per_second * cost.total();
        self.mfu = flops_ceiling.map(|ceiling| flops / ceiling);
    }
}

/// Losses, without their weights, of the objectives that NITP is compared with; none for an objective that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RivalLosses {
    /// Cross-entropy of multi-token prediction, nats a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtp_loss: Option<f64>,
    /// Smooth L1 distance of next-latent prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nextlat_loss: Option<f64>,
    /// Divergence of next-latent prediction's distributions, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nextlat_kl: Option<f64>,
    /// Loss of token order prediction, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_loss: Option<f64>,
}

impl RivalLosses {
    /// The losses of the objectives that are on, by their indices in the metrics.
    pub(super) fn new(config: &Config, loss: impl Fn(usize) -> f64) -> Self {
        let if_on = |is_on: bool, metric: usize| is_on.then(|| loss(metric));
        Self {
            mtp_loss: if_on(config.mtp.is_on(), metric::MTP_LOSS),
            nextlat_loss: if_on(config.nextlat.is_on(), metric::NEXTLAT_LOSS),
            nextlat_kl: if_on(config.nextlat.is_on(), metric::NEXTLAT_KL),
            top_loss: if_on(config.top.is_on(), metric::TOP_LOSS),
        }
    }

    /// Keys of the losses in logs.
    pub const KEYS: [&str; 4] = ["mtp_loss", "nextlat_loss", "nextlat_kl", "top_loss"];

    /// The losses, in the order of [`Self::KEYS`].
    pub fn values(&self) -> [Option<f64>; 4] {
        [self.mtp_loss, self.nextlat_loss, self.nextlat_kl, self.top_loss]
    }

    /// The losses of the objectives that are on, with readable names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let names = ["MTP loss", "NextLat loss", "NextLat KL", "TOP loss"];
        names.into_iter().zip(self.values()).filter_map(|(name, loss)| Some((name, loss?)))
    }

    /// Their weighted sum, which is added to the total loss.
    fn weighted(&self, config: &Config) -> f64 {
        let Config { mtp, nextlat, top, .. } = config;
        let weights = [mtp.weight, nextlat.weight, nextlat.kl_weight, top.weight];
        weights
            .into_iter()
            .zip(self.values())
            .filter_map(|(weight, loss)| Some(weight * loss?))
            .sum()
    }
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// Numbers of the held-out split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationEvent {
    /// Steps done.
    pub step: usize,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Cross-entropy in nats a token.
    pub val_loss: f64,
    /// `exp(val_loss)`.
    pub perplexity: f64,
    /// Cross-entropy in bits per byte of text; none if more than one token in a thousand is the unknown token, because
    /// the bytes of unknown tokens are unknown.
    #[serde(default)]
    pub bits_per_byte: Option<f64>,
    /// Share of unknown tokens among the held-out tokens; omitted if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_share: f64,
    /// NITP loss on the held-out split, without its weight; 0 if NITP is off.
    pub nitp_loss: f64,
    /// Balance loss on the held-out split, without its weight, summed over MoE blocks.
    pub balance_loss: f64,
    /// Losses of other objectives on the held-out split, without their weights.
    #[cfg_attr(not(target_arch = "wasm32"), serde(flatten))]
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    pub rivals: RivalLosses,
    /// Share of the routed pairs that each expert got, by MoE block; empty for dense models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expert_load: Vec<Vec<f32>>,
}

/// Geometry of the last hidden states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeometryEvent {
    /// Steps done.
    pub step: usize,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// 1 to hidden_size.
    pub effective_rank: f64,
    /// -1 to 1.
    pub mean_cosine: f64,
    /// Eigenvalues of the covariance, largest first.
    pub spectrum: Vec<f32>,
    /// The states on their three principal axes, `[tokens, 3]`; not logged.
    #[serde(skip)]
    pub projected: Vec<[f32; 3]>,
    /// The states, `[tokens, hidden_size]`; not logged.
    #[serde(skip)]
    pub states: Vec<f32>,
    /// The unembedding, `[vocab_size, hidden_size]`, if it is read; not logged.
    #[serde(skip)]
    pub unembedding: Vec<f32>,
}

/// A checkpoint, in memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckpointEvent {
    /// Steps done.
    pub step: usize,
    /// Whether this is the best held-out loss so far.
    pub best: bool,
    /// The checkpoint to save.
    #[serde(skip)]
    pub checkpoint: Box<Checkpoint>,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WarningEvent {
    /// Steps done.
    pub step: usize,
    /// The problem and advice.
    pub message: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FinishedEvent {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Whether it was asked to stop before its last step.
    pub interrupted: bool,
}
