//! Settings that determine the meaning of weights: two models with tensors of equal shapes still differ if their heads,
//! their RoPE base or their routing differ.

use std::fmt;

use serde_json::Value;

use crate::config::ModelConfig;

/// Keys of `[model]` that only affect training: the initialisation of weights, and a term of the loss.
const OF_TRAINING: [&str; 2] = ["model.initializer_range", "model.moe.router_aux_loss_coef"];

/// An optional section of a model, and a function that describes it in words.
type Section = (&'static str, fn(&ModelConfig) -> Option<String>);

/// All optional sections.
const SECTIONS: [Section; 2] = [
    ("model.moe", |model| {
        model.moe.as_ref().map(|moe| format!("a mixture of {} experts", moe.num_experts))
    }),
    ("model.rope_scaling", |model| {
        let scaling = model.rope_scaling()?;
        Some(format!("{:?} by {}", scaling.rope_type, scaling.factor).to_lowercase())
    }),
];

/// A key of `[model]` with two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The whole key, section included.
    pub key: String,
    /// Its value in the configuration at hand.
    pub here: String,
    /// Its value in the run that made the weights.
    pub made_with: String,
}

/// Every key in which two models differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences(pub Vec<Difference>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Difference { key, here, made_with }) in self.0.iter().enumerate() {
            let comma = if index > 0 { "; " } else { "" };
            write!(f, "{comma}{key} is {here} here and was {made_with}")?;
        }
        Ok(())
    }
}

/// Compares the keys of `[model]` and its sections that determine the meaning of weights.
///
/// # Errors
/// All keys that differ, if any do.
pub fn same_meaning(here: &ModelConfig, made_with: &ModelConfig) -> Result<(), Differences> {
    let (mut mine, mut theirs) = (keys(here), keys(made_with));
    for (section, words) in SECTIONS {
        let [here, made_with] = [here, made_with].map(words);
        if here.is_some() == made_with.is_some() {
            continue;
        }
        // One line for the section, instead of one for each of its keys.
        for (keys, words) in [(&mut mine, here), (&mut theirs, made_with)] {
            keys.retain(|(key, _)| !key.starts_with(&format!("{section}.")));
            keys.push((section.to_owned(), words.unwrap_or_else(|| "none".to_owned())));
        }
    }
    let differing = mine.into_iter().zip(theirs).filter(|(mine, theirs)| mine.1 != theirs.1);
    let differences: Vec<_> = differing
        .map(|((key, here), (_, made_with))| Difference { key, here, made_with })
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(Differences(differences)) }
}

/// The relevant keys with their values. Two models with the same sections have the same keys in the same order.
fn keys(model: &ModelConfig) -> Vec<(String, String)> {
    let value = serde_json::to_value(model).expect("plain data serialises");
    let mut keys = Vec::new();
    flatten("model", &value, &mut keys);
    keys.retain(|(key, _)| !OF_TRAINING.contains(&key.as_str()));
    #[cfg(not(target_arch = "wasm32"))]
    add_what_is_off(&mut keys);
    keys
}

/// Keys that are written only if they are on. The page lacks them.
#[cfg(not(target_arch = "wasm32"))]
const OFF_UNLESS_WRITTEN: [&str; 3] =
    ["model.qkv_bias", "model.qk_norm", "model.moe.shared_expert_gate"];

/// Gives two models the same keys.
#[cfg(not(target_arch = "wasm32"))]
fn add_what_is_off(keys: &mut Vec<(String, String)>) {
    for off in OFF_UNLESS_WRITTEN {
        if keys.iter().all(|(key, _)| key != off) {
            keys.push((off.to_owned(), false.to_string()));
        }
    }
    keys.sort();
}

fn flatten(name: &str, value: &Value, keys: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten(&format!("{name}.{key}"), value, keys);
            }
        }
        value => keys.push((name.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MoeConfig, RopeScaling};

    fn differ(change: impl FnOnce(&mut ModelConfig)) -> String {
        let made_with = ModelConfig { moe: Some(MoeConfig::default()), ..ModelConfig::default() };
        let mut here = made_with.clone();
        change(&mut here);
        match same_meaning(&here, &made_with) {
            Ok(()) => String::new(),
            Err(differences) => differences.to_string(),
        }
    }

    #[test]
    fn each_setting_that_changes_the_model_is_named_with_both_values() {
        assert_eq!(differ(|_| {}), "");
        assert_eq!(
            differ(|model| model.rope_theta = 5e5),
            "model.rope_theta is 500000.0 here and was 10000.0"
        );
        let both = differ(|model| {
            model.rms_norm_eps = 1e-5;
            model.moe.as_mut().unwrap().norm_topk_prob = true;
        });
        assert!(both.contains("model.rms_norm_eps is 0.00001 here and was 1e-6"), "{both}");
        assert!(both.contains("model.moe.norm_topk_prob is true here and was false"), "{both}");
        assert_eq!(
            differ(|model| model.moe = None),
            "model.moe is none here and was a mixture of 8 experts"
        );
    }

    #[test]
    fn what_only_some_models_have_is_named_too() {
        let found = differ(|model| {
            model.qk_norm = true;
            model.moe.as_mut().unwrap().shared_expert_gate = true;
            model.rope_theta = 5e5;
            model.rope_scaling = Some(RopeScaling::default());
        });
        assert_eq!(
            found,
            "model.moe.shared_expert_gate is true here and was false; model.qk_norm is true here and was false; \
             model.rope_theta is 500000.0 here and was 10000.0; model.rope_scaling is llama3 by 8 here and was none"
        );
        let dense = differ(|model| (model.moe, model.qkv_bias) = (None, true));
        assert_eq!(
            dense,
            "model.qkv_bias is true here and was false; model.moe is none here and was a mixture of 8 experts"
        );
    }

    #[test]
    fn settings_of_training_may_change() {
        let changed = differ(|model| {
            model.initializer_range = 0.5;
            model.moe.as_mut().unwrap().router_aux_loss_coef = 0.1;
        });
        assert_eq!(changed, "");
    }
}
