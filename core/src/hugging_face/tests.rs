//! Configurations of published models, with the keys that matter.

use super::{Described, HuggingFaceError, describe};
use crate::config::{ModelConfig, RopeScaling, RopeType};

const SIZES: &str = r#""hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
    "num_hidden_layers": 3, "rms_norm_eps": 1e-05, "vocab_size": 500, "torch_dtype": "bfloat16", "use_cache": true,
    "initializer_range": 0.02, "attention_dropout": 0.0, "bos_token_id": 1,"#;

fn read(more: &str) -> Result<Described, HuggingFaceError> {
    describe("config.json", &format!("{{ {SIZES} {more} }}"))
}

fn model(more: &str) -> ModelConfig {
    read(more).unwrap().model
}

fn refused(more: &str, parts: &[&str]) {
    let error = read(more).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn llama_2_and_its_kin() {
    let llama = model(
        r#""architectures": ["LlamaForCausalLM"], "model_type": "llama", "eos_token_id": 2, "pretraining_tp": 1,
        "max_position_embeddings": 4096, "num_key_value_heads": 4, "rope_scaling": null, "tie_word_embeddings": false,
        "max_sequence_length": 2048, "pad_token_id": 0"#,
    );
    assert_eq!((llama.head_dim, llama.num_key_value_heads, llama.rope_theta), (16, 4, 1e4));
    assert!(!llama.qkv_bias && !llama.qk_norm && llama.rope_scaling.is_none());
    // SmolLM2 and mirrors of Unsloth.
    let small = model(
        r#""model_type": "llama", "eos_token_id": 0, "is_llama_config": true, "mlp_bias": false, "rope_theta": 100000,
        "attention_bias": false, "num_key_value_heads": 2, "rope_interleaved": false, "tie_word_embeddings": true,
        "transformers.js_config": { "dtype": "q4" }, "unsloth_fixed": true"#,
    );
    assert!(small.tie_word_embeddings);
    assert_eq!((small.num_key_value_heads, small.rope_theta), (2, 1e5));
}

#[test]
fn rotary_positions_of_llama_3_in_both_places() {
    let scaling = r#"{ "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3" }"#;
    let old = model(&format!(
        r#""model_type": "llama", "eos_token_id": [128001, 128008], "head_dim": 32, "rope_theta": 500000.0,
        "rope_scaling": {scaling}"#
    ));
    let new = scaling.replace("\"rope_type\"", "\"rope_theta\": 500000.0, \"rope_type\"");
    let new = model(&format!(r#""model_type": "llama", "head_dim": 32, "rope_parameters": {new}"#));
    assert_eq!(old, new);
    let expected = RopeScaling { factor: 32.0, ..RopeScaling::default() };
    assert_eq!((old.rope_theta, old.rope_scaling), (5e5, Some(expected)));
    let linear = r#""model_type": "llama", "rope_scaling": { "type": "linear", "factor": 4.0 }"#;
    assert_eq!(model(linear).rope_scaling.unwrap().rope_type, RopeType::Linear);
    for kind in ["yarn", "dynamic", "longrope"] {
        let more = format!(r#""model_type": "llama", "rope_scaling": {{ "rope_type": "{kind}" }}"#);
        refused(&more, &["rope_scaling", kind, "llama3"]);
    }
    refused(
        r#""model_type": "llama", "rope_scaling": { "rope_type": "linear", "factor": 2.0, "mscale": 0.7 }"#,
        &["mscale = 0.7"],
    );
}

#[test]
fn of_several_ends_of_text_the_first_counts() {
    let end = |eos: &str| read(&format!(r#""model_type": "llama", {eos}"#)).unwrap().end_of_text;
    assert_eq!(end(r#""eos_token_id": [7, 8]"#), Some(7));
    assert_eq!(end(r#""eos_token_id": 9"#), Some(9));
    assert_eq!(end(r#""eos_token_id": null"#), None);
    refused(r#""model_type": "llama", "eos_token_id": "</s>""#, &["eos_token_id", "</s>"]);
}

#[test]
fn windows_are_as_each_class_has_them() {
    let mistral = r#""model_type": "mistral", "num_key_value_heads": 2"#;
    for without in [r#""sliding_window": null"#, r#""sliding_window": 0"#] {
        model(&format!("{mistral}, {without}"));
    }
    // The default of transformers; Mistral does not have the flag.
    refused(mistral, &["sliding_window", "4096"]);
    let flag = r#""sliding_window": 4096, "use_sliding_window": false"#;
    refused(&format!("{mistral}, {flag}"), &["sliding_window", "4096"]);
    let qwen = r#""model_type": "qwen2", "max_window_layers": 21"#;
    for without in [flag, r#""sliding_window": 4096"#, r#""use_sliding_window": false"#] {
        assert!(model(&format!("{qwen}, {without}")).qkv_bias);
    }
    refused(&format!(r#"{qwen}, "sliding_window": 4096, "use_sliding_window": true"#), &["4096"]);
    refused(
        r#""model_type": "qwen3", "layer_types": ["full_attention", "sliding_attention"]"#,
        &["layer_types", "sliding_attention"],
    );
}

#[test]
fn mixtures() {
    let mixture = r#""model_type": "qwen2_moe", "num_experts": 6, "num_experts_per_tok": 2,
        "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40, "router_aux_loss_coef": 0.001,
        "output_router_logits": false, "decoder_sparse_step": 1"#;
    let found = model(mixture);
    // Biases unless the file says otherwise.
    assert!(found.qkv_bias);
    let moe = found.moe.unwrap();
    assert!(moe.shared_expert_gate && !moe.norm_topk_prob);
    assert_eq!((moe.num_experts, moe.first_k_dense_replace), (6, 0));
    let plain = model(&format!(r#"{mixture}, "qkv_bias": false, "mlp_only_layers": [1, 0]"#));
    assert!(!plain.qkv_bias);
    assert_eq!(plain.moe.unwrap().first_k_dense_replace, 2);
    refused(&format!(r#"{mixture}, "mlp_only_layers": [1]"#), &["mlp_only_layers", "first blocks"]);
    let sparse = mixture.replace("\"decoder_sparse_step\": 1", "\"decoder_sparse_step\": 2");
    refused(&sparse, &["decoder_sparse_step"]);
}

#[test]
fn what_changes_the_model_is_refused_by_its_key() {
    for (more, parts) in [
        (r#""model_type": "gemma2""#, &["model_type", "gemma2", "llama"][..]),
        (r#""architectures": ["X"]"#, &["model_type"]),
        (r#""model_type": "llama", "attention_bias": true"#, &["attention_bias", "Qwen2"]),
        (r#""model_type": "qwen3", "attention_bias": true"#, &["attention_bias"]),
        (r#""model_type": "llama", "mlp_bias": true"#, &["mlp_bias"]),
        (r#""model_type": "llama", "pretraining_tp": 2"#, &["pretraining_tp"]),
        (r#""model_type": "llama", "rope_interleaved": true"#, &["rope_interleaved = true"]),
        (
            r#""model_type": "llama", "quantization_config": { "bits": 4 }"#,
            &["quantization_config"],
        ),
        (
            r#""model_type": "llama", "partial_rotary_factor": 0.5"#,
            &["partial_rotary_factor = 0.5"],
        ),
        (r#""model_type": "llama", "num_key_value_heads": -1"#, &["num_key_value_heads", "-1"]),
    ] {
        refused(more, parts);
    }
    assert!(describe("x", "[1]").unwrap_err().to_string().contains("x can't be read"));
    let odd = SIZES.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 5");
    let error = describe("x", &format!("{{ {odd} \"model_type\": \"llama\" }}")).unwrap_err();
    assert!(error.to_string().contains("divisor of hidden_size = 64"), "{error}");
}
