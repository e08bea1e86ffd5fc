//! `bench` and `gui`.

use serde_json::Value;

use crate::harness::{Place, fail, succeed};

fn report(place: &Place, device: &str) -> Value {
    let arguments = ["bench", "--preset", "nano", "--steps", "2", "--json", "--device", device];
    let (out, _) = succeed(place.nitp(&arguments));
    serde_json::from_str(&out).expect("one JSON object")
}

#[test]
fn every_op_of_a_step_is_timed_on_every_device() {
    let place = Place::new();
    for device in ["cpu", "gpu"] {
        let report = report(&place, device);
        assert!(report["ceiling_gflops"].as_f64().unwrap() > 0.1, "{report}");
        let preset = &report["presets"][0];
        let rows = preset["ops"].as_array().expect("rows");
        for op in ["matmul", "attention", "attention_backward", "cross_entropy", "nitp", "adamw"] {
            assert!(rows.iter().any(|row| row["op"] == op), "{device}: no {op}");
        }
        // Times are not compared: other tests run at the same time.
        let number = |row: &Value, key: &str| row[key].as_f64().expect("a number");
        let all: f64 =
            rows.iter().map(|row| number(row, "calls") * number(row, "seconds_median")).sum();
        let whole = number(preset, "seconds_median");
        assert!(all > 0.0 && whole > 0.0, "{device}: {all} of {whole}");
        assert!(rows.iter().all(|row| number(row, "seconds_min") >= 0.0), "{report}");
        let kernel = if device == "cpu" { "fast" } else { "product" };
        let named = |row: &Value| row["variant"].as_str().is_some_and(|it| it.contains(kernel));
        assert!(rows.iter().any(named), "{report}");
    }
}

#[test]
fn what_got_slower_is_told() {
    let place = Place::new();
    let mut before = report(&place, "cpu");
    let slow = ["bench", "--preset", "nano", "--steps", "2", "--device", "cpu", "--baseline"];
    for (factor, words) in [(1e-3, "Slower than the baseline"), (1e6, "none is more than")] {
        // A thousandth of the measured times, then a thousand times as much.
        for preset in before["presets"].as_array_mut().expect("presets") {
            let scale = |value: &mut Value| *value = (value.as_f64().unwrap() * factor).into();
            scale(&mut preset["seconds_median"]);
            for row in preset["ops"].as_array_mut().expect("rows") {
                scale(&mut row["seconds_median"]);
            }
        }
        place.write("before.json", before.to_string());
        let (out, _) = succeed(place.nitp(&[&slow[..], &["before.json"]].concat()));
        assert!(out.contains(words) && out.contains("GFLOP/s"), "{out}");
    }
    place.write("before.json", "{}");
    let error = fail(place.nitp(&[&slow[..], &["before.json"]].concat()), 1);
    assert!(error.contains("nitp bench --json"), "{error}");
    let error = fail(place.nitp(&["bench", "--steps", "0"]), 1);
    assert!(error.contains("at least one step"), "{error}");
}

fn json(place: &Place, arguments: &[&str]) -> Value {
    let (out, _) = succeed(place.nitp(arguments));
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn what_nitp_adds_is_measured_beside_its_flops() {
    let place = Place::new();
    let info = json(&place, &["info", "--preset", "nano", "--json"]);
    let flops = info["flops_per_token"]["overhead"].as_f64().expect("a number");
    for device in ["cpu", "gpu"] {
        let arguments = ["bench", "overhead", "--preset", "nano", "--steps", "3", "--json"];
        let report = json(&place, &[&arguments[..], &["--device", device]].concat());
        let number = |key: &str| report[0][key].as_f64().expect("a number");
        // The closed form counts only matrix products and attention.
        assert!((number("flops_share") / flops - 1.0).abs() < 0.2, "{report}, {flops}");
        assert!(number("seconds_with") > 0.0 && number("seconds_without") > 0.0, "{report}");
        let ratio = number("time_share") / number("flops_share");
        assert!((number("ratio") - ratio).abs() < 1e-9, "{report}");
    }
}

#[test]
fn experts_are_measured_beside_a_dense_layer() {
    let place = Place::new();
    for device in ["cpu", "gpu"] {
        let arguments = ["bench", "moe", "--preset", "tiny-moe", "--steps", "2", "--json"];
        let small = ["--set", "train.batch_size=1", "--set", "model.vocab_size=256"];
        let arguments = [&arguments[..], &small, &["--device", device]].concat();
        let report = &json(&place, &arguments)[0];
        assert_eq!(report["tokens"], 256);
        assert_eq!(report["dense_intermediate_size"], 360);
        let number = |key: &str| report[key].as_f64().expect("a number");
        assert!(number("moe_seconds") > 0.0 && number("dense_seconds") > 0.0, "{report}");
        assert!((number("moe_seconds") / number("dense_seconds") / number("ratio") - 1.0) < 1e-9);
    }
    let error = fail(place.nitp(&["bench", "moe", "--preset", "tiny"]), 1);
    assert!(error.contains("no experts"), "{error}");
    let error = fail(place.nitp(&["bench", "moe", "--baseline", "before.json"]), 1);
    assert!(error.contains("--baseline"), "{error}");
}

#[test]
fn a_program_without_a_window_says_how_to_get_one() {
    let place = Place::new();
    let error = fail(place.nitp(&["gui", "#nitp.wieght=2"]), 1);
    // If the program has a window, the link is the error.
    assert!(error.contains("--features gui") || error.contains("did you mean"), "{error}");
}

#[test]
fn a_way_can_be_forced_if_it_is_there() {
    let place = Place::new();
    let bench = ["bench", "--preset=nano", "--steps=1", "--json", "--tune=off"];
    let with = |more: &[&str]| place.nitp(&[&bench[..], more].concat());
    let (out, _) = succeed(with(&["--device=gpu", "--way=plain16"]));
    let report: Value = serde_json::from_str(&out).expect("one JSON object");
    let rows = report["presets"][0]["ops"].as_array().expect("rows");
    let forced = |row: &&Value| row["variant"].as_str().is_some_and(|it| it.contains("plain16"));
    let is_product = |row: &Value| row["op"].as_str().is_some_and(|it| it.starts_with("matmul"));
    assert!(rows.iter().filter(forced).all(is_product), "{report}");
    assert!(rows.iter().any(|row| forced(&row)), "{report}");

    let error = fail(with(&["--device=gpu", "--way=plane16"]), 1);
    for part in ["`plane16`", "plain16", "tile64", "--way"] {
        assert!(error.contains(part), "`{part}` is not in\n{error}");
    }
    let error = fail(with(&["--device=cpu", "--way=plain16"]), 1);
    assert!(error.contains("--way plain16 needs a GPU"), "{error}");
    let error = fail(place.nitp(&["bench", "moe", "--way=plain16"]), 1);
    assert!(error.contains("--way is for ops and steps"), "{error}");
}

#[test]
fn generation_is_timed_with_a_cache_and_without() {
    let place = Place::new();
    let arguments = ["bench", "generate", "--preset", "nano", "--steps", "1", "--json", "--device"];
    for device in ["cpu", "gpu"] {
        let (out, _) = succeed(place.nitp(&[&arguments[..], &[device]].concat()));
        let report: Value = serde_json::from_str(&out).expect("one JSON array");
        // Times are not compared: other tests run at the same time.
        for key in ["tokens_per_second", "tokens_per_second_without_cache", "ratio"] {
            assert!(report[0][key].as_f64().is_some_and(|it| it > 0.0), "{report}");
        }
    }
}
