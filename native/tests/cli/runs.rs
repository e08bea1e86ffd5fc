//! Training, evaluation and generation from end to end.

use serde_json::Value;

use crate::harness::{Place, comparable, fail, succeed};

#[test]
fn without_options_the_tiny_preset_trains_on_the_demo_corpus() {
    let place = Place::new();
    let (out, _) = succeed(place.nitp(&["train", "--steps", "3", "--device", "cpu"]));
    for part in
        ["CPU", "1.00 M parameters", "held-out", "effective rank", "A sample:", "runs/tiny-1"]
    {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let config = String::from_utf8(place.read("runs/tiny-1/config.toml")).expect("UTF-8");
    for key in ["rope_theta", "stop_gradient", "grad_clip", "validation_fraction"] {
        assert!(config.contains(key), "{key} is not in\n{config}");
    }
    let (out, _) = succeed(place.nitp(&["train", "--steps", "1", "--device", "cpu"]));
    assert!(out.contains("runs/tiny-2"));
}

#[test]
fn a_run_folder_has_what_it_promises() {
    let place = Place::new();
    let moe = ["num_experts=4", "num_experts_per_tok=2", "moe_intermediate_size=12"]
        .map(|set| format!("--set=model.moe.{set}"));
    let moe: Vec<&str> = moe.iter().map(String::as_str).collect();
    let more = [&moe[..], &["--steps", "9", "--device", "cpu"]].concat();
    succeed(place.train("run", &[&more[..], &["--set=train.keep_checkpoints=1"]].concat()));
    let events = place.metrics("run");
    let of = |kind: &str| events.iter().filter(|e| e["event"] == kind).collect::<Vec<_>>();
    let steps: Vec<u64> = of("step").iter().filter_map(|e| e["step"].as_u64()).collect();
    assert_eq!(steps, (1..=9).collect::<Vec<_>>());
    for key in [
        "tokens",
        "loss",
        "ntp_loss",
        "nitp_loss",
        "balance_loss",
        "grad_norm",
        "learning_rate",
        "tokens_per_second",
    ] {
        assert!(of("step").iter().all(|e| e[key].is_number()), "{key}");
    }
    let evaluated: Vec<u64> = of("evaluation").iter().filter_map(|e| e["step"].as_u64()).collect();
    assert_eq!(evaluated, [0, 4, 8, 9]);
    let last = of("evaluation")[3];
    assert!(last["val_loss"].is_number() && last["bits_per_byte"].is_number());
    let loads = last["expert_load"][0].as_array().expect("the first MoE block");
    let total: f64 = loads.iter().filter_map(Value::as_f64).sum();
    assert!(loads.len() == 4 && (total - 1.0).abs() < 1e-5, "{loads:?}");
    assert!(of("geometry").iter().all(|e| e["effective_rank"].is_number()));
    assert_eq!(of("finished").len(), 1);
    // The newest and the best; in such a short run, a late one is the best.
    assert!(place.checkpoints("run").contains(&"step-00000009".to_owned()));
    assert!(place.checkpoints("run").len() <= 2);
    assert!(place.path("run/tokenizer.json").is_file());
}

#[test]
fn the_sum_of_the_losses_is_the_loss() {
    let place = Place::new();
    let more =
        ["--steps", "3", "--device", "cpu", "--set=nitp.weight=0.3", "--set=nitp.start_step=2"];
    succeed(place.train("run", &more));
    for event in place.metrics("run").iter().filter(|event| event["event"] == "step") {
        let number = |key: &str| event[key].as_f64().expect("a number");
        let sum = number("ntp_loss") + 0.3 * number("nitp_loss");
        assert!((number("loss") - sum).abs() < 1e-12);
        assert_eq!(number("nitp_loss") == 0.0, number("step") < 3.0);
    }
}

#[test]
fn the_same_run_twice_has_the_same_bits() {
    let place = Place::new();
    for device in ["cpu", "gpu"] {
        let more = ["--steps", "6", "--device", device];
        let [a, b] = ["a", "b"].map(|name| format!("{device}-{name}"));
        succeed(place.train(&a, &more));
        succeed(place.train(&b, &more));
        place.assert_same_end(&a, &b, 6);
        assert_eq!(comparable(&place.metrics(&a)), comparable(&place.metrics(&b)));
        succeed(place.train("seed", &[&more[..], &["--seed", "7"]].concat()));
        let seed = place.read("seed/checkpoints/step-00000006/model.safetensors");
        assert!(seed != place.read(&format!("{a}/checkpoints/step-00000006/model.safetensors")));
        std::fs::remove_dir_all(place.path("seed")).expect("it is removed");
    }
}

#[test]
fn eval_gives_the_numbers_of_training() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "8", "--device", "cpu"]));
    let events = place.metrics("run");
    let last =
        |kind: &str| events.iter().rfind(|e| e["event"] == kind).expect("such an event").clone();
    let (out, _) = succeed(place.nitp(&["eval", "run", "--json", "--device", "cpu"]));
    let found: Value = serde_json::from_str(&out).expect("one JSON object");
    for (kind, keys) in [
        ("evaluation", &["step", "val_loss", "perplexity", "bits_per_byte", "nitp_loss"][..]),
        ("geometry", &["effective_rank", "mean_cosine"]),
    ] {
        for key in keys {
            assert_eq!(found[key], last(kind)[key], "{key}");
        }
    }
    // Other text, and a run that has moved.
    std::fs::rename(place.path("run"), place.path("moved")).expect("it moves");
    place.write("other.txt", "Something else entirely. ".repeat(20));
    let arguments = ["eval", "moved", "--data", "other.txt", "--json", "--device", "cpu"];
    let (out, _) = succeed(place.nitp(&arguments));
    let other: Value = serde_json::from_str(&out).expect("one JSON object");
    assert!(other["val_loss"].as_f64() > found["val_loss"].as_f64());
    let (out, _) = succeed(place.nitp(&["eval", "moved", "--device", "cpu"]));
    assert!(out.contains("effective rank") && out.contains("of 32"), "{out}");
}

#[test]
fn generation_follows_its_seed() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    let write = |more: &[&str]| {
        let base =
            ["generate", "run", "--prompt", "The tide", "--max-tokens", "12", "--device", "cpu"];
        succeed(place.nitp(&[&base, more].concat())).0
    };
    let text = write(&["--seed", "1", "--temperature", "1"]);
    assert!(text.starts_with("The tide"), "{text}");
    assert_eq!(text, write(&["--seed", "1", "--temperature", "1"]));
    assert_ne!(text, write(&["--seed", "2", "--temperature", "1"]));
    let greedy = write(&["--temperature", "0"]);
    assert_eq!(greedy, write(&["--top-k", "1", "--seed", "3"]));
    let checkpoint = "run/checkpoints/step-00000004";
    let arguments =
        ["generate", checkpoint, "--prompt", "T", "--max-tokens", "1", "--device", "cpu"];
    succeed(place.nitp(&arguments));
}

#[test]
fn weights_of_one_run_start_another() {
    let place = Place::new();
    succeed(place.train("first", &["--steps", "4", "--device", "cpu"]));
    succeed(place.train("second", &["--steps", "1", "--device", "cpu", "--init", "first"]));
    let first = |run: &str, which: usize| {
        let events = place.metrics(run);
        let evaluations: Vec<_> = events.iter().filter(|e| e["event"] == "evaluation").collect();
        evaluations[which]["val_loss"].clone()
    };
    assert_eq!(first("second", 0), first("first", 1));
}

#[test]
fn a_tokenizer_is_trained_and_used() {
    let place = Place::new();
    let arguments =
        ["tokenizer", "train", "--data", "text.txt", "--vocab-size", "280", "--out", "t.json"];
    let (out, _) = succeed(place.nitp(&arguments));
    assert!(out.contains("280 tokens"), "{out}");
    let sets = ["--set=data.tokenizer=t.json", "--set=model.vocab_size=280"];
    let more = [&sets[..], &["--steps", "2", "--device", "cpu"]].concat();
    succeed(place.train("run", &more));
    assert_eq!(place.read("t.json"), place.read("run/tokenizer.json"));
    // The run has its own copy, so it continues without the file.
    std::fs::remove_file(place.path("t.json")).expect("it is removed");
    succeed(place.nitp(&["eval", "run", "--device", "cpu"]));
}

#[test]
fn prompts_of_a_file_are_gone_on_with_and_texts_end_where_they_are_told_to() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    let generate = |more: &[&str]| {
        let words = ["generate", "run", "--max-tokens", "16", "--device", "cpu"];
        place.nitp(&[&words[..], more].concat())
    };
    place.write("prompts.txt", "The tide\n\nLine\n");
    place.write("prompts.jsonl", "{\"prompt\": \"The tide\", \"id\": 1}\n{\"prompt\": \"Line\"}\n");
    let (lines, _) = succeed(generate(&["--prompts", "prompts.txt", "--seed", "5"]));
    assert_eq!(succeed(generate(&["--prompts", "prompts.jsonl", "--seed", "5"])).0, lines);
    let objects: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.len(), 2);
    // Each text equals the text of the prompt alone with its seed.
    for (object, (prompt, seed)) in objects.iter().zip([("The tide", "5"), ("Line", "6")]) {
        assert_eq!(object["prompt"], prompt);
        let (alone, _) = succeed(generate(&["--prompt", prompt, "--seed", seed]));
        let text = object["text"].as_str().expect("a text");
        assert_eq!(alone, format!("{prompt}{text}\n"));
        // From some character on, the text is gone.
        let stop = text.chars().nth(3).expect("a text of some length").to_string();
        let until = text.split(&stop).next().expect("a part");
        let words = ["--prompt", prompt, "--seed", seed, "--stop", "not there", "--stop", &stop];
        assert_eq!(succeed(generate(&words)).0, format!("{prompt}{until}\n"));
    }
    contains_all(&fail(generate(&["--stop", ""]), 1), &["--stop"]);
    contains_all(&fail(generate(&["--prompts", "none.txt"]), 1), &["none.txt"]);
    place.write("empty.txt", "\n");
    contains_all(&fail(generate(&["--prompts", "empty.txt"]), 1), &["holds no prompt"]);
    place.write("broken.jsonl", "{\"prompt\": \"a\"}\n{\"text\": 1}\n");
    contains_all(&fail(generate(&["--prompts", "broken.jsonl"]), 1), &["line 2", "prompt"]);
}

#[test]
fn more_prompts_than_are_written_side_by_side_keep_their_order_and_their_draws() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    let prompts: Vec<String> = (0..19).map(|number| format!("Line {number}")).collect();
    let lines = |prompts: &[String], seed: usize| -> Vec<String> {
        place.write("prompts.txt", prompts.join("\n"));
        let seed = seed.to_string();
        // Longer than the context of 16 tokens.
        let words = ["generate", "run", "--prompts", "prompts.txt", "--max-tokens", "30"];
        let out = succeed(place.nitp(&[&words[..], &["--device=cpu", "--seed", &seed]].concat())).0;
        out.lines().map(str::to_owned).collect()
    };
    let all = lines(&prompts, 3);
    assert_eq!(all.len(), prompts.len());
    for (line, prompt) in all.iter().zip(&prompts) {
        let object: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(object["prompt"], prompt.as_str());
    }
    // A text is the same whatever is written beside it.
    assert_eq!(lines(&prompts[8..], 3 + 8), all[8..]);
    assert_eq!(lines(&prompts[5..], 3 + 5), all[5..]);
    assert_eq!(lines(&prompts[8..9], 3 + 8), all[8..9]);
}

#[test]
fn typed_lines_are_gone_on_with() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    let base = ["generate", "run", "--max-tokens", "6", "--temperature", "0", "--device", "cpu"];
    let typed = |lines: &str| {
        place.write("typed.txt", lines);
        let mut command = place.nitp(&[&base[..], &["--interactive"]].concat());
        let file = std::fs::File::open(place.path("typed.txt")).expect("it was written");
        command.stdin(file);
        succeed(command)
    };
    let alone = |prompt: &str| succeed(place.nitp(&[&base[..], &["--prompt", prompt]].concat())).0;
    let (out, err) = typed("Line\nThe tide");
    assert_eq!(out, alone("Line") + &alone("The tide"));
    assert!(err.contains("Ctrl-D"), "{err}");
    // An empty line goes on with the last text.
    let (out, _) = typed("Line\n\n");
    let longer = alone(alone("Line").trim_end_matches('\n'));
    assert_eq!(out.replacen('\n', "", 1), longer);
    let (out, err) = typed("\n");
    assert!(out.is_empty() && err.contains("give a prompt"), "{out}{err}");
    assert_eq!(typed("").0, "");
    let clash = place.nitp(&[&base[..], &["--interactive", "--prompt", "x"]].concat());
    contains_all(&fail(clash, 2), &["--interactive", "--prompt"]);
}

#[test]
fn a_prompt_that_is_too_long_and_the_largest_seed() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "1", "--device", "cpu"]));
    let prompt = "a".repeat(17);
    let seed = u64::MAX.to_string();
    place.write("prompts.txt", format!("{prompt}\nb\nc\n"));
    let words = ["generate", "run", "--device=cpu", "--max-tokens=2", "--seed", &seed];
    let (out, err) = succeed(place.nitp(&[&words[..], &["--prompts", "prompts.txt"]].concat()));
    assert_eq!(out.lines().count(), 3);
    contains_all(&err, &["17 tokens", "at most 16", "train.context_length"]);
}

fn contains_all(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}
