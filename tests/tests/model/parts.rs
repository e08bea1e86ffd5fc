//! Activations that exceed the largest binding are divided by rows, without a change of results.

use nitp_core::config::{Config, load, preset};
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::Executor;
use nitp_core::gpu::GpuExecutor;
use nitp_core::model::{Memory, Planned, evaluate_plan, parameter_layout, train_plan};
use nitp_core::plan::{Layout, LayoutError, Limits, ParameterLayout, Space};
use nitp_tests::model_case::{
    MOE, RIVALS, RandomBatches, StepNumbers, Steps, config, gpu_executor, initial_weights,
};

/// So few elements that blocks of the test models need several parts, and their parameters still fit.
const SMALL: Limits = Limits { buffer: 1 << 20, binding: 21_000 };

/// Parts of attention begin at every fourth text of 32 tokens: views begin at multiples of 128 rows.
const BATCH: &[&str] = &["train.batch_size=16", "train.context_length=32"];

fn with(sets: &[&str]) -> Config {
    config(&[BATCH, sets].concat())
}

fn layout(config: &Config, limits: Limits) -> ParameterLayout {
    parameter_layout(config, limits).expect("the parameters fit")
}

/// Whether every tensor fits a binding.
fn fits<T>(planned: &Planned<T>, limits: Limits) -> bool {
    let mut tensors = planned.plan.tensors.iter();
    tensors.all(|it| it.len() * it.dtype.bytes() <= 4 * limits.binding)
}

/// Whether attention and the feed-forward network of a block have more than one part.
fn has_parts<T>(planned: &Planned<T>) -> bool {
    let has = |name: &str| planned.plan.tensors.iter().any(|it| it.name.ends_with(name));
    has("attention.qkv#2") && has("ffn.gate_up#2")
}

/// A step's numbers, then all gradients and weights.
fn step<E: Executor>(
    mut executor: E,
    config: &Config,
    run: impl Fn(&mut Steps<E>) -> StepNumbers,
) -> (StepNumbers, Vec<Vec<f32>>) {
    executor.poison_freed(true);
    let source = Box::new(RandomBatches::new(config));
    let mut steps = Steps::new(executor, config, &initial_weights(config), source);
    let numbers = run(&mut steps);
    let spaces = [Space::Gradient, Space::Parameter];
    let tensors = spaces.into_iter().flat_map(|space| steps.tensors(space));
    (numbers, tensors.map(|(_, tensor)| tensor.data).collect())
}

fn numbers(it: &StepNumbers) -> Vec<f64> {
    let StepNumbers { loss, ntp_loss, nitp_loss, balance_loss, rivals, grad_norm } = it;
    [&[*loss, *ntp_loss, *nitp_loss, *balance_loss, *grad_norm][..], rivals].concat()
}

/// Compares a step whose activations are divided with one of whole activations, both in f64.
fn check(sets: &[&str]) {
    let config = with(sets);
    let plan = |limits| train_plan(&config, &layout(&config, limits));
    let (whole, parts) = (plan(Limits::NONE), plan(SMALL));
    assert!(!fits(&whole, SMALL) && !has_parts(&whole));
    assert!(fits(&parts, SMALL) && has_parts(&parts));
    let run = |limits| {
        let executor = CpuExecutor::<f64>::twin(layout(&config, limits));
        step(executor, &config, |steps| steps.exact_step(0, None))
    };
    let ((expected, whole), (found, parts)) = (run(Limits::NONE), run(SMALL));
    for (x, y) in numbers(&expected).into_iter().zip(numbers(&found)) {
        assert!((x - y).abs() <= 1e-12 * x.abs().max(1.0), "{expected:?}\n{found:?}");
    }
    for (whole, parts) in whole.iter().zip(&parts) {
        let largest = whole.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (x, y) in whole.iter().zip(parts) {
            assert!((x - y).abs() <= 1e-6 * largest, "{x} {y}");
        }
    }
}

#[test]
fn a_dense_model_is_the_same_in_parts() {
    check(&[]);
}

#[test]
fn so_is_one_with_every_option_of_attention() {
    check(&["model.qkv_bias=true", "model.qk_norm=true", "train.document_mask=true"]);
}

#[test]
fn so_is_a_mixture_whose_balance_is_that_of_all_tokens() {
    check(MOE);
    let sparse = ["model.moe.first_k_dense_replace=0", "train.recompute_activations=true"];
    check(&[MOE, &sparse].concat());
}

#[test]
fn so_are_other_objectives_and_mixed_precision() {
    check(&[RIVALS, &["nitp.loss=kl"]].concat());
    // Twice as many halves fit, so layers are wider.
    let wider = ["model.head_dim=12", "model.intermediate_size=48", "train.precision=mixed"];
    check(&wider);
    check(&[MOE, &["model.moe.moe_intermediate_size=24"], &wider].concat());
}

#[test]
fn a_gpu_trains_in_parts() {
    for sets in [&[][..], MOE] {
        let config = with(sets);
        let mut gpu = nitp_tests::gpu();
        gpu.summary.limits = SMALL;
        let divided = GpuExecutor::new(gpu, layout(&config, SMALL)).expect("a device");
        let (expected, whole) = step(gpu_executor(&config), &config, |steps| steps.step(0, None));
        let (found, parts) = step(divided, &config, |steps| steps.step(0, None));
        for (x, y) in numbers(&expected).into_iter().zip(numbers(&found)) {
            assert!((x - y).abs() <= 1e-5 * x.abs().max(1.0), "{expected:?}\n{found:?}");
        }
        for (whole, parts) in whole.iter().zip(&parts) {
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
            let error = norm(&mut whole.iter().zip(parts).map(|(x, y)| x - y));
            assert!(error <= 1e-4 * norm(&mut whole.iter().copied()) + 1e-7, "{error}");
        }
    }
}

/// The limits of an H200's driver: buffers of 4 GiB less 4 bytes, bindings of 2 GiB.
const LARGE_GPU: Limits = Limits { buffer: (1 << 30) - 1, binding: 1 << 29 };

#[test]
fn the_papers_mixtures_fit_a_large_gpu_in_their_own_batches() {
    for name in ["1.9b-a0.3b", "3b-a0.5b"] {
        let sets = ["train.recompute_activations=true".to_owned()];
        let config = load(preset(name).expect("a preset"), None, &sets).expect("it is valid");
        let store = parameter_layout(&config, LARGE_GPU).expect("each parameter fits");
        assert!(store.chunks.len() > 1, "the weights are in several buffers");
        assert!(store.chunks.iter().all(|&len| len <= LARGE_GPU.binding));
        let mut whole = store.clone();
        whole.limits = Limits::NONE;
        let undivided = Layout::new(&train_plan(&config, &whole).plan, &store, LARGE_GPU);
        let LayoutError::TensorTooLarge { name, .. } = undivided.expect_err("one is too large");
        assert_eq!(name, "layers.0.ffn.gate_up");
        let memory = Memory::of(&config, LARGE_GPU).expect("every part fits");
        assert!(memory.total() < 139 << 30, "{} bytes", memory.total());
    }
}

#[test]
fn an_evaluation_is_divided_too() {
    let config = with(MOE);
    let plan = evaluate_plan(&config, SMALL);
    assert!(fits(&plan, SMALL) && has_parts(&plan));
}
