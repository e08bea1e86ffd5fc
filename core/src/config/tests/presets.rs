//! Presets against their names and the paper's table.

use super::*;

fn all() -> impl Iterator<Item = (&'static str, Config)> {
    preset_names().iter().map(|(name, _)| (*name, preset(name).unwrap()))
}

#[test]
fn every_preset_is_valid_and_comes_back_from_its_toml() {
    for (name, config) in all() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        assert_eq!(Config::from_toml(&config.to_toml()).as_ref(), Ok(&config), "{name}");
    }
    assert_eq!(all().count(), 13);
}

#[test]
fn toml_is_complete_and_ordered() {
    let check = |config: &Config, expected: &[&str], keys: usize| {
        let text = config.to_toml();
        let headers: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
        assert_eq!(headers, expected);
        assert_eq!(text.lines().filter(|line| line.contains(" = ")).count(), keys);
        assert_eq!(Config::from_toml(&text).as_ref(), Ok(config));
    };
    let mut config = preset("tiny-moe").unwrap();
    // Eleven of the model, seven of its mixture, ten of NITP, twenty-two of the recipe, four of the data.
    let known_to_pages = 11 + 7 + 10 + 22 + 4;
    check(&config, &["[model]", "[model.moe]", "[nitp]", "[train]", "[data]"], known_to_pages);
    // Keys that the page lacks: three of each rival, three of features of imported models, five of scaling.
    (config.mtp.enabled, config.nextlat.enabled, config.top.enabled) = (true, true, true);
    (config.model.qkv_bias, config.model.qk_norm) = (true, true);
    config.model.moe.as_mut().unwrap().shared_expert_gate = true;
    config.model.rope_scaling = Some(RopeScaling::default());
    let model = ["[model]", "[model.rope_scaling]", "[model.moe]"];
    let objectives = ["[nitp]", "[mtp]", "[nextlat]", "[top]"];
    let headers = [&model[..], &objectives, &["[train]", "[data]"]].concat();
    check(&config, &headers, known_to_pages + 3 * 3 + 3 + 5);
    assert!(!preset("tiny").unwrap().to_toml().contains("moe"));
}

#[test]
fn an_unknown_preset_suggests_one() {
    let near = preset("tiny_moe").unwrap_err().to_string();
    assert!(near.contains("did you mean `tiny-moe`?"), "{near}");
    let far = preset("gpt2").unwrap_err().to_string();
    assert!(far.contains("nano, mini, tiny, tiny-moe") && far.contains("45b-a5.5b"), "{far}");
}

/// Parameters by name in billions, the total and the active. The dense names fit only if the vocabulary's two matrices
/// count once, so their unembedding is not counted.
#[test]
fn parameters_fit_the_names() {
    let names = [
        ("1.9b-a0.3b", 1.9, 0.3),
        ("3b-a0.5b", 3.0, 0.5),
        ("9b-a1b", 9.0, 1.0),
        ("45b-a5.5b", 45.0, 5.5),
        ("0.5b", 0.5, 0.5),
        ("2b", 2.0, 2.0),
        ("3b", 3.0, 3.0),
    ];
    for (name, total, active) in names {
        let config = preset(name).unwrap();
        let counts = parameter_counts(&config);
        let twice = if config.model.moe.is_none() { counts.lm_head } else { 0 };
        for (count, named) in [(counts.total - twice, total), (counts.active - twice, active)] {
            let share = count as f64 / 1e9 / named;
            assert!((0.92..=1.08).contains(&share), "{name}: {count} is {share} of {named} B");
        }
    }
    let count = |name| parameter_counts(&preset(name).unwrap());
    let nano = count("nano");
    assert!(nano.total + nano.projector < 100_000, "{nano:?}");
    assert!((0.9e6..1.1e6).contains(&(count("tiny").total as f64)));
    assert!((28e6..32e6).contains(&(count("small").total as f64)));
    assert!((28e6..32e6).contains(&(count("small-moe").total as f64)));
}

#[test]
fn targets_lie_at_about_a_fifth_of_the_depth() {
    for (name, config) in all() {
        let (target, depth) = (config.nitp.target_layer, config.model.num_hidden_layers);
        assert!(target >= 1, "{name}");
        // Nano has two blocks, so the first is the nearest to 20 %.
        let share = target as f64 / depth as f64;
        assert!((0.17..=0.25).contains(&share) || depth == 2, "{name}: {share}");
    }
}

#[test]
fn the_papers_runs_read_the_papers_tokens() {
    for (name, tokens, rows) in [
        ("1.9b-a0.3b", 105e9, 256),
        ("9b-a1b", 330e9, 1024),
        ("45b-a5.5b", 240e9, 768),
        ("0.5b", 200e9, 512),
    ] {
        let train = preset(name).unwrap().train;
        assert_eq!(train.batch_size * train.gradient_accumulation_steps, rows, "{name}");
        let read = (train.steps * train.tokens_per_step()) as f64;
        assert!((read / tokens - 1.0).abs() < 1e-4, "{name}: {read}");
    }
}
