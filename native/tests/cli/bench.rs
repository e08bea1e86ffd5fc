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
        // The parts make up most of the whole, and none is free.
        let number = |row: &Value, key: &str| row[key].as_f64().expect("a number");
        let all: f64 =
            rows.iter().map(|row| number(row, "calls") * number(row, "seconds_median")).sum();
        let whole = number(preset, "seconds_median");
        assert!(all > 0.1 * whole && all < 3.0 * whole, "{device}: {all} of {whole}");
        assert!(rows.iter().all(|row| number(row, "seconds_min") > 0.0));
        let kernel = if device == "cpu" { "fast" } else { "matmul_nt" };
        assert!(rows.iter().any(|row| row["variant"] == kernel), "{report}");
    }
}

#[test]
fn what_got_slower_is_told() {
    let place = Place::new();
    let mut before = report(&place, "cpu");
    let slow = ["bench", "--preset", "nano", "--steps", "2", "--device", "cpu", "--baseline"];
    for (factor, words) in [(1e-3, "Slower than the baseline"), (1e6, "none is more than")] {
        // A thousandth of what was measured, then a thousand times as much.
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

#[test]
fn a_program_without_a_window_says_how_to_get_one() {
    let place = Place::new();
    let error = fail(place.nitp(&["gui", "#nitp.wieght=2"]), 1);
    // Where it has a window, what is wrong is the link.
    assert!(error.contains("--features gui") || error.contains("did you mean"), "{error}");
}
