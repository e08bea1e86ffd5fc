//! The configuration of a run: the model, the objective, the recipe and the data, with validation.
//!
//! A configuration is TOML with the sections `[model]`, `[model.moe]`, `[model.rope_scaling]`, `[nitp]`, `[mtp]`,
//! `[nextlat]`, `[top]`, `[train]` and `[data]`. [`preset`] returns a complete configuration by name, [`load()`]
//! overlays it with a partial one, and [`Config::to_toml`] writes a complete one. [`parameter_counts`] and
//! [`flops_per_token`] compute the cost of a model before it is built.

mod cost;
mod data;
mod error;
mod limits;
mod load;
mod model;
mod nitp;
mod presets;
mod rivals;
mod rope;
#[cfg(test)]
mod tests;
mod train;

use serde::{Deserialize, Serialize};

pub use cost::{FlopsPerToken, ParameterCounts, flops_per_token, parameter_counts};
pub use data::{AUTO_END_OF_TEXT, BYTE_TOKENIZER, DataConfig, NO_END_OF_TEXT};
pub use error::ConfigError;
pub use limits::MAX_VOCAB;
pub use load::{load, overlay};
pub use model::{MAX_HEAD_DIM, ModelConfig, MoeConfig};
pub use nitp::{NitpConfig, NitpLoss, Projector, Regularizer, Shift, Source};
pub use presets::{preset, preset_names};
pub(crate) use rivals::IN_PROGRAM as RIVALS_IN_PROGRAM;
pub use rivals::{MAX_WINDOW, MtpConfig, MtpHead, NextLatConfig, TopConfig};
pub use rope::{RopeScaling, RopeType};
pub use train::{Precision, Schedule, TrainConfig};

use error::require;

/// A whole configuration. The default is the `tiny` preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[model]` and `[model.moe]`: the shape of the model.
    pub model: ModelConfig,
    /// `[nitp]`: the objective in addition to next-token prediction.
    pub nitp: NitpConfig,
    /// `[mtp]`: multi-token prediction, off by default. The page has no rivals of NITP.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "is_default"))]
    pub mtp: MtpConfig,
    /// `[nextlat]`: next-latent prediction, off by default.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "is_default"))]
    pub nextlat: NextLatConfig,
    /// `[top]`: token order prediction, off by default.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "is_default"))]
    pub top: TopConfig,
    /// `[train]`: the recipe.
    pub train: TrainConfig,
    /// `[data]`: the text.
    pub data: DataConfig,
}

/// Whether a value equals its default.
#[cfg(not(target_arch = "wasm32"))]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether this program supports features that only imported models have. The page does not, because it must be small.
pub(crate) const FOREIGN_IN_PROGRAM: bool = cfg!(not(target_arch = "wasm32"));

impl Config {
    /// The key of a feature of the model that this program lacks; none in a native program.
    pub fn lacking(&self) -> Option<&'static str> {
        let model = &self.model;
        let foreign = [
            (model.qkv_bias, "model.qkv_bias"),
            (model.qk_norm, "model.qk_norm"),
            (model.rope_scaling.is_some(), "model.rope_scaling"),
            (
                model.moe.as_ref().is_some_and(|moe| moe.shared_expert_gate),
                "model.moe.shared_expert_gate",
            ),
        ];
        let used = foreign.into_iter().find(|(is_used, _)| *is_used);
        used.filter(|_| !FOREIGN_IN_PROGRAM).map(|(_, key)| key)
    }

    /// Checks every value and every rule between values.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for the first that fails: the field, its value, what is allowed
    /// and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.model.validate()?;
        self.nitp.validate(self.model.num_hidden_layers)?;
        if rivals::IN_PROGRAM {
            self.validate_rivals()?;
        }
        self.train.validate()?;
        self.data.validate()?;
        require(
            self.data.tokenizer != BYTE_TOKENIZER || self.model.vocab_size >= 256,
            "model.vocab_size",
            self.model.vocab_size,
            "with data.tokenizer = \"byte\" it must be at least 256, one row for each byte",
            "Set model.vocab_size = 256",
        )?;
        let needs_pairs = self.nitp.enabled
            && (self.nitp.shift == Shift::Next
                || self.nitp.regularizer == Regularizer::TokenCosine);
        require(
            !needs_pairs || self.train.context_length >= 2,
            "train.context_length",
            self.train.context_length,
            "NITP compares positions of one row, so it must be at least 2",
            "Set a longer context, or nitp.enabled = false",
        )?;
        limits::check(self)
    }

    fn validate_rivals(&self) -> Result<(), ConfigError> {
        self.mtp.validate()?;
        self.nextlat.validate()?;
        self.top.validate()?;
        require(
            !(self.mtp.enabled || self.nextlat.enabled) || self.train.context_length >= 2,
            "train.context_length",
            self.train.context_length,
            "[mtp] and [nextlat] predict from one position of a row to the next, so it must be at least 2",
            "Set a longer context, or mtp.enabled = false and nextlat.enabled = false",
        )
    }

    /// This configuration with next-token prediction as its only objective: the model without the heads that only
    /// training uses.
    pub fn next_token_alone(mut self) -> Self {
        self.nitp.enabled = false;
        self.mtp.enabled = false;
        self.nextlat.enabled = false;
        self.top.enabled = false;
        self
    }

    /// The configuration as TOML, in the order `[model]`, `[model.rope_scaling]`, `[model.moe]`, `[nitp]`, `[mtp]`,
    /// `[nextlat]`, `[top]`, `[train]`, `[data]`. Defaults are written, too, except for keys that the page lacks:
    /// features of imported models that a model does not have, and objectives that are off. The page can therefore read
    /// every run that it can train. [`Config::from_toml`] reads the same configuration back.
    ///
    /// # Panics
    /// If a number exceeds 2^63 - 1, which TOML can't hold and [`Config::validate`] refuses.
    pub fn to_toml(&self) -> String {
        toml::to_string(self)
            .expect("a validated configuration holds nothing that TOML can't write")
    }

    /// Reads and validates a configuration; keys that `text` leaves out take the value of the
    /// `tiny` preset.
    ///
    /// # Errors
    /// Those of [`load()`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        load(Self::default(), Some(("config.toml", text)), &[])
    }
}
