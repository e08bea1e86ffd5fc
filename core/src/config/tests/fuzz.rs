//! Random settings: each gives an error about a field, or a configuration that can be planned.

use proptest::prelude::*;
use proptest::sample::select;
use toml::{Table, Value};

use super::*;
use crate::model::{Memory, parameters};
use crate::plan::Limits;

/// Every key, except sections, with its default.
fn keys() -> Vec<(String, Value)> {
    fn collect(prefix: &str, table: &Table, keys: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            match value {
                Value::Table(inner) => collect(&format!("{prefix}{name}."), inner, keys),
                value => keys.push((format!("{prefix}{name}"), value.clone())),
            }
        }
    }
    let mut config = Config::default();
    config.model.moe = Some(MoeConfig::default());
    let mut all = Vec::new();
    collect("", &Table::try_from(config).expect("a table"), &mut all);
    all
}

/// A value of the kind of `default`, as text: often the default, or near an edge.
fn value(default: Value) -> BoxedStrategy<String> {
    match default {
        Value::Integer(default) => prop_oneof![
            4 => (0..=2 * default.max(2)).boxed(),
            2 => (0..300i64).boxed(),
            2 => (0..63u32, 0..3i64).prop_map(|(bits, more)| ((1i64 << bits) - 1).saturating_add(more)),
            1 => select(vec![-1, 0, 999, 1000, 1001, 100_000, 1 << 24, (1 << 31) - 1, i64::MAX]),
        ]
        .prop_map(|it| it.to_string())
        .boxed(),
        Value::Float(default) => {
            const EDGES: &[&str] = &["0", "-1", "nan", "inf", "1e-320", "1e308", "1", "0.5"];
            prop_oneof![3 => Just(default.to_string()), 1 => select(EDGES).prop_map(str::to_owned)]
                .boxed()
        }
        Value::Boolean(_) => any::<bool>().prop_map(|it| it.to_string()).boxed(),
        _ => {
            const NAMES: &[&str] = &[
                "f32", "mixed", "wsd", "wsd_exp", "cosine", "constant", "next", "current", "mse",
                "smooth_l1", "kl", "none", "token_cosine", "swiglu", "post_norm", "pre_norm", "byte",
                "sequential", "parallel",
            ];
            select(NAMES).prop_map(str::to_owned).boxed()
        }
    }
}

fn settings() -> impl Strategy<Value = Vec<String>> {
    let one = select(keys()).prop_flat_map(|(key, default)| {
        value(default).prop_map(move |value| format!("{key}={value}"))
    });
    proptest::collection::vec(one, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_settings_are_refused_by_name_or_can_be_planned(sets in settings()) {
        let config = match load(Config::default(), None, &sets) {
            Ok(config) => config,
            Err(error) => {
                let (ConfigError::Invalid { field: key, .. } | ConfigError::Value { key, .. }) = &error
                else {
                    panic!("{error:?}");
                };
                prop_assert!(keys().iter().any(|(known, _)| known == key), "{error}");
                prop_assert!(error.to_string().len() < 1000, "{error}");
                return Ok(());
            }
        };
        let counts = parameter_counts(&config);
        let listed: u64 = parameters(&config).iter().map(|it| it.len() as u64).sum();
        prop_assert_eq!(counts.total + counts.heads(), listed);
        let flops = flops_per_token(&config);
        prop_assert!(flops.ntp > 0.0);
        let memory = Memory::of(&config, Limits::NONE).expect("no limits");
        prop_assert!(memory.weights >= 4 * listed);
        prop_assert!(memory.total() > memory.weights && memory.activations >= memory.activations_least);
        // The limits that WebGPU guarantees, in elements.
        let small = Limits { buffer: 1 << 26, binding: 1 << 25 };
        if let Ok(small) = Memory::of(&config, small) {
            prop_assert!(small.weights >= 4 * listed);
        }
        prop_assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config);
    }
}

/// The largest allowed numbers of blocks and experts make lists and plans of tens of thousands of entries. The memory
/// of such a training run is computed in a second or two.
#[test]
fn the_most_that_is_allowed_can_be_planned() {
    for sets in [
        &["model.num_hidden_layers=1000", "train.recompute_activations=true"][..],
        &["model.num_hidden_layers=1000", "model.moe.num_experts=100", "train.precision=mixed"],
        &[
            "model.num_hidden_layers=2",
            "model.moe.num_experts=100000",
            "model.moe.moe_intermediate_size=1",
        ],
    ] {
        let config = with(sets).unwrap();
        let list = parameters(&config);
        assert!(list.iter().map(|it| it.parts.len()).sum::<usize>() < 350_000);
        let store = crate::model::parameter_layout(&config, Limits::NONE).unwrap();
        assert!(crate::model::train_plan(&config, &store).plan.tensors.len() < 100_000);
        assert!(Memory::of(&config, Limits::NONE).unwrap().total() > 0);
    }
}
