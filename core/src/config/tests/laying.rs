//! Partial configurations over a base, and errors about those that don't fit.

use super::*;

#[test]
fn a_file_lies_over_the_base_and_sets_over_the_file() {
    let text = "[train]\nsteps = 500\nlearning_rate = 1\n[nitp]\nloss = \"kl\"\n";
    let base = preset("nano").unwrap();
    let config = load(
        base.clone(),
        Some(("run.toml", text)),
        &sets(&["train.steps=600", "nitp.loss=smooth_l1", "nitp.shift=\"current\""]),
    )
    .unwrap();
    assert_eq!(config.train.steps, 600);
    assert_eq!(config.train.learning_rate, 1.0, "a whole number is a number");
    assert_eq!(config.nitp.loss, NitpLoss::SmoothL1);
    assert_eq!(config.nitp.shift, Shift::Current);
    assert_eq!(config.model, base.model);
    assert_eq!(config.data, base.data);
}

#[test]
fn an_empty_text_is_the_tiny_preset() {
    assert_eq!(Config::from_toml("").unwrap(), preset("tiny").unwrap());
    assert_eq!(Config::from_toml("[model.moe]").unwrap(), preset("tiny-moe").unwrap());
}

#[test]
fn a_set_is_toml_or_a_bare_string() {
    let config = with(&[
        " train.learning_rate = 3e-4 ",
        "model.tie_word_embeddings=true",
        "model.vocab_size=0x1_00",
        "data.tokenizer=byte",
        "data.paths=[\"a.txt\", \"b\"]",
    ])
    .unwrap();
    assert_eq!(config.train.learning_rate, 3e-4);
    assert!(config.model.tie_word_embeddings);
    assert_eq!(config.model.vocab_size, 256);
    assert_eq!(config.data.tokenizer, "byte");
    assert_eq!(config.data.paths, ["a.txt", "b"]);
    assert_eq!(with(&["data.paths=one.txt"]).unwrap().data.paths, ["one.txt"]);
    assert_eq!(with(&["data.tokenizer=2024"]).unwrap().data.tokenizer, "2024");
    assert_eq!(with(&["data.tokenizer=a=b"]).unwrap().data.tokenizer, "a=b");
}

#[test]
fn sets_make_a_mixture_and_unmake_it() {
    let moe = with(&["model.moe.num_experts=6"]).unwrap().model.moe.unwrap();
    assert_eq!(moe, MoeConfig { num_experts: 6, ..MoeConfig::default() });
    let inline = with(&["model.moe={num_experts=6}"]).unwrap().model.moe.unwrap();
    assert_eq!(moe, inline);
    for none in ["model.moe=none", "model.moe=false", "model.moe=\"none\""] {
        let dense = load(preset("tiny-moe").unwrap(), None, &sets(&[none])).unwrap();
        assert_eq!(dense, preset("tiny").unwrap());
    }
    let text = "[model]\nmoe = false\n";
    let dense = load(preset("tiny-moe").unwrap(), Some(("a.toml", text)), &[]).unwrap();
    assert_eq!(dense.model.moe, None);
    says(
        with(&["model.moe=true"]),
        &["`model.moe` cannot be true", "or false for a model without it"],
    );
}

#[test]
fn unknown_keys_name_their_line_and_the_nearest() {
    let text = "[train]\nsteps = 5\n\n[model]\nhidden_size = 64\nnum_layers = 3\n";
    says(
        load(Config::default(), Some(("run.toml", text)), &[]),
        &["`model.num_layers`", "run.toml, line 6", "did you mean `model.num_hidden_layers`?"],
    );
    says(with(&["nitp.lamda=1"]), &["--set nitp.lamda=1", "[nitp] has the keys enabled, loss,"]);
    says(with(&["train.learning_rat=1"]), &["did you mean `train.learning_rate`?"]);
    says(with(&["modle.vocab_size=1"]), &["did you mean `model`?"]);
    says(with(&["steps=1"]), &["did you mean `train.steps`?"]);
    says(with(&["moe.num_experts=4"]), &["did you mean `model.moe`?"]);
    says(with(&["model.num_experts=4"]), &["did you mean `model.moe.num_experts`?"]);
    says(with(&["zzz.q=4"]), &["the sections are data, model, mtp, nextlat, nitp, top, train"]);
    says(with(&["model.moe.zzz=4"]), &["[model.moe] has the keys first_k_dense_replace,"]);
}

#[test]
fn values_of_the_wrong_kind_name_their_key() {
    let text = "[train]\nsteps = \"many\"\n";
    says(
        load(Config::default(), Some(("run.toml", text)), &[]),
        &["`train.steps` cannot be \"many\"", "run.toml, line 2", "a whole number"],
    );
    says(with(&["train.steps=1.5"]), &["`train.steps` cannot be 1.5", "a whole number"]);
    says(with(&["train.steps=-3"]), &["cannot be -3", "at least 0"]);
    says(with(&["train.beta1=x"]), &["`train.beta1` cannot be \"x\"", "expected a number"]);
    says(with(&["nitp.enabled=1"]), &["`nitp.enabled` cannot be 1", "true or false"]);
    says(with(&["nitp.loss=l2"]), &["`nitp.loss`", "\"l2\"", "cosine", "mse", "smooth_l1", "kl"]);
    says(with(&["nitp.loss=3"]), &["`nitp.loss` cannot be 3", "a string in quotes"]);
    says(with(&["data.paths=[1]"]), &["`data.paths` cannot be [1]", "a list of strings"]);
    says(with(&["train=5"]), &["`train` cannot be 5", "it is a section"]);
    says(with(&["train.steps.x=5"]), &["`train.steps` cannot be { x = 5 }"]);
    let table = "[train.steps]\nx = 1\n";
    says(load(Config::default(), Some(("a.toml", table)), &[]), &["`train.steps`", "line 1"]);
}

#[test]
fn broken_forms_are_told_apart() {
    for form in ["train.steps", "train.steps=", "=5", "train..steps=5"] {
        assert_eq!(with(&[form]), Err(ConfigError::SetForm { text: form.to_owned() }));
    }
    says(
        load(Config::default(), Some(("run.toml", "[train\nsteps = 5")), &[]),
        &["run.toml is not valid TOML", "line 1"],
    );
}

#[test]
fn a_base_beyond_toml_is_refused() {
    let mut base = Config::default();
    base.train.seed = u64::MAX;
    assert!(matches!(load(base, None, &[]), Err(ConfigError::Syntax { .. })));
}
