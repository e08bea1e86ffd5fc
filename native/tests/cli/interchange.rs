//! Export to and import from Hugging Face's format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::harness::{Place, fail, succeed, truncate};

const CPU: [&str; 2] = ["--device", "cpu"];

/// A trained run and its export.
fn exported(more: &[&str], options: &[&str]) -> Place {
    let place = Place::new();
    succeed(place.train("run", &[&["--steps", "4"], &CPU[..], more].concat()));
    succeed(place.nitp(&[&["export", "run", "--out", "hub"], options].concat()));
    place
}

/// Every file of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

fn contains(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

const MIXTURE: [&str; 4] = [
    "--set=model.moe.num_experts=4",
    "--set=model.moe.moe_intermediate_size=24",
    "--set=model.moe.shared_expert_intermediate_size=16",
    "--set=model.moe.first_k_dense_replace=1",
];

fn goes_around(more: &[&str], options: &[&str], class: &str) {
    let place = exported(more, options);
    let first = files(&place.path("hub"));
    assert!(String::from_utf8_lossy(&first["config.json"]).contains(class));
    assert!(String::from_utf8_lossy(&first["README.md"]).contains("held-out"));
    assert!(first.keys().all(|name| !name.starts_with('.')));
    // Through a run, and directly from the folder.
    succeed(place.nitp(&["import", "hub", "--out", "imported"]));
    succeed(place.nitp(&[&["export", "imported", "--out", "again"], options].concat()));
    succeed(place.nitp(&[&["export", "hub", "--out", "straight"], options].concat()));
    for folder in ["again", "straight"] {
        assert!(files(&place.path(folder)) == first, "{folder} differs");
    }
    // The same text, from each of them.
    let generate = |model: &str| {
        let words =
            ["generate", model, "--prompt", "Line ", "--max-tokens", "12", "--temperature", "0"];
        succeed(place.nitp(&[&words[..], &CPU].concat())).0
    };
    let text = generate("imported");
    assert_eq!(generate("hub"), text);
    if !options.contains(&"bf16") {
        assert_eq!(generate("run"), text);
    }
}

#[test]
fn a_dense_model_goes_around() {
    goes_around(&[], &[], "LlamaForCausalLM");
}

#[test]
fn a_mixture_goes_around_in_several_files() {
    let more = ["--set=data.tokenizer=byte", "--set=model.vocab_size=6000"];
    goes_around(&[&MIXTURE[..], &more].concat(), &["--shard-size", "1"], "Qwen2MoeForCausalLM");
}

#[test]
fn a_mixture_without_shared_experts_goes_around() {
    let more = [&MIXTURE[..], &["--set=model.moe.shared_expert_intermediate_size=0"]].concat();
    goes_around(&more, &["--dtype", "bf16"], "Qwen2MoeForCausalLM");
}

#[test]
fn a_model_of_theirs_is_measured_and_trained_on() {
    let place = exported(&["--set=model.qkv_bias=true"], &["--dtype", "f16"]);
    let (out, _) =
        succeed(place.nitp(&[&["eval", "hub", "--data", "text.txt", "--json"], &CPU[..]].concat()));
    assert!(out.contains("\"val_loss\""), "{out}");
    let error = fail(place.nitp(&[&["eval", "hub"], &CPU[..]].concat()), 1);
    contains(&error, &["--data"]);
    // Its model and tokenizer are used; NITP's head is new.
    let words = ["train", "--init", "hub", "--data", "text.txt", "--steps", "2", "--out", "more"];
    let sets = ["--set=train.context_length=16", "--set=train.batch_size=2"];
    succeed(place.nitp(&[&words[..], &sets, &CPU].concat()));
    let config = String::from_utf8(place.read("more/config.toml")).expect("UTF-8");
    contains(&config, &["qkv_bias = true", "enabled = true", "hub/tokenizer.json"]);
    let begun = place.metrics("more");
    assert!(begun.iter().any(|event| event["event"] == "step" && event["nitp_loss"] != 0.0));
    // Files that came with the model are exported with it, except a card that is no longer valid.
    succeed(place.nitp(&["export", "more", "--out", "further", "--dtype", "f16"]));
    let (first, last) = (files(&place.path("hub")), files(&place.path("further")));
    assert!(first["tokenizer_config.json"] == last["tokenizer_config.json"]);
    assert!(first["model.safetensors"] != last["model.safetensors"]);
    assert!(first["README.md"] != last["README.md"]);
    // Settings of another model are rejected.
    let wrong = ["--set=model.rope_theta=5000", "--out", "no"];
    let error = fail(place.nitp(&[&words[..7], &wrong, &CPU].concat()), 1);
    contains(&error, &["model.rope_theta", "config.json"]);
    let error =
        fail(place.nitp(&[&words[..7], &["--preset", "tiny", "--out", "no"], &CPU].concat()), 1);
    contains(&error, &["--preset"]);
    let other = ["--set=data.tokenizer=byte", "--out", "no"];
    contains(
        &fail(place.nitp(&[&words[..7], &other, &CPU].concat()), 1),
        &["data.tokenizer is byte"],
    );
    assert!(!place.path("no").exists());
    // An imported run was never trained, so it has no optimizer state to continue from.
    succeed(place.nitp(&["import", "hub", "--out", "imported"]));
    let resume = ["train", "--resume", "imported", "--data", "text.txt"];
    contains(&fail(place.nitp(&[&resume[..], &CPU].concat()), 1), &["--init"]);
    let words =
        ["train", "--init", "imported", "--data", "text.txt", "--steps", "1", "--out", "on"];
    let from_run = ["--config", "imported/config.toml"];
    succeed(place.nitp(&[&words[..], &from_run, &sets, &CPU].concat()));
}

/// Changes a text in a file.
fn replace(place: &Place, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(place.read(name)).expect("UTF-8");
    assert!(text.contains(from), "{from} is not in {name}");
    place.write(name, text.replacen(from, to, 1));
}

#[test]
fn what_is_broken_or_not_supported_is_named_and_nothing_is_written() {
    let place = exported(&["--set=model.vocab_size=6000"], &["--shard-size", "1"]);
    let whole = files(&place.path("hub"));
    let shard = "hub/model-00002-of-00002.safetensors";
    type Damage<'a> = &'a dyn Fn(&Place);
    let cases: [(Damage, &[&str]); 14] = [
        (
            &|it| replace(it, "hub/config.json", "\"llama\"", "\"gpt2\""),
            &["model_type", "gpt2", "llama"],
        ),
        (
            &|it| replace(it, "hub/config.json", "\"silu\"", "\"gelu\""),
            &["hidden_act", "gelu", "silu"],
        ),
        (
            &|it| {
                replace(
                    it,
                    "hub/config.json",
                    "\"vocab_size\"",
                    "\"logit_scale\": 2.0, \"vocab_size\"",
                )
            },
            &["logit_scale = 2.0", "unknown keys"],
        ),
        (
            &|it| {
                replace(
                    it,
                    "hub/config.json",
                    "\"rope_scaling\": null",
                    "\"rope_scaling\": {\"rope_type\": \"yarn\"}",
                )
            },
            &["rope_scaling", "yarn", "llama3"],
        ),
        (
            &|it| replace(it, "hub/config.json", "\"hidden_size\": 32", "\"hidden_size\": \"x\""),
            &["hidden_size"],
        ),
        (&|it| replace(it, "hub/config.json", "{", ""), &["config.json", "can't be read"]),
        (&|it| replace(it, "hub/config.json", "6000", "100"), &["tokens", "100"]),
        (&|it| replace(it, "hub/config.json", "6000", "5999"), &["lm_head", "6000", "5999"]),
        (&|it| fs::remove_file(it.path(shard)).unwrap(), &["model-00002-of-00002", "2 files"]),
        (&|it| truncate(&it.path(shard)), &["model-00002-of-00002", "truncated"]),
        (
            &|it| it.write(shard, [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat()),
            &["model-00002-of-00002"],
        ),
        (&|it| it.write(shard, "version https://git-lfs.github.com/spec/v1\n"), &["Git LFS"]),
        (
            &|it| replace(it, "hub/model.safetensors.index.json", "model-00002", "../model-00002"),
            &["index.json", "beside it"],
        ),
        (
            &|it| fs::remove_file(it.path("hub/tokenizer.json")).unwrap(),
            &["no tokenizer.json", "AutoTokenizer"],
        ),
    ];
    for (damage, parts) in cases {
        for (name, bytes) in &whole {
            place.write(&format!("hub/{name}"), bytes);
        }
        damage(&place);
        contains(&fail(place.nitp(&["import", "hub", "--out", "imported"]), 1), parts);
        contains(&fail(place.nitp(&["export", "hub", "--out", "other"]), 1), parts);
        assert!(!place.path("imported").exists() && !place.path("other").exists());
    }
    // A model of terabytes is refused before its weights are read.
    for (name, bytes) in &whole {
        place.write(&format!("hub/{name}"), bytes);
    }
    for (key, from, to) in [
        ("hidden_size", 32, 65_536),
        ("intermediate_size", 96, 65_536),
        ("num_hidden_layers", 2, 1000),
    ] {
        let line = |value: usize| format!("\"{key}\": {value}");
        replace(&place, "hub/config.json", &line(from), &line(to));
    }
    contains(&fail(place.nitp(&["import", "hub", "--out", "imported"]), 1), &["TiB of memory"]);
    assert!(!place.path("imported").exists());
    // A folder that is not empty, and a path that is no folder.
    contains(&fail(place.nitp(&["export", "run", "--out", "hub"]), 1), &["not empty"]);
    contains(&fail(place.nitp(&["export", "run", "--out", "text.txt"]), 1), &["no folder"]);
    let inside = "run/hugging_face";
    contains(&fail(place.nitp(&["export", "run", "--out", inside]), 1), &["lies in run"]);
    contains(&fail(place.nitp(&["import", "run", "--out", "imported"]), 1), &["config.json"]);
    let left = |name: &str| fs::read_dir(place.path(name)).expect("a folder").count();
    assert!(
        fs::read_dir(place.path(""))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(".nitp") })
    );
    assert!(left("hub") > 0);
}

#[test]
fn a_weight_that_halves_cannot_hold_is_named() {
    let place = Place::new();
    succeed(
        place.train(
            "run",
            &["--steps", "1", "--device", "cpu", "--set=model.initializer_range=1e5"],
        ),
    );
    let error = fail(place.nitp(&["export", "run", "--out", "hub", "--dtype", "f16"]), 1);
    contains(&error, &["float16", "65504", "bf16"]);
    assert!(!place.path("hub").exists());
    // An empty folder may exist already.
    fs::create_dir(place.path("hub")).expect("it is made");
    succeed(place.nitp(&["export", "run", "--out", "hub", "--dtype", "bf16"]));
    assert!(place.path("hub/model.safetensors").exists());
}

#[test]
fn a_model_that_transformers_has_no_class_for_is_refused() {
    let place = Place::new();
    let both = [
        "--steps",
        "1",
        "--device",
        "cpu",
        "--set=model.qkv_bias=true",
        "--set=model.qk_norm=true",
    ];
    succeed(place.train("run", &both));
    let error = fail(place.nitp(&["export", "run", "--out", "hub"]), 1);
    contains(&error, &["no class", "model.qkv_bias", "model.qk_norm"]);
    assert!(!place.path("hub").exists());
}
