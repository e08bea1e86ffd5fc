//! The whole hand-written backward in f64 against central differences of the loss.

use nitp_core::config::Config;
use nitp_core::cpu::CpuExecutor;
use nitp_core::model::parameters;
use nitp_core::plan::Space;
use nitp_tests::model_case::{MOE, RIVALS, RandomBatches, Steps, config, initial_weights, layout};

/// Number of checked elements of each parameter.
const SAMPLES: usize = 5;

fn check(sets: &[&str]) {
    let config = config(sets);
    let parameters = parameters(&config);
    let layout = layout(&parameters);
    let mut steps = Steps::new(
        CpuExecutor::<f64>::twin(layout.clone()),
        &config,
        &initial_weights(&config),
        Box::new(RandomBatches::new(&config)),
    );
    let target_is_held = config.nitp.stop_gradient && config.nitp.has_target();
    if target_is_held || config.nextlat.enabled {
        // The op's second use is the target, also for next-latent prediction.
        steps.executor.hold_operand("nitp", 1);
    }
    // A step with learning rate 0 leaves the parameters as they are.
    steps.exact_step(0, Some(0.0));
    let gradients: Vec<Vec<f64>> = (0..layout.chunks.len())
        .map(|chunk| steps.executor.store_mut(Space::Gradient, chunk).to_vec())
        .collect();
    for parameter in &parameters {
        if is_constant_of_a_loss(&config, &parameter.name) {
            continue;
        }
        let (chunk, first) = layout.place(&parameter.name).expect("placed");
        let gradient = &gradients[chunk][first..first + parameter.len()];
        let scale = gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        assert!(
            scale > 0.0 || unused(&config, &parameter.name),
            "{} has no gradient",
            parameter.name
        );
        for sample in 0..SAMPLES.min(parameter.len()) {
            // The largest gradient and some others.
            let i = match sample {
                0 => (0..gradient.len())
                    .max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()))
                    .expect("not empty"),
                _ => sample * 7919 % parameter.len(),
            };
            let mut loss = |delta: f64| {
                steps.executor.store_mut(Space::Parameter, chunk)[first + i] += delta;
                steps.exact_step(0, Some(0.0)).loss
            };
            let h = 2e-5;
            let up = loss(h);
            let down = loss(-2.0 * h);
            loss(h);
            let expected = (up - down) / (2.0 * h);
            let error = (gradient[i] - expected).abs() / scale.max(1e-3);
            assert!(
                error < 1e-6,
                "{sets:?}: {}[{i}] is {}, central differences give {expected} ({error:e})",
                parameter.name,
                gradient[i]
            );
        }
    }
}

/// Next-latent prediction's KL divergence treats the unembedding as a constant, which central differences can't
/// reproduce. Its gradient is compared with PyTorch's (model::reference).
fn is_constant_of_a_loss(config: &Config, name: &str) -> bool {
    config.nextlat.enabled && config.nextlat.kl_weight > 0.0 && name == "lm_head"
}

/// Only experts without tokens have no gradient.
fn unused(config: &Config, name: &str) -> bool {
    config.model.moe.is_some() && name.contains("experts")
}

macro_rules! gradients {
    ($($name:ident: $sets:expr;)*) => {
        $(#[test]
        fn $name() {
            check($sets);
        })*
    };
}

gradients! {
    dense_ntp_only: &["nitp.enabled=false"];
    dense_cosine: &[];
    dense_tied: &["model.tie_word_embeddings=true"];
    mse: &["nitp.loss=mse"];
    smooth_l1: &["nitp.loss=smooth_l1"];
    kl: &["nitp.loss=kl"];
    token_cosine: &["nitp.regularizer=token_cosine"];
    token_cosine_before_the_norm: &["nitp.regularizer=token_cosine", "nitp.source=pre_norm"];
    current_step: &["nitp.shift=current"];
    no_projector: &["nitp.projector=none"];
    before_the_norm: &["nitp.source=pre_norm"];
    before_the_norm_without_projector: &["nitp.source=pre_norm", "nitp.projector=none"];
    target_embedding: &["nitp.target_layer=0"];
    target_last_block: &["nitp.target_layer=3"];
    gradient_into_target: &["nitp.stop_gradient=false"];
    gradient_into_embedding: &["nitp.stop_gradient=false", "nitp.target_layer=0"];
    gradient_into_last_block: &["nitp.stop_gradient=false", "nitp.target_layer=3", "nitp.loss=mse"];
    last_block_predicts_itself: &["nitp.projector=none", "nitp.source=pre_norm", "nitp.target_layer=3"];
    last_block_predicts_itself_with_gradient: &[
        "nitp.projector=none", "nitp.source=pre_norm", "nitp.target_layer=3",
        "nitp.stop_gradient=false",
    ];
    gradient_into_target_kl: &["nitp.stop_gradient=false", "nitp.loss=kl", "nitp.shift=current"];
    gradient_into_target_smooth_l1: &["nitp.stop_gradient=false", "nitp.loss=smooth_l1"];
    multi_token: &["nitp.enabled=false", "mtp.enabled=true"];
    multi_token_parallel: &["nitp.enabled=false", "mtp.enabled=true", "mtp.head=parallel"];
    multi_token_tied: &["mtp.enabled=true", "model.tie_word_embeddings=true"];
    next_latent_states: &["nitp.enabled=false", "nextlat.enabled=true", "nextlat.kl_weight=0"];
    next_latent_distributions: &["nitp.enabled=false", "nextlat.enabled=true", "nextlat.weight=0"];
    next_latent: &["nextlat.enabled=true", "train.gradient_accumulation_steps=2"];
    token_order: &["nitp.enabled=false", "top.enabled=true"];
    token_order_far: &["top.enabled=true", "top.window=64", "top.weight=0.3"];
    everything_at_once: RIVALS;
    accumulation: &["train.gradient_accumulation_steps=3"];
    normed_heads: &["model.qk_norm=true"];
    biases: &["model.qkv_bias=true", "mtp.enabled=true"];
    one_head: &["model.num_attention_heads=1", "model.num_key_value_heads=1"];
}

#[test]
fn moe() {
    check(MOE);
}

#[test]
fn moe_with_everything_at_once() {
    check(&[MOE, RIVALS].concat());
}

#[test]
fn moe_renormalised_without_shared_experts() {
    let more = ["model.moe.norm_topk_prob=true", "model.moe.shared_expert_intermediate_size=0"];
    check(&[MOE, &more].concat());
}

#[test]
fn moe_with_a_gate_of_the_shared_expert() {
    check(&[MOE, &["model.moe.shared_expert_gate=true"]].concat());
}

#[test]
fn moe_everywhere_with_gradient_into_target() {
    let more = [
        "model.moe.first_k_dense_replace=0",
        "model.moe.num_experts_per_tok=5",
        "nitp.stop_gradient=false",
    ];
    check(&[MOE, &more].concat());
}
