//! Activation recomputation: bitwise equal results on every executor, with less memory.

use nitp_core::config::{Config, flops_per_token, load, preset};
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::{Executor, Source, Ticket, take_now};
use nitp_core::model::{Memory, parameters, train_plan};
use nitp_core::plan::{Layout, Limits, Plan, Space};
use nitp_core::tensor::{DType, Role};
use nitp_tests::model_case::{
    MOE, RandomBatches, Steps, config, fast_executor, gpu_executor, initial_weights, layout,
};

const RECOMPUTE: &str = "train.recompute_activations=true";

/// Metrics, expert loads, gradients and weights after each of two steps, by name. Freed memory is
/// NaN.
fn two_steps<E: Executor>(
    mut executor: E,
    config: &Config,
    take: impl Fn(&mut E, Ticket) -> Vec<f64>,
) -> Vec<(String, Vec<f64>)> {
    executor.poison_freed(true);
    let source = Box::new(RandomBatches::new(config));
    let mut steps = Steps::new(executor, config, &initial_weights(config), source);
    let id = steps.plan.id;
    let (plan, _) = steps.executor.plan(id);
    let states = plan.tensors.iter().filter(|info| info.role == Role::State);
    let mut sources: Vec<_> = states
        .map(|info| {
            let view = plan.find(&info.name).expect("a tensor of the plan");
            (info.name.clone(), Source::Tensor { plan: id, view })
        })
        .collect();
    for chunk in 0..steps.executor.parameters().chunks.len() {
        for space in [Space::Gradient, Space::Parameter] {
            sources.push((format!("{space:?} {chunk}"), Source::Store { space, chunk }));
        }
    }
    let (names, reads): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
    let mut found = Vec::new();
    for step in 0..2 {
        let inputs = steps.inputs(step, None);
        let tickets = steps.executor.run(id, &inputs, &reads).expect("a step runs");
        for (name, ticket) in names.iter().zip(tickets) {
            found.push((format!("{name}, step {step}"), take(&mut steps.executor, ticket)));
        }
    }
    found
}

/// Numbers of any executor; f64 holds every f32.
fn take<E: Executor>(executor: &mut E, ticket: Ticket) -> Vec<f64> {
    let data = take_now(executor, ticket).expect("it arrives");
    data.into_iter().map(f64::from).collect()
}

/// Checks that `run` gives the same numbers with and without recomputation.
fn same(what: &str, sets: &[&str], run: impl Fn(&Config) -> Vec<(String, Vec<f64>)>) {
    let kept = run(&config(sets));
    let again = run(&config(&[sets, &[RECOMPUTE]].concat()));
    assert_eq!(kept.len(), again.len());
    for ((name, kept), (_, again)) in kept.iter().zip(&again) {
        assert_eq!(kept.len(), again.len());
        for (i, (kept, again)) in kept.iter().zip(again).enumerate() {
            assert!(kept.is_finite(), "{sets:?}, {what}: {name}[{i}] is {kept}");
            assert!(
                kept.to_bits() == again.to_bits(),
                "{sets:?}, {what}: {name}[{i}] is {kept}, and {again} with recomputation"
            );
        }
    }
}

fn check(sets: &[&str]) {
    same("f64 twin", sets, |config| {
        let twin = CpuExecutor::<f64>::twin(layout(&parameters(config)));
        two_steps(twin, config, |twin, ticket| twin.take_real(ticket).expect("it is there"))
    });
    same("fast CPU", sets, |config| two_steps(fast_executor(config), config, take));
    same("GPU", sets, |config| two_steps(gpu_executor(config), config, take));
}

macro_rules! same_bits {
    ($($name:ident: $sets:expr;)*) => {
        $(#[test]
        fn $name() {
            check($sets);
            check(&[$sets, MOE].concat());
        })*
    };
}

// Each for a dense model and for a mixture whose first block is dense.
same_bits! {
    target_in_the_middle: &["nitp.target_layer=1"];
    target_embedding: &["nitp.target_layer=0"];
    target_last_block: &["nitp.target_layer=3"];
    before_the_norm: &["nitp.source=pre_norm"];
    gradient_into_target: &["nitp.stop_gradient=false"];
    gradient_into_embedding: &["nitp.stop_gradient=false", "nitp.target_layer=0"];
    gradient_into_last_block: &[
        "nitp.stop_gradient=false", "nitp.target_layer=3", "nitp.source=pre_norm",
    ];
    ntp_only_with_accumulation: &[
        "nitp.enabled=false", "train.gradient_accumulation_steps=2",
    ];
    wider_than_a_tile: &[
        "model.hidden_size=72", "model.head_dim=34", "train.context_length=70",
        "train.batch_size=3",
    ];
    rivals: &["mtp.enabled=true", "nextlat.enabled=true", "top.enabled=true"];
    mixed_precision: &["train.precision=mixed"];
    sizes_of_tiny: &[
        "model.hidden_size=128", "model.head_dim=32", "model.intermediate_size=352",
        "model.vocab_size=1024", "train.context_length=128",
    ];
}

#[test]
fn mixture_in_every_block_without_shared_experts() {
    let more = [
        "model.moe.first_k_dense_replace=0",
        "model.moe.shared_expert_intermediate_size=0",
        "model.moe.norm_topk_prob=true",
    ];
    check(&[MOE, &more].concat());
}

fn plan(config: &Config) -> Plan {
    train_plan(config, &layout(&parameters(config))).plan
}

/// This configuration with recomputation.
fn recomputed(config: &Config) -> Config {
    let mut config = config.clone();
    config.train.recompute_activations = true;
    config
}

/// Dense and MoE, 12 blocks.
fn twelve_blocks() -> [Config; 2] {
    let sizes = [
        "model.hidden_size=256",
        "model.num_hidden_layers=12",
        "model.num_attention_heads=4",
        "model.num_key_value_heads=2",
        "model.head_dim=64",
        "train.context_length=512",
        "train.batch_size=4",
    ];
    [("small", &["model.intermediate_size=704"][..]), ("small-moe", &[])].map(|(name, more)| {
        let sets: Vec<_> = sizes.iter().chain(more).map(|set| set.to_string()).collect();
        load(preset(name).expect("a preset"), None, &sets).expect("a valid configuration")
    })
}

/// Bytes of the train plan's arenas, and the least possible.
fn arena(config: &Config) -> (f64, f64) {
    let store = layout(&parameters(config));
    let layout =
        Layout::new(&train_plan(config, &store).plan, &store, Limits::NONE).expect("no limit");
    let bytes = [DType::Real, DType::U32].map(|dtype| layout.bytes(Space::Arena(dtype)) as f64);
    (bytes.iter().sum(), layout.arena_lower_bound as f64)
}

#[test]
fn activations_of_twelve_blocks_shrink_by_60_percent() {
    for config in twelve_blocks() {
        let ((kept, _), (again, least)) = (arena(&config), arena(&recomputed(&config)));
        assert!(again <= 0.4 * kept, "{again} of {kept} bytes are left");
        assert!(again <= 1.15 * least, "{again} bytes, and {least} are alive at once");
        // Including the evaluate plan.
        let all = |config: &Config| Memory::of(config, Limits::NONE).expect("no limit").activations;
        assert!(all(&recomputed(&config)) as f64 <= 0.4 * all(&config) as f64);
    }
}

#[test]
fn what_is_computed_twice_is_what_the_backward_reads() {
    for config in twelve_blocks() {
        let (kept, again) = (plan(&config), plan(&recomputed(&config)));
        let products = |plan: &Plan| -> f64 {
            let counted = ["matmul", "grouped_matmul", "attention"];
            let is_counted = |name: &str| counted.iter().any(|it| name.starts_with(it));
            let nodes = plan.micro.iter().filter(|node| is_counted(node.op.name()));
            nodes.map(|node| node.op.cost().flops).sum()
        };
        let tokens = (config.train.batch_size * config.train.context_length) as f64;
        let counted = flops_per_token(&config);
        let (expected, found) =
            (tokens * counted.recomputation, products(&again) - products(&kept));
        // Gates and rotations fused with products are not counted.
        assert!((1.0..1.03).contains(&(found / expected)), "{found} FLOPs, counted {expected}");
        for name in ["moe_balance", "moe_combine", "embedding", "cross_entropy", "nitp"] {
            let count =
                |plan: &Plan| plan.micro.iter().filter(|node| node.op.name() == name).count();
            assert_eq!(count(&kept), count(&again), "{name}");
        }
    }
}
