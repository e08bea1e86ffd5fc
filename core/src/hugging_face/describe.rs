//! Conversion between `config.json` and `[model]`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HuggingFaceError;
use super::keys::Keys;
use crate::config::{Config, ModelConfig, MoeConfig, RopeScaling, RopeType};
use crate::train::same_meaning;

/// The contents of a `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The model, `[model]`.
    pub model: ModelConfig,
    /// The longest context that the model supports.
    pub max_position_embeddings: usize,
    /// The token that ends a text; the first one, if there are several.
    pub end_of_text: Option<u32>,
}

/// Default context for evaluating and training an imported model: the model's own context may need more memory than a
/// machine has.
const CONTEXT: usize = 1024;
const BATCH_SIZE: usize = 4;

/// Default peak learning rate for an imported model. The rates of presets are for training from scratch, and would
/// destroy trained weights.
const LEARNING_RATE: f64 = 3e-5;

impl Described {
    /// A configuration for evaluating this model, and for training it on with NITP; without a text.
    pub fn recipe(self) -> Config {
        let mut config = Config { model: self.model, ..Config::default() };
        let blocks = config.model.num_hidden_layers;
        // A fifth of the depth, the paper's best.
        let target = (blocks as f64 / 5.0).round().max(1.0).min(blocks as f64 - 1.0);
        config.nitp.target_layer = target as usize;
        config.train.context_length = self.max_position_embeddings.clamp(1, CONTEXT);
        config.train.batch_size = BATCH_SIZE;
        config.train.learning_rate = LEARNING_RATE;
        config.data.paths.clear();
        config
    }

    /// Whether `model` is an import of this model. An import may have removed a gate of 1/2 and shared experts of
    /// zeros.
    pub fn is_of(&self, model: &ModelConfig) -> bool {
        let mut own = self.model.clone();
        if let (Some(own), Some(theirs)) = (&mut own.moe, &model.moe) {
            own.shared_expert_gate &= theirs.shared_expert_gate;
            if theirs.shared_expert_intermediate_size == 0
                && own.shared_expert_intermediate_size == WIDTH_WITHOUT_SHARED_EXPERT
            {
                own.shared_expert_intermediate_size = 0;
            }
        }
        same_meaning(model, &own).is_ok()
    }
}

/// The class in transformers that computes the same function as a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Llama,
    Qwen2,
    Qwen3,
    Qwen2Moe,
}

impl Class {
    /// The class of a model.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(model: &ModelConfig) -> Result<Self, HuggingFaceError> {
        let none = |with: &'static str| Err(HuggingFaceError::NoClass { with });
        match (model.num_moe_layers() > 0, model.qkv_bias, model.qk_norm) {
            (true, _, false) => Ok(Self::Qwen2Moe),
            (false, true, false) => Ok(Self::Qwen2),
            (false, false, true) => Ok(Self::Qwen3),
            (false, false, false) => Ok(Self::Llama),
            (true, _, true) => none("a mixture of experts and model.qk_norm"),
            (_, true, true) => none("both model.qkv_bias and model.qk_norm"),
        }
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Llama => ("LlamaForCausalLM", "llama"),
            Self::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
            Self::Qwen3 => ("Qwen3ForCausalLM", "qwen3"),
            Self::Qwen2Moe => ("Qwen2MoeForCausalLM", "qwen2_moe"),
        }
    }
}

/// Inner width of the shared expert of zeros for a mixture without a shared expert: models of the class always have
/// one. It is 32 because programs that quantise weights use blocks of 32.
pub(super) const WIDTH_WITHOUT_SHARED_EXPERT: usize = 32;

/// The text of `config.json` for a model of this class with weights of this type. Settings of RoPE have the format of
/// transformers 4, which later versions also read.
pub(super) fn config_json(
    class: Class,
    model: &ModelConfig,
    max_position_embeddings: usize,
    end_of_text: Option<u32>,
    element_type: &str,
) -> String {
    let (architecture, model_type) = class.names();
    let mut config = json!({
        "architectures": [architecture],
        "attention_dropout": 0.0,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "hidden_size": model.hidden_size,
        "initializer_range": model.initializer_range,
        "intermediate_size": model.intermediate_size,
        "max_position_embeddings": max_position_embeddings,
        "model_type": model_type,
        "num_attention_heads": model.num_attention_heads,
        "num_hidden_layers": model.num_hidden_layers,
        "num_key_value_heads": model.num_key_value_heads,
        "rms_norm_eps": model.rms_norm_eps,
        "rope_scaling": model.rope_scaling.as_ref().map(rope_scaling_json),
        "rope_theta": model.rope_theta,
        "tie_word_embeddings": model.tie_word_embeddings,
        "torch_dtype": element_type,
        "use_cache": true,
        "vocab_size": model.vocab_size,
    });
    let more = match (class, &model.moe) {
        (Class::Qwen2Moe, Some(moe)) => json!({
            "decoder_sparse_step": 1,
            "mlp_only_layers": (0..moe.first_k_dense_replace).collect::<Vec<_>>(),
            "moe_intermediate_size": moe.moe_intermediate_size,
            "norm_topk_prob": moe.norm_topk_prob,
            "num_experts": moe.num_experts,
            "num_experts_per_tok": moe.num_experts_per_tok,
            "output_router_logits": false,
            "qkv_bias": model.qkv_bias,
            "router_aux_loss_coef": moe.router_aux_loss_coef,
            "shared_expert_intermediate_size": match moe.shared_expert_intermediate_size {
                0 => WIDTH_WITHOUT_SHARED_EXPERT,
                width => width,
            },
            "use_sliding_window": false,
        }),
        (Class::Llama, _) => json!({ "attention_bias": false, "mlp_bias": false }),
        (Class::Qwen3, _) => json!({ "attention_bias": false, "use_sliding_window": false }),
        _ => json!({ "use_sliding_window": false }),
    };
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more);
    }
    pretty(&config)
}

fn rope_scaling_json(scaling: &RopeScaling) -> Value {
    match scaling.rope_type {
        RopeType::Linear => {
            // Older versions of transformers know only `type`.
            json!({ "type": "linear", "rope_type": "linear", "factor": scaling.factor })
        }
        RopeType::Llama3 => json!({
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_position_embeddings,
        }),
    }
}

/// JSON in transformers' format: sorted keys, two spaces of indentation, a line break at the end.
pub(super) fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data serialises");
    text.push('\n');
    text
}

/// Reads the text of a `config.json`; `path` is its name in messages. Keys without an effect on the model's results are
/// skipped; all others must correspond to a key of `[model]`.
///
/// # Errors
/// [`HuggingFaceError`] names the key and what is supported.
pub fn describe(path: &str, text: &str) -> Result<Described, HuggingFaceError> {
    let mut keys = Keys::read(path, text)?;
    let model_type: String = keys.take("model_type", "a string")?.unwrap_or_default();
    if !["llama", "mistral", "qwen2", "qwen2_moe", "qwen3"].contains(&model_type.as_str()) {
        return Err(keys.unsupported(
            "model_type",
            &format!("{model_type:?}"),
            "Models of the types llama, mistral, qwen2, qwen2_moe and qwen3 are read",
        ));
    }
    keys.only("hidden_act", json!("silu"), "Only the activation silu is supported")?;
    let reason = "Only biases of queries, keys and values together are supported, as Qwen2's";
    keys.only("attention_bias", json!(false), reason)?;
    keys.only("mlp_bias", json!(false), reason)?;
    let qkv_bias = match model_type.as_str() {
        "qwen2" => true,
        "qwen2_moe" => keys.flag("qkv_bias", true)?,
        _ => false,
    };
    keys.only("pretraining_tp", json!(1), "Only 1 is supported")?;
    check_windows(&mut keys, &model_type)?;
    let hidden_size = keys.size("hidden_size")?;
    let num_attention_heads = keys.size("num_attention_heads")?;
    let head_dim = keys.take("head_dim", "a whole number")?;
    let head_dim = match (head_dim, num_attention_heads) {
        (Some(head_dim), _) => head_dim,
        (None, 1..) if hidden_size.is_multiple_of(num_attention_heads) => {
            hidden_size / num_attention_heads
        }
        _ => {
            let expected = format!("a divisor of hidden_size = {hidden_size}");
            return Err(keys.wrong(
                "num_attention_heads",
                &num_attention_heads.to_string(),
                &expected,
            ));
        }
    };
    let (rope_theta, rope_scaling) = rotary(&mut keys)?;
    let mut model = ModelConfig {
        vocab_size: keys.size("vocab_size")?,
        hidden_size,
        num_hidden_layers: keys.size("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads: keys
            .take("num_key_value_heads", "a whole number")?
            .unwrap_or(num_attention_heads),
        head_dim,
        qkv_bias,
        qk_norm: model_type == "qwen3",
        intermediate_size: keys.size("intermediate_size")?,
        rope_theta,
        rope_scaling,
        rms_norm_eps: keys.number("rms_norm_eps", 1e-6)?,
        tie_word_embeddings: keys.flag("tie_word_embeddings", false)?,
        initializer_range: keys.number("initializer_range", 0.02)?,
        moe: None,
    };
    if model_type == "qwen2_moe" {
        model.moe = Some(mixture(&mut keys, model.num_hidden_layers)?);
    }
    let max_position_embeddings =
        keys.take("max_position_embeddings", "a whole number")?.unwrap_or(2048);
    let end_of_text = end_of_text(&mut keys)?;
    keys.finish()?;
    Ok(Described { model, max_position_embeddings, end_of_text })
}

/// Checks that attention has no sliding window. Mistral has a window unless a key disables it; Qwen2 and Qwen3 have one
/// only if two keys enable it.
fn check_windows(keys: &mut Keys, model_type: &str) -> Result<(), HuggingFaceError> {
    let reason = "Only attention to all earlier tokens is supported, without a sliding window";
    let is_named = keys.has_key("sliding_window");
    let window: Option<usize> = keys.take("sliding_window", "a whole number")?;
    let uses_windows = keys.flag("use_sliding_window", false)?;
    let is_limited = match model_type {
        "mistral" => !is_named || window.is_some_and(|window| window > 0),
        "llama" => window.is_some(),
        _ => uses_windows,
    };
    if is_limited {
        let found = match window {
            Some(window) => window.to_string(),
            None if uses_windows => "not given, with use_sliding_window = true".to_owned(),
            None => "not given, which means 4096".to_owned(),
        };
        return Err(keys.unsupported("sliding_window", &found, reason));
    }
    let kinds: Vec<String> = keys.take("layer_types", "a list of strings")?.unwrap_or_default();
    match kinds.into_iter().find(|kind| kind != "full_attention") {
        Some(kind) => Err(keys.unsupported("layer_types", &kind, reason)),
        None => Ok(()),
    }
}

/// Base and scaling of RoPE: in `rope_theta` and `rope_scaling`, or since transformers 5 in
/// `rope_parameters`.
fn rotary(keys: &mut Keys) -> Result<(f64, Option<RopeScaling>), HuggingFaceError> {
    const DEFAULT_THETA: f64 = 10_000.0;
    let outer_theta = keys.take("rope_theta", "a number")?;
    let name = if keys.has("rope_parameters") { "rope_parameters" } else { "rope_scaling" };
    let Some(mut table) = keys.table(name)? else {
        return Ok((outer_theta.unwrap_or(DEFAULT_THETA), None));
    };
    let inner_theta = table.take("rope_theta", "a number")?;
    let theta = inner_theta.or(outer_theta).unwrap_or(DEFAULT_THETA);
    let old_name: Option<String> = table.take("type", "a string")?;
    let kind = table.take("rope_type", "a string")?.or(old_name).unwrap_or_default();
    let default = RopeScaling::default();
    let scaling = match kind.as_str() {
        "" | "default" => None,
        "linear" => {
            let factor = table.number("factor", 1.0)?;
            Some(RopeScaling { rope_type: RopeType::Linear, factor, ..default })
        }
        "llama3" => Some(RopeScaling {
            rope_type: RopeType::Llama3,
            factor: table.number("factor", default.factor)?,
            low_freq_factor: table.number("low_freq_factor", default.low_freq_factor)?,
            high_freq_factor: table.number("high_freq_factor", default.high_freq_factor)?,
            original_max_position_embeddings: table.size("original_max_position_embeddings")?,
        }),
        other => {
            let reason = "The types default, linear and llama3 are supported";
            return Err(table.unsupported("rope_type", &format!("{other:?}"), reason));
        }
    };
    table.finish()?;
    Ok((theta, scaling))
}

/// Reads one number, or a list of numbers.
fn end_of_text(keys: &mut Keys) -> Result<Option<u32>, HuggingFaceError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(u32),
        More(Vec<u32>),
    }
    Ok(match keys.take("eos_token_id", "a token's number, or a list of them")? {
        None => None,
        Some(OneOrMore::One(id)) => Some(id),
        Some(OneOrMore::More(ids)) => ids.first().copied(),
    })
}

/// The keys of Qwen2Moe.
fn mixture(keys: &mut Keys, blocks: usize) -> Result<MoeConfig, HuggingFaceError> {
    keys.only(
        "decoder_sparse_step",
        json!(1),
        "Only the first blocks may lack a mixture of experts",
    )?;
    let mut dense: Vec<usize> =
        keys.take("mlp_only_layers", "a list of numbers")?.unwrap_or_default();
    dense.sort_unstable();
    if !dense.iter().copied().eq(0..dense.len()) || dense.len() > blocks {
        let reason = "Only the first blocks may be dense";
        return Err(keys.unsupported("mlp_only_layers", &format!("{dense:?}"), reason));
    }
    let shared = keys.size("shared_expert_intermediate_size")?;
    Ok(MoeConfig {
        num_experts: keys.size("num_experts")?,
        num_experts_per_tok: keys.size("num_experts_per_tok")?,
        moe_intermediate_size: keys.size("moe_intermediate_size")?,
        shared_expert_intermediate_size: shared,
        shared_expert_gate: shared > 0,
        first_k_dense_replace: dense.len(),
        norm_topk_prob: keys.flag("norm_topk_prob", false)?,
        router_aux_loss_coef: keys.number("router_aux_loss_coef", 0.001)?,
    })
}
