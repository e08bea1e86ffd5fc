//! Prepared text, and mixtures of texts.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Place, fail, succeed};

/// The tokenizer of prepared bytes ends documents with the token 256.
const FEW: &[&str] = &["--device", "cpu", "--steps", "4", "--set", "model.vocab_size=257"];

/// As FEW, with two more steps.
const SIX: &[&str] = &["--device", "cpu", "--steps", "6", "--set", "model.vocab_size=257"];

fn prepare<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let prepare =
        ["data", "prepare", "--tokenizer", "byte", "--out", out, "--shard-tokens", "2000"];
    let data = if more.contains(&"--data") { &[][..] } else { &["--data", "text.txt"] };
    [&prepare[..], data, more].concat()
}

#[test]
fn a_prepared_text_trains_as_the_text_does() {
    let place = Place::new();
    place.write("more/a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    place.write("more/notes.pdf", "x");
    let both = ["--data", "text.txt", "more"];
    let (out, warnings) = succeed(place.nitp(&prepare("tokens", &both)));
    assert!(out.contains("in 3 documents, in 7 shards"), "{out}");
    assert!(out.contains("nitp train --data tokens --set data.tokenizer=byte"), "{out}");
    assert!(warnings.contains("1 .pdf"), "{warnings}");
    let (out, _) = succeed(place.nitp(&["data", "info", "tokens"]));
    assert!(out.contains("text.txt") && out.contains("Every shard agrees"), "{out}");
    let (json, _) = succeed(place.nitp(&["data", "info", "tokens", "--json"]));
    let index: serde_json::Value = serde_json::from_str(&json).expect("an object");
    assert_eq!(index["documents"], 3);
    succeed(place.train("text", &[FEW, &both].concat()));
    succeed(place.train("prepared", &[FEW, &["--data", "tokens"]].concat()));
    place.assert_same_end("text", "prepared", 4);
    // The run goes on, and is evaluated, with either.
    let more = ["train", "--resume", "text", "--steps", "5", "--device", "cpu", "--data", "tokens"];
    succeed(place.nitp(&more));
    let (a, _) = succeed(place.nitp(&["eval", "prepared", "--device", "cpu", "--json"]));
    let (b, _) =
        succeed(place.nitp(&["eval", "prepared", "--device", "cpu", "--json", "--data", "tokens"]));
    assert!(a.contains("val_loss") && b.contains("val_loss"), "{a}{b}");
}

#[test]
fn what_a_run_can_not_take_is_said() {
    let place = Place::new();
    succeed(place.nitp(&prepare("tokens", &[])));
    let error = fail(place.nitp(&prepare("tokens", &[])), 1);
    assert!(error.contains("is prepared already"), "{error}");
    let error = fail(place.train("run", &[FEW, &["--data", "tokens", "text.txt"]].concat()), 1);
    assert!(
        error.contains("not joined with other text (") && error.contains("text.txt"),
        "{error}"
    );
    let other = ["--data", "tokens", "--set", "data.end_of_text=none"];
    let error = fail(place.train("run", &[FEW, &other].concat()), 1);
    assert!(
        error.contains("was prepared with another tokenizer, or another data.end_of_text"),
        "{error}"
    );
    let shard = place.path("tokens/tokens-00001.safetensors");
    let whole = fs::read(&shard).expect("a shard");
    fs::write(&shard, &whole[..100]).expect("it is cut short");
    for command in [
        place.train("run", &[FEW, &["--data", "tokens"]].concat()),
        place.nitp(&["data", "info", "tokens"]),
    ] {
        let error = fail(command, 1);
        assert!(
            error.contains("tokens-00001.safetensors has 100 bytes, and the index counts"),
            "{error}"
        );
    }
    assert!(!place.path("run").exists());
    let error = fail(place.nitp(&["data", "info", "more"]), 1);
    assert!(error.contains("`nitp data prepare` writes such folders"), "{error}");
    let error = fail(place.nitp(&prepare("none", &["--tokenizer", "none.json"])), 2);
    assert!(error.contains("cannot be used multiple times"), "{error}");
    let error = fail(
        place.nitp(&[
            "data",
            "prepare",
            "--data",
            "text.txt",
            "--tokenizer",
            "none.json",
            "--out",
            "none",
        ]),
        1,
    );
    assert!(error.contains("reading none.json"), "{error}");
    assert!(!place.path("none").exists());
}

/// A process that is killed leaves whole shards, and the next one ends with the files of an undisturbed one.
#[test]
fn a_killed_preparation_goes_on() {
    let place = Place::new();
    let line = String::from_utf8(place.read("text.txt")).expect("UTF-8").replace('\n', " ");
    let lines: String = (0..40).map(|i| format!("{{\"text\": \"{i} {line}\"}}\n")).collect();
    place.write("long.jsonl", lines);
    let arguments = |out| prepare(out, &["--data", "long.jsonl", "text.txt"]);
    succeed(place.nitp(&arguments("whole")));
    let names = |folder: &str| {
        let entries = fs::read_dir(place.path(folder)).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let expected = names("whole");
    assert!(expected.len() > 250, "{}", expected.len());
    let mut kills = 0;
    let begun = Instant::now();
    loop {
        let mut child =
            place.nitp(&arguments("killed")).stdout(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_millis(40 + 13 * kills));
        match child.try_wait().expect("it is a child") {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => {
                child.kill().expect("it is killed");
                child.wait().expect("it has ended");
                kills += 1;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "it never ended");
    }
    assert!(kills > 0);
    assert_eq!(names("killed"), expected);
    for name in expected {
        let [a, b] = ["whole", "killed"].map(|folder| place.read(&format!("{folder}/{name}")));
        assert!(a == b, "{name}");
    }
}

#[test]
fn texts_are_mixed_by_weight() {
    let place = Place::new();
    let other: String = (0..300).map(|i| format!("ANOTHER {i}, ANOTHER AGAIN\n")).collect();
    place.write("other.txt", other);
    let mixed = ["--data", "text.txt", "other.txt", "--weights", "3", "1"];
    let (out, _) = succeed(place.train("mixed", &[FEW, &mixed].concat()));
    assert!(
        out.contains("75.0 % of the rows from") && out.contains("25.0 % of the rows from"),
        "{out}"
    );
    let config = String::from_utf8(place.read("mixed/config.toml")).expect("UTF-8");
    assert!(config.contains("weights = [3.0, 1.0]"), "{config}");
    // It goes on with the same mixture, and with no other.
    let resume = ["train", "--resume", "mixed", "--steps", "6", "--device", "cpu"];
    let error = fail(place.nitp(&[&resume[..], &["--set", "data.weights=[1.0, 1.0]"]].concat()), 1);
    assert!(error.contains("data.weights is [3.0, 1.0] in the run"), "{error}");
    succeed(place.nitp(&resume));
    succeed(place.nitp(&["eval", "mixed", "--device", "cpu"]));
    succeed(place.nitp(&["eval", "mixed", "--device", "cpu", "--data", "text.txt"]));
    // A prepared text can be one of them, and counts as its text does.
    succeed(place.nitp(&prepare("tokens", &[])));
    let with_tokens = ["--data", "tokens", "other.txt", "--weights", "3", "1"];
    succeed(place.train("with-tokens", &[SIX, &with_tokens[..]].concat()));
    place.assert_same_end("mixed", "with-tokens", 6);
    let error = fail(
        place.train("bad", &[FEW, &["--data", "text.txt", "other.txt", "--weights", "1"]].concat()),
        1,
    );
    assert!(
        error.contains("data.weights = [1.0]") && error.contains("each of the 2 data.paths"),
        "{error}"
    );
    let set = ["--data", "text.txt", "other.txt", "--set", "data.weights=[3.0, 1.0]"];
    succeed(place.train("set", &[SIX, &set[..]].concat()));
    place.assert_same_end("mixed", "set", 6);
    let negative = ["--data", "text.txt", "other.txt", "--weights", "1", "-1"];
    let error = fail(place.train("bad", &[FEW, &negative].concat()), 1);
    assert!(error.contains("must be a number above 0"), "{error}");
    place.write("twice.txt", place.read("text.txt"));
    let twice = ["--data", "text.txt", "twice.txt", "--weights", "1", "1"];
    let (out, warnings) = succeed(place.train("twice", &[FEW, &twice].concat()));
    assert!((out + &warnings).contains("hold the same text, and belong to two texts"));
    place.write("short.txt", "short");
    let error = fail(
        place.train(
            "bad",
            &[FEW, &["--data", "text.txt", "short.txt", "--weights", "1", "1"]].concat(),
        ),
        1,
    );
    assert!(error.contains("of the texts in data.paths, number 2"), "{error}");
}
