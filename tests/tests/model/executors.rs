//! Whole training steps on every executor against the f64 twin, with shapes that no tile divides
//! and freed memory filled with NaN.

use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::Executor;
use nitp_core::model::parameters;
use nitp_core::plan::Space;
use nitp_core::train::{BatchSource, Evaluator, Tensors};
use nitp_tests::model_case::{
    MOE, RIVALS, RandomBatches, StepNumbers, Steps, config, fast_executor, gpu_executor,
    initial_weights, layout,
};

/// Losses, the first step's gradients and the weights after three steps.
fn three_steps<E: Executor>(
    mut executor: E,
    sets: &[&str],
) -> (Vec<StepNumbers>, Tensors, Tensors) {
    let config = config(sets);
    executor.poison_freed(true);
    let source = Box::new(RandomBatches::new(&config));
    let mut steps = Steps::new(executor, &config, &initial_weights(&config), source);
    let mut numbers = vec![steps.step(0, None)];
    let gradients = steps.tensors(Space::Gradient);
    numbers.extend((1..3).map(|step| steps.step(step, None)));
    (numbers, gradients, steps.tensors(Space::Parameter))
}

/// Compares tensors by their errors relative to their norms, or to a hundredth of the largest norm: a gradient that is
/// 0 in exact arithmetic (of the queries of single tokens) consists only of rounding errors.
fn compare(what: &str, exact: &Tensors, found: &Tensors, tolerance: f64) {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let sizes = exact
        .iter()
        .map(|(name, exact)| (name, norm(&mut exact.data.iter().map(|&x| f64::from(x)))));
    let sizes: Vec<_> = sizes.collect();
    let largest = sizes.iter().fold(0.0f64, |m, (_, size)| m.max(*size));
    for (name, size) in sizes {
        let pairs = exact[name].data.iter().zip(&found[name].data);
        let error = norm(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let size = size.max(0.01 * largest);
        assert!(error <= tolerance * size, "{what}: {name} is off by {:e} of {size}", error / size);
    }
}

fn check(sets: &[&str]) {
    let config = config(sets);
    let exact = three_steps(CpuExecutor::<f64>::twin(layout(&parameters(&config))), sets);
    let check = |what: &str, found: (Vec<StepNumbers>, Tensors, Tensors)| {
        let what = format!("{sets:?}, {what}");
        for (step, (exact, found)) in exact.0.iter().zip(&found.0).enumerate() {
            let rivals = exact.rivals.into_iter().zip(found.rivals);
            let rivals = rivals.map(|(exact, found)| ("a rival's loss", exact, found));
            let losses = [
                ("ntp_loss", exact.ntp_loss, found.ntp_loss),
                ("nitp_loss", exact.nitp_loss, found.nitp_loss),
                ("balance_loss", exact.balance_loss, found.balance_loss),
                ("grad_norm", exact.grad_norm, found.grad_norm),
            ];
            for (name, exact, found) in losses.into_iter().chain(rivals) {
                let error = (exact - found).abs();
                assert!(
                    error <= 2e-5 * exact.abs().max(1e-3),
                    "{what}, step {step}: {name} is {found}, the f64 twin has {exact}"
                );
            }
        }
        compare(&format!("{what}, gradient"), &exact.1, &found.1, 2e-5);
        // If a gradient is only rounding errors (queries and keys of single tokens), AdamW divides these by their own
        // size, and such weights move at random.
        let has_gradient = |name: &String| exact.1[name].data.iter().any(|g| g.abs() > 1e-9);
        let moved = exact.2.iter().filter(|(name, _)| has_gradient(name));
        let moved = moved.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        compare(&format!("{what}, weights"), &moved, &found.2, 2e-4);
    };
    check("fast CPU", three_steps(fast_executor(&config), sets));
    check("GPU", three_steps(gpu_executor(&config), sets));
}

#[test]
fn dense() {
    check(&[]);
}

#[test]
fn dense_tied_with_accumulation() {
    check(&["model.tie_word_embeddings=true", "train.gradient_accumulation_steps=2"]);
}

#[test]
fn dense_wider_than_a_tile() {
    check(&[
        "model.hidden_size=72",
        "model.head_dim=34",
        "model.vocab_size=1031",
        "train.context_length=70",
        "train.batch_size=3",
    ]);
}

#[test]
fn single_tokens() {
    check(&["train.context_length=1", "train.batch_size=1", "nitp.enabled=false"]);
}

#[test]
fn every_nitp_setting_that_changes_the_plan() {
    check(&["nitp.loss=kl", "nitp.stop_gradient=false"]);
    check(&["nitp.loss=mse", "nitp.source=pre_norm"]);
    check(&["nitp.loss=smooth_l1", "nitp.shift=current", "nitp.projector=none"]);
    check(&["nitp.regularizer=token_cosine"]);
    // Prediction and target are the same tensor.
    check(&["nitp.projector=none", "nitp.source=pre_norm", "nitp.target_layer=3"]);
}

/// The held-out losses of a batch equal those of a training step on it, even if some labels don't count.
#[test]
fn held_out_losses_are_those_of_a_step() {
    for sets in [RIVALS.to_vec(), [RIVALS, MOE].concat()] {
        let config = config(&sets);
        let weights = initial_weights(&config);
        let source = || Box::new(RandomBatches::new(&config));
        let mut steps = Steps::new(fast_executor(&config), &config, &weights, source());
        // With a learning rate of 0 the weights are unchanged.
        let step = steps.step(0, Some(0.0));
        let evaluator = Evaluator::new(&mut steps.executor, &config).expect("it fits");
        let batch = source().train(0, 0);
        let sums = evaluator.evaluate_now(&mut steps.executor, [batch].into_iter());
        let event = sums.expect("it runs").event(&config, 0, 0);
        let rivals = event.rivals;
        let held_out = [rivals.mtp_loss, rivals.nextlat_loss, rivals.nextlat_kl, rivals.top_loss];
        let pairs = [(event.val_loss, step.ntp_loss), (event.nitp_loss, step.nitp_loss)]
            .into_iter()
            .chain(held_out.map(|it| it.expect("it is on")).into_iter().zip(step.rivals));
        for (found, expected) in pairs {
            assert!(expected > 0.0 && (found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
    }
}

#[test]
fn rivals() {
    check(RIVALS);
    check(&[RIVALS, MOE].concat());
    check(&["nitp.enabled=false", "mtp.enabled=true", "mtp.head=parallel"]);
}

#[test]
fn moe() {
    check(MOE);
}

#[test]
fn moe_with_experts_that_get_no_token() {
    let more = [
        "model.moe.num_experts=37",
        "model.moe.num_experts_per_tok=1",
        "train.batch_size=1",
        "train.context_length=9",
    ];
    check(&[MOE, &more].concat());
}

#[test]
fn moe_renormalised_all_experts() {
    let more = ["model.moe.num_experts_per_tok=5", "model.moe.norm_topk_prob=true"];
    check(&[MOE, &more].concat());
}

/// The number of threads does not change the order of sums.
#[test]
fn the_same_bits_with_any_number_of_threads() {
    let sizes = [
        "model.hidden_size=72",
        "model.vocab_size=1031",
        "model.intermediate_size=190",
        "train.context_length=70",
        "train.batch_size=3",
    ];
    // Enough rows per expert that one thread divides them into fewer tasks than several threads do.
    let experts =
        ["model.moe.moe_intermediate_size=100", "model.moe.num_experts=3", "train.batch_size=12"];
    for sets in [sizes.to_vec(), [MOE, &sizes, &experts].concat()] {
        let steps = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| three_steps(fast_executor(&config(&sets)), &sets))
        };
        let (numbers, gradients, weights) = steps(1);
        for threads in [2, 3, 7] {
            let found = steps(threads);
            assert_eq!(numbers, found.0, "{threads} threads");
            for (one, many) in [(&gradients, &found.1), (&weights, &found.2)] {
                for (name, tensor) in one {
                    assert!(tensor.data == many[name].data, "{name} with {threads} threads");
                }
            }
        }
    }
}
