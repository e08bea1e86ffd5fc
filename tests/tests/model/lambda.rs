//! With a weight of 0, an objective gives bitwise the results of next-token prediction alone: its head affects nothing
//! else.

use nitp_core::config::Config;
use nitp_core::executor::Executor;
use nitp_core::model::is_of_training_head;
use nitp_core::plan::Space;
use nitp_core::train::Tensors;
use nitp_tests::model_case::{
    MOE, RandomBatches, Steps, config, fast_executor, gpu_executor, initial_weights,
};

const STEPS: usize = 4;

/// Losses and norms of some steps, and the model's weights after them, without heads that only training uses.
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
    weights.retain(|name, _| !is_of_training_head(name));
    (numbers, weights)
}

/// Like [`same_bits_of`], for NITP with `sets`.
fn same_bits<E: Executor>(executor: impl Fn(&Config) -> E, sets: &[&str]) {
    same_bits_of(executor, sets, &["nitp"], &["nitp.weight"]);
}

/// Compares next-token prediction with objectives whose weights are 0, and checks that weights of 1 have an effect.
fn same_bits_of<E: Executor>(
    executor: impl Fn(&Config) -> E,
    sets: &[&str],
    objectives: &[&str],
    weights: &[&str],
) {
    let with = |weight: usize| {
        let on = objectives.iter().map(|name| format!("{name}.enabled=true"));
        let weights = weights.iter().map(|key| format!("{key}={weight}"));
        let mut all: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        all.push("nitp.enabled=false".to_owned());
        all.extend(on.chain(weights));
        config(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let ntp = config(&[sets, &["nitp.enabled=false"]].concat());
    let lambda0 = with(0);
    // Initial weights are drawn by name, so both models have the same.
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
    // A weight other than 0 has an effect.
    let other = with(1);
    let (numbers, _) = trained(executor(&other), &other, &initial_weights(&other));
    assert_ne!(expected.0, numbers, "{sets:?}");
}

#[test]
fn on_the_cpu() {
    for sets in [&[][..], MOE, &["nitp.source=pre_norm"], &["nitp.regularizer=token_cosine"]] {
        same_bits(fast_executor, sets);
    }
}

/// Each rival, and the keys of its weights.
const RIVALS: [(&str, &[&str]); 3] = [
    ("mtp", &["mtp.weight"]),
    ("nextlat", &["nextlat.weight", "nextlat.kl_weight"]),
    ("top", &["top.weight"]),
];

#[test]
fn rivals_on_the_cpu() {
    for (rival, weights) in RIVALS {
        for sets in [&[][..], MOE] {
            same_bits_of(fast_executor, sets, &[rival], weights);
        }
    }
}

#[test]
fn on_a_gpu() {
    for sets in [&[][..], MOE] {
        same_bits(gpu_executor, sets);
    }
}

#[test]
fn all_rivals_on_a_gpu() {
    let weights: Vec<&str> = RIVALS.iter().flat_map(|(_, weights)| *weights).copied().collect();
    same_bits_of(gpu_executor, &[], &RIVALS.map(|(rival, _)| rival), &weights);
}
