//! The whole hand-written backward in f64 against central differences of the loss.

use nitp_core::config::Config;
use nitp_core::cpu::CpuExecutor;
use nitp_core::model::parameters;
use nitp_core::plan::Space;
use nitp_tests::model_case::{MOE, RandomBatches, Steps, config, initial_weights, layout};

/// Elements of each parameter that are checked.
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
    if config.nitp.enabled && config.nitp.stop_gradient && config.nitp.has_target() {
        // The op's second use is the target.
        steps.executor.hold_operand("nitp", 1);
    }
    // A step with learning rate 0 leaves the parameters as they are.
    steps.exact_step(0, Some(0.0));
    let gradients: Vec<Vec<f64>> = (0..layout.chunks.len())
        .map(|chunk| steps.executor.store_mut(Space::Gradient, chunk).to_vec())
        .collect();
    for parameter in &parameters {
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

/// Experts that no token was sent to have no gradient; nothing else is without.
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
    accumulation: &["train.gradient_accumulation_steps=3"];
    one_head: &["model.num_attention_heads=1", "model.num_key_value_heads=1"];
}

#[test]
fn moe() {
    check(MOE);
}

#[test]
fn moe_renormalised_without_shared_experts() {
    let more = ["model.moe.norm_topk_prob=true", "model.moe.shared_expert_intermediate_size=0"];
    check(&[MOE, &more].concat());
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
