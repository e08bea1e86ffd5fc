//! Every rule of validation, broken once.

use super::*;

/// The sets that break a rule, the field with its value in the error, and a part of the allowed values in the error.
const BROKEN: &str = r#"
model.vocab_size=0 | model.vocab_size = 0 | from 1 to
model.vocab_size=4294967296 | model.vocab_size = 4294967296 | from 1 to
model.vocab_size=16777217 | model.vocab_size = 16777217 | at most 16777216
model.hidden_size=0 | model.hidden_size = 0 | from 1 to
model.num_hidden_layers=0 | model.num_hidden_layers = 0 | from 1 to
model.num_hidden_layers=1001 | model.num_hidden_layers = 1001 | at most 1000
model.num_attention_heads=0 | model.num_attention_heads = 0 | from 1 to
model.num_key_value_heads=0 | model.num_key_value_heads = 0 | from 1 to
model.head_dim=0 | model.head_dim = 0 | even number from 2 to 256
model.intermediate_size=0 | model.intermediate_size = 0 | from 1 to
model.num_key_value_heads=3 | model.num_attention_heads = 4 | a multiple of model.num_key_value_heads = 3
model.head_dim=33 | model.head_dim = 33 | even
model.head_dim=258 | model.head_dim = 258 | even number from 2 to 256
model.rope_theta=0 | model.rope_theta = 0 | above 0
model.rms_norm_eps=0.0 | model.rms_norm_eps = 0 | above 0
model.initializer_range=inf | model.initializer_range = inf | finite
model.moe.num_experts=0 | model.moe.num_experts = 0 | from 1 to
model.moe.num_experts=33334 | model.moe.num_experts = 33334 | in 3 blocks that is 100002 experts
model.moe.moe_intermediate_size=0 | model.moe.moe_intermediate_size = 0 | from 1 to
model.moe.num_experts_per_tok=9 | model.moe.num_experts_per_tok = 9 | from 1 to model.moe.num_experts = 8
model.moe.num_experts_per_tok=0 | model.moe.num_experts_per_tok = 0 | from 1 to
model.moe.first_k_dense_replace=5 | model.moe.first_k_dense_replace = 5 | model.num_hidden_layers = 4
model.moe.shared_expert_intermediate_size=3000000000 | model.moe.shared_expert_intermediate_size | from 0 to
model.moe.router_aux_loss_coef=-0.1 | model.moe.router_aux_loss_coef = -0.1 | at least 0
nitp.weight=-1 | nitp.weight = -1 | at least 0
nitp.weight=nan | nitp.weight = NaN | finite
nitp.target_layer=5 | nitp.target_layer = 5 | model.num_hidden_layers = 4
nitp.shift=current ; nitp.projector=none ; nitp.source=pre_norm ; nitp.target_layer=4 | nitp.shift = "current" | always 0
train.steps=0 | train.steps = 0 | from 1 to
train.batch_size=0 | train.batch_size = 0 | from 1 to
train.batch_size=100000000 | train.batch_size = 100000000 | 32-bit
train.batch_size=1048577 ; nitp.enabled=false ; train.context_length=1 | train.batch_size = 1048577 | at most 1048576
train.batch_size=1048576 ; train.context_length=2047 ; model.moe.num_experts_per_tok=2 | model.moe.num_experts_per_tok = 2 | pairs of a token
train.context_length=0 | train.context_length = 0 | from 1 to
train.context_length=1 | train.context_length = 1 | at least 2
train.context_length=1 ; nitp.shift=current ; nitp.regularizer=token_cosine | train.context_length = 1 | at least 2
train.gradient_accumulation_steps=0 | train.gradient_accumulation_steps = 0 | from 1 to
train.learning_rate=0 | train.learning_rate = 0 | above 0
train.learning_rate=nan | train.learning_rate = NaN | finite
train.decay_ratio=1.1 | train.decay_ratio = 1.1 | from 0 to 1
train.min_learning_rate_ratio=2 | train.min_learning_rate_ratio = 2 | from 0 to 1
train.schedule=wsd_exp ; train.min_learning_rate_ratio=0 | train.min_learning_rate_ratio = 0 | above 0
train.beta1=1 | train.beta1 = 1 | below 1
train.beta2=-0.1 | train.beta2 = -0.1 | at least 0
train.eps=0 | train.eps = 0 | above 0
train.weight_decay=-0.1 | train.weight_decay = -0.1 | at least 0
train.grad_clip=inf | train.grad_clip = inf | finite
train.eval_interval=3000000000 | train.eval_interval = 3000000000 | from 0 to
train.eval_batches=0 | train.eval_batches = 0 | from 1 to
train.geometry_interval=3000000000 | train.geometry_interval = 3000000000 | from 0 to
train.checkpoint_interval=3000000000 | train.checkpoint_interval = 3000000000 | from 0 to
train.keep_checkpoints=0 | train.keep_checkpoints = 0 | from 1 to
data.paths=["a", " "] | data.paths = ["a", " "] | name a file
data.tokenizer="" | data.tokenizer = "" | "byte"
data.text_column="" | data.text_column = "" | name of a column
data.weights=[0.5] ; data.paths=["a", "b"] | data.weights = [0.5] | one weight for each of the 2
data.weights=[0] ; data.paths=["a"] | data.weights = [0.0] | above 0
data.validation_fraction=1 | data.validation_fraction = 1 | below 1
data.tokenizer=byte ; model.vocab_size=255 | model.vocab_size = 255 | at least 256
model.hidden_size=2000000000 | model.hidden_size = 2000000000 | with model.vocab_size = 1024, the embedding would have up to 2.0e12 numbers
model.vocab_size=2 ; model.hidden_size=1000000 ; train.batch_size=1 | model.hidden_size = 1000000 | the first matrix of NITP's projector would have up to 8.0e12
model.num_attention_heads=2000000000 | model.num_attention_heads = 2000000000 | with model.head_dim = 32 and model.hidden_size = 128, the projection to queries
model.intermediate_size=2000000000 ; train.batch_size=100 | model.intermediate_size = 2000000000 | inner states of a SwiGLU
model.moe.moe_intermediate_size=2000000000 | model.moe.moe_intermediate_size = 2000000000 | the experts
model.moe.shared_expert_intermediate_size=2000000000 ; train.batch_size=100 | model.moe.shared_expert_intermediate_size = 2000000000 | shared expert's inner states
train.context_length=2000000000 ; train.batch_size=1 ; model.vocab_size=16777216 | train.context_length = 2000000000 | a chunk of the logits
"#;

#[test]
fn every_rule_names_its_field() {
    for case in BROKEN.trim().lines() {
        let [list, field, allowed] = case.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("three parts in {case}");
        };
        let list: Vec<&str> = list.split(" ; ").collect();
        let result = with(&list);
        assert!(matches!(result, Err(ConfigError::Invalid { .. })), "{list:?} gave {result:?}");
        let advice = if field.starts_with("data.paths") { "Remove" } else { "Set " };
        says(result, &[field, allowed, advice]);
    }
    let mut config = Config::default();
    config.train.seed = 1 << 63;
    says(config.validate().map(|()| config), &["train.seed = 9223372036854775808", "TOML integer"]);
}

#[test]
fn odd_but_possible_settings_pass() {
    let passes: &[&[&str]] = &[
        &[
            "model.hidden_size=37",
            "model.vocab_size=1",
            "model.intermediate_size=13",
            "model.head_dim=2",
        ],
        &["nitp.target_layer=0"],
        &["nitp.target_layer=4", "nitp.projector=none", "nitp.shift=current"],
        &["nitp.enabled=false", "train.context_length=1"],
        &["nitp.shift=current", "train.context_length=1"],
        &["nitp.regularizer=token_cosine", "nitp.start_step=10000"],
        &["model.moe.first_k_dense_replace=4", "model.moe.shared_expert_intermediate_size=0"],
        &["model.moe.num_experts=1", "model.moe.num_experts_per_tok=1"],
        &["train.warmup_steps=8000", "train.decay_ratio=1", "train.schedule=cosine"],
        &["train.eval_interval=0", "train.geometry_interval=0", "train.checkpoint_interval=0"],
        &["train.beta1=0", "train.weight_decay=0", "train.grad_clip=0", "train.warmup_steps=0"],
        &["train.recompute_activations=true"],
        &["train.document_mask=true", "model.moe.num_experts=4"],
        &["data.validation_fraction=0", "data.paths=[]", "train.seed=9223372036854775807"],
    ];
    for list in passes {
        assert!(with(list).is_ok(), "{list:?}: {}", message(with(list)));
    }
}
