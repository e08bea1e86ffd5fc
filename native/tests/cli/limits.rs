//! Sizes beyond any machine's memory are rejected with a message, before memory is allocated.

use crate::harness::{Place, fail, succeed};

#[test]
fn models_and_batches_that_are_too_large_name_their_key() {
    let place = Place::new();
    for (sets, parts) in [
        (
            &["model.num_hidden_layers=1000000"][..],
            &["model.num_hidden_layers = 1000000", "at most 1000"][..],
        ),
        (
            &["model.num_hidden_layers=1000000000"],
            &["model.num_hidden_layers = 1000000000", "Set fewer"],
        ),
        (
            &["model.moe.num_experts=2000000000"],
            &["model.moe.num_experts = 2000000000", "at most 100000"],
        ),
        (&["model.hidden_size=2000000000"], &["model.hidden_size = 2000000000", "the embedding"]),
        (&["train.context_length=2000000000"], &["train.batch_size = 8", "32-bit index"]),
        (&["model.head_dim=0"], &["even number from 2 to 256", "Set model.head_dim to 32"]),
    ] {
        let sets: Vec<String> = sets.iter().map(|set| format!("--set={set}")).collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let trace = &["trace", "--out", "t.safetensors"][..];
        for command in [&["info"][..], &["train"], trace, &["bench"]] {
            let error = fail(place.nitp(&[command, &sets[..]].concat()), 1);
            for part in parts {
                assert!(error.contains(part), "{command:?} {sets:?}: `{part}` is not in\n{error}");
            }
        }
    }
}

#[test]
fn a_machine_without_the_memory_says_so_before_it_takes_it() {
    let place = Place::new();
    // Some terabytes, for which only `info` works.
    let huge = ["--set=model.hidden_size=100000", "--set=model.num_hidden_layers=1000"];
    let (table, _) = succeed(place.nitp(&[&["info"], &huge[..]].concat()));
    assert!(table.contains("TiB"), "{table}");
    for command in [
        &["train", "--data", "text.txt"][..],
        &["trace", "--out", "t.safetensors", "--data", "text.txt"],
        &["bench"],
    ] {
        let command = [command, &["--device", "cpu"], &huge].concat();
        let error = fail(place.nitp(&command), 1);
        assert!(error.contains("of memory, and this machine has"), "{command:?}\n{error}");
    }
}

#[test]
fn a_vocabulary_is_no_larger_than_a_model_s_or_the_text_allows() {
    let place = Place::new();
    for (size, part) in [
        ("4294967296", "more than a model can have: ask for 16777216 tokens or fewer"),
        ("18446744073709551615", "more than a model can have"),
        ("16000000", "too large for the text: its"),
    ] {
        let arguments =
            ["tokenizer", "train", "--data", "text.txt", "--vocab-size", size, "--out", "t.json"];
        let error = fail(place.nitp(&arguments), 1);
        assert!(error.contains(part), "{size}\n{error}");
        assert!(!place.path("t.json").exists());
    }
}

#[test]
fn too_little_text_is_met_by_advice_that_helps() {
    let place = Place::new();
    place.write("five.txt", "Five.");
    succeed(place.train("run", &["--device", "cpu", "--steps", "2"]));
    let error = fail(place.nitp(&["eval", "run", "--data", "five.txt", "--device", "cpu"]), 1);
    assert!(
        error.contains("the text to evaluate on has") && error.contains("give more text"),
        "{error}"
    );
    assert!(!error.contains("validation_fraction"), "{error}");
    let error = fail(place.train("other", &["--device", "cpu", "--data", "five.txt"]), 1);
    assert!(!error.contains("validation_fraction"), "{error}");
}
