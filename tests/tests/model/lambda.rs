//! NITP with a weight of 0 is next-token prediction alone, bit for bit: its head touches nothing else.

use nitp_core::config::Config;
use nitp_core::executor::Executor;
use nitp_core::plan::Space;
use nitp_core::train::Tensors;
use nitp_tests::model_case::{
    MOE, RandomBatches, Steps, config, fast_executor, gpu_executor, initial_weights,
};

const STEPS: usize = 4;

/// Losses and norms of some steps, and the model's weights after them, without NITP's head.
fn trained<E: Executor>(
    executor: E,
    config: &Config,
    weights: &Tensors,
) -> (Vec<[u64; 2]>, Tensors) {
    let mut steps = Steps::new(executor, config, weights, Box::new(RandomBatches::new(config)));
    let numbers = (0..STEPS).map(|step| {
        let numbers = steps.step(step, None);
        [numbers.ntp_loss.to_bits(), numbers.grad_norm.to_bits()]
    });
    let numbers = numbers.collect();
    let mut weights = steps.tensors(Space::Parameter);
    weights.retain(|name, _| !name.starts_with("nitp."));
    (numbers, weights)
}

fn same_bits<E: Executor>(executor: impl Fn(&Config) -> E, sets: &[&str]) {
    let with = |set: &str| config(&[sets, &[set]].concat());
    let (ntp, lambda0) = (with("nitp.enabled=false"), with("nitp.weight=0"));
    // The model's weights are drawn by name: both have the same.
    let [expected, found] =
        [&ntp, &lambda0].map(|config| trained(executor(config), config, &initial_weights(config)));
    assert_eq!(expected.0, found.0, "{sets:?}");
    assert!(expected.1.len() > 4 && expected.1.keys().eq(found.1.keys()));
    for (name, tensor) in &expected.1 {
        assert!(
            tensor
                .data
                .iter()
                .map(|x| x.to_bits())
                .eq(found.1[name].data.iter().map(|x| x.to_bits())),
            "{sets:?}: {name}"
        );
    }
    // The weight does something where it is not 0.
    let nitp = with("nitp.weight=1");
    let (numbers, _) = trained(executor(&nitp), &nitp, &initial_weights(&nitp));
    assert_ne!(expected.0, numbers, "{sets:?}");
}

#[test]
fn on_the_cpu() {
    for sets in [&[][..], MOE, &["nitp.source=pre_norm"], &["nitp.regularizer=token_cosine"]] {
        same_bits(fast_executor, sets);
    }
}

#[test]
fn on_a_gpu() {
    for sets in [&[][..], MOE] {
        same_bits(gpu_executor, sets);
    }
}
