//! `eval --task`, and tasks in comparisons: multiple choice and cloze.

use serde_json::{Value, json};

use crate::harness::{NANO, Place, fail, succeed};

/// Questions whose answers are letters of the text, some longer than the context of 16 bytes, and words to continue.
fn place() -> Place {
    let place = Place::new();
    let choices = |i: usize| {
        let mut choices = [json!("e t"), json!("#~"), json!("}{")];
        choices.swap(0, i % 3);
        let question = if i < 4 { "Line 7: the tide turns" } else { "the tide" };
        json!({"question": question, "choices": choices, "answer": i % 3}).to_string() + "\n"
    };
    place.write("letters.jsonl", (0..9).map(choices).collect::<String>());
    let cloze = [
        json!({"task": "last word", "question": "the", "continuation": "tide"}),
        json!({"task": "last word", "question": "the tide turns ", "continuation": "~", "delimiter": ""}),
        json!({"task": "two", "question": "the", "choices": ["tide", "}{#~"], "answer": 0}),
    ];
    place.write("words.jsonl", cloze.map(|it| it.to_string()).join("\n"));
    place
}

fn scores(place: &Place, more: &[&str]) -> Vec<Value> {
    let common = ["eval", "run", "--json", "--task"];
    let (out, _) = succeed(place.nitp(&[&common[..], more].concat()));
    let found: Value = serde_json::from_str(&out).expect("one JSON object");
    assert!(found["checkpoint"].as_str().expect("a path").contains("step-"), "{found}");
    found["tasks"].as_array().expect("tasks").clone()
}

#[test]
fn choices_and_clozes_are_scored_beside_their_baselines() {
    let place = place();
    succeed(place.train("run", &["--steps=12", "--device=cpu"]));
    let files = ["letters.jsonl", "words.jsonl"];
    let found = scores(&place, &[&files[..], &["--device=cpu"]].concat());
    let [letters, words, two] = &found[..] else { panic!("{found:?}") };
    assert_eq!(letters["task"], "letters");
    assert_eq!(
        (&letters["items"], &letters["cut"], &letters["kind"]),
        (&json!(9), &json!(4), &json!("choice"))
    );
    // Letters of the text are far likelier than those that it lacks, even for this model.
    let number = |of: &Value, key: &str| of[key].as_f64().unwrap_or_else(|| panic!("{key}: {of}"));
    assert_eq!((number(letters, "acc_norm"), number(letters, "acc_norm_stderr")), (1.0, 0.0));
    for key in ["chance", "majority"] {
        assert!((number(letters, key) - 1.0 / 3.0).abs() < 1e-12, "{letters}");
    }
    assert_eq!(
        (&words["task"], &words["kind"], &words["acc"]),
        (&json!("last word"), &json!("cloze"), &json!(0.0))
    );
    assert!(number(words, "perplexity") > 256.0, "{words}");
    assert!(two["acc_stderr"].is_null() && two["chance"] == 0.5, "{two}");
    // The same each time, and the same on a GPU.
    let again = scores(&place, &[&files[..], &["--device=cpu"]].concat());
    assert_eq!(again, found);
    let on_gpu = scores(&place, &[&files[..], &["--device=gpu", "--tune=off"]].concat());
    for (gpu, cpu) in on_gpu.iter().zip(&found) {
        let close = |key: &str| (number(gpu, key) / number(cpu, key) - 1.0).abs() < 1e-4;
        assert!(gpu["acc"] == cpu["acc"], "{gpu} {cpu}");
        assert!(cpu["kind"] == "choice" || close("perplexity"), "{gpu} {cpu}");
    }

    let common = ["eval", "run", "--device=cpu", "--task"];
    let (out, _) = succeed(place.nitp(&[&common[..], &files].concat()));
    for part in [
        "acc_bytes",
        "majority",
        "100.0 ±0.0",
        "33.3",
        "perplexity",
        "letters: 4 of 9 questions were truncated on the left",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
}

#[test]
fn the_tasks_of_the_demo_corpus_are_at_hand() {
    let place = Place::new();
    let small =
        ["--steps=1", "--device=cpu", "--set=train.batch_size=64", "--set=train.context_length=64"];
    succeed(place.train("run", &small));
    let found = scores(&place, &["demo", "--device=cpu"]);
    let names: Vec<&str> = found.iter().map(|it| it["task"].as_str().expect("a name")).collect();
    assert_eq!(names, ["agreement", "sense", "what_next", "where", "who"]);
    for task in &found {
        assert_eq!(task["items"], 200);
        assert_eq!(task["chance"], task["majority"], "{task}");
    }
}

#[test]
fn what_can_not_be_scored_is_told_with_its_place() {
    let place = place();
    succeed(place.train("run", &["--steps=1", "--device=cpu"]));
    let refused = |text: &str, parts: &[&str]| {
        place.write("bad.jsonl", text);
        let error = fail(place.nitp(&["eval", "run", "--device=cpu", "--task", "bad.jsonl"]), 1);
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in\n{error}");
        }
    };
    let fine = "{\"question\":\"a\",\"choices\":[\"b\",\"c\"],\"answer\":0}\n";
    refused("", &["bad.jsonl holds no item", "\"choices\""]);
    refused(&format!("{fine}{{"), &["line 2 of bad.jsonl", "JSON"]);
    refused(&fine.replace("0}", "2}"), &["line 1 of bad.jsonl", "`answer` is 2", "from 0 to 1"]);
    refused(&fine.replace(",\"c\"", ""), &["line 1 of bad.jsonl", "two or more"]);
    let long = fine.replace("\"c\"", "\"a choice of many bytes\"");
    refused(&long, &["line 1 of bad.jsonl", "has 23 tokens", "reads 16"]);
    refused(&fine.replace("\"a\"", "\"\""), &["line 1 of bad.jsonl", "no end-of-text token"]);
    let error = fail(place.nitp(&["eval", "run", "--task", "nowhere.jsonl"]), 1);
    assert!(error.contains("reading nowhere.jsonl"), "{error}");
    let error = fail(place.nitp(&["eval", "run", "--task", "bad.jsonl", "--data", "text.txt"]), 2);
    assert!(error.contains("cannot be used with"), "{error}");

    place.write("double.jsonl", fine.replace("\"c\"", "\"b\""));
    let (_, said) = succeed(place.nitp(&["eval", "run", "--device=cpu", "--task", "double.jsonl"]));
    assert!(said.contains("1 of the items have equal choices, the first on line 1"), "{said}");
}

#[test]
fn arms_are_compared_on_tasks() {
    let place = place();
    let common = ["--data", "text.txt", "--device=cpu", "--out=lab", "--steps=4", "--seeds=2"];
    let compare = |more: &[&str]| place.nitp(&[&["compare"][..], NANO, &common, more].concat());
    // Nothing to score by default: the text is not the demo corpus.
    let (out, _) = succeed(compare(&[]));
    assert!(!out.contains("on tasks"), "{out}");
    let with = ["--task", "letters.jsonl", "words.jsonl"];
    let (out, _) = succeed(compare(&with));
    assert!(out.contains("scored nitp, seed 1, on tasks"), "{out}");
    assert!(out.contains("task letters: acc, percent (chance 33.3)"), "{out}");
    let report: Value = serde_json::from_slice(&place.read("lab/report.json")).expect("JSON");
    let results = report["results"].as_array().expect("metrics").iter();
    let tasks: Vec<&Value> =
        results.filter(|it| it["key"].as_str().is_some_and(|it| it.starts_with("task_"))).collect();
    let keys: Vec<&str> = tasks.iter().map(|it| it["key"].as_str().expect("a key")).collect();
    assert_eq!(keys, ["task_letters_acc", "task_last word_acc", "task_two_acc"]);
    assert_eq!(tasks[0]["less_is_better"], false);
    assert!(tasks[0]["rows"][1]["difference"]["mean"].is_number(), "{}", tasks[0]);
    let csv = String::from_utf8(place.read("lab/runs.csv")).expect("UTF-8");
    assert!(csv.contains("task_letters_acc"), "{csv}");

    // Scores are saved, until the tasks change.
    let html = place.read("lab/report.html");
    let (out, _) = succeed(compare(&with));
    assert!(!out.contains("scored"), "{out}");
    assert!(place.read("lab/report.html") == html, "another report of the same numbers");
    let (out, _) = succeed(compare(&["--task", "words.jsonl"]));
    assert!(out.contains("scored ntp, seed 0") && !out.contains("task letters"), "{out}");
    let (out, _) = succeed(compare(&["--no-task"]));
    assert!(!out.contains("task"), "{out}");
}
