//! `info` and `devices`.

use serde_json::Value;

use crate::harness::{Place, succeed};

#[test]
fn every_preset_has_the_size_of_its_name() {
    let place = Place::new();
    let (list, _) = succeed(place.nitp(&["info"]));
    // Name, total and active in billions as the paper rounds them.
    for (name, total, active) in [
        ("1.9b-a0.3b", 1.9, 0.3),
        ("3b-a0.5b", 3.0, 0.5),
        ("9b-a1b", 9.0, 1.0),
        ("45b-a5.5b", 45.0, 5.5),
        ("0.5b", 0.5, 0.5),
        ("2b", 2.0, 2.0),
        ("3b", 3.0, 3.0),
    ] {
        assert!(list.contains(name), "{list}");
        let (out, _) = succeed(place.nitp(&["info", "--preset", name, "--json"]));
        let info: Value = serde_json::from_str(&out).expect("one JSON object");
        for (key, expected) in [("total", total), ("active", active)] {
            let found = info["parameters"][key].as_f64().expect("a number") / 1e9;
            assert!((found / expected - 1.0).abs() < 0.2, "{name}: {key} is {found} B");
        }
    }
}

#[test]
fn nitp_costs_what_the_paper_says() {
    let place = Place::new();
    let (out, _) = succeed(place.nitp(&["info", "--preset", "9b-a1b", "--json"]));
    let info: Value = serde_json::from_str(&out).expect("one JSON object");
    let overhead = info["flops_per_token"]["paper_overhead"].as_f64().expect("a number");
    assert!((100.0 * overhead - 2.3).abs() < 0.1, "{overhead}");
    let (out, _) = succeed(place.nitp(&["info", "--preset", "9b-a1b"]));
    assert!(out.contains("NITP adds 2.33 %") && out.contains("activations"), "{out}");
    // Half a billion numbers in the embedding: more than WebGPU's default binding.
    assert!(out.contains("CPU"), "{out}");
}

#[test]
fn memory_is_told_by_part() {
    let place = Place::new();
    let (out, _) = succeed(place.nitp(&["info", "--preset", "tiny-moe", "--json"]));
    let info: Value = serde_json::from_str(&out).expect("one JSON object");
    let memory = |part: &str| info["memory_bytes"][part].as_u64().expect("a number");
    let trained = info["parameters"]["total"].as_u64().expect("a number")
        + info["parameters"]["nitp_projector"].as_u64().expect("a number");
    // Parameters are padded to 256 bytes each.
    assert!(memory("weights") >= 4 * trained && memory("weights") < 4 * trained + 256 * 100);
    assert_eq!(memory("optimizer"), 2 * memory("gradients"));
    let parts = ["weights", "gradients", "optimizer", "activations", "other"];
    assert_eq!(memory("total"), parts.iter().map(|part| memory(part)).sum::<u64>());
    let adapters = info["adapters"].as_array().expect("a list");
    assert!(adapters.iter().any(|adapter| adapter["fits"] == true), "{out}");
    // The planner's arenas are close to the lower bound, in every preset for small machines.
    for preset in ["nano", "mini", "tiny", "tiny-moe", "small", "small-moe"] {
        for set in ["train.recompute_activations=false", "train.recompute_activations=true"] {
            let arguments = ["info", "--preset", preset, "--set", set, "--json"];
            let (out, _) = succeed(place.nitp(&arguments));
            let info: Value = serde_json::from_str(&out).expect("one JSON object");
            let memory = |part: &str| info["memory_bytes"][part].as_f64().expect("a number");
            let ratio = memory("activations") / memory("activations_least");
            assert!((1.0..=1.15).contains(&ratio), "{preset}, {set}: {ratio}");
        }
    }
    // Attention keeps no context x context tensor: memory doubles with the context, to the longest.
    let activations = |context: usize| {
        let context = format!("train.context_length={context}");
        let sets = ["--set", "train.batch_size=1", "--set", &context];
        let arguments = [&["info", "--preset", "small", "--json"][..], &sets].concat();
        let (out, _) = succeed(place.nitp(&arguments));
        let info: Value = serde_json::from_str(&out).expect("one JSON object");
        info["memory_bytes"]["activations"].as_f64().expect("a number")
    };
    let ratio = activations(8192) / activations(1024);
    assert!((8.0 * 0.99..8.4).contains(&ratio), "{ratio}");
}

#[test]
fn recomputation_is_told_with_its_cost() {
    let place = Place::new();
    let info = |set: &str| {
        let arguments = ["info", "--preset", "small", "--set", set];
        let (out, _) = succeed(place.nitp(&arguments));
        let (json, _) = succeed(place.nitp(&[&arguments[..], &["--json"]].concat()));
        (out, serde_json::from_str::<Value>(&json).expect("one JSON object"))
    };
    let (kept_text, kept) = info("train.recompute_activations=false");
    let (text, recomputed) = info("train.recompute_activations=true");
    let number = |info: &Value, section: &str, key: &str| info[section][key].as_f64();
    let memory = |info: &Value| number(info, "memory_bytes", "activations").expect("a number");
    assert!(memory(&recomputed) < 0.5 * memory(&kept));
    let flops = |info: &Value| number(info, "flops_per_token", "recomputation");
    assert_eq!(flops(&kept), Some(0.0));
    assert!(flops(&recomputed) > Some(0.0));
    assert!(kept_text.contains("if recomputed") && !kept_text.contains("with recomputation"));
    assert!(text.contains("if kept") && text.contains("with recomputation"), "{text}");
}

#[test]
fn devices_are_listed_with_what_auto_takes() {
    let place = Place::new();
    let (out, _) = succeed(place.nitp(&["devices"]));
    assert!(out.contains("--device auto chooses:"), "{out}");
    assert!(out.contains("Vulkan") || out.contains("Metal") || out.contains("DirectX"), "{out}");
}

#[test]
fn a_machine_is_described_with_what_is_wrong_with_it() {
    let place = Place::new();
    let (out, _) = succeed(place.nitp(&["doctor"]));
    for word in ["program", "CPU", "memory", "cache", "free", "--device auto chooses"] {
        assert!(out.contains(word), "no {word}: {out}");
    }
    let mut command = place.nitp(&["doctor"]);
    // A file where the folder should be.
    command.env("NITP_CACHE_DIR", place.path("text.txt")).env("RAYON_NUM_THREADS", "1");
    let (out, _) = succeed(command);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(out.contains("RAYON_NUM_THREADS"), cores > 1, "{out}");
    assert!(out.contains("text.txt is a file"), "{out}");
}
