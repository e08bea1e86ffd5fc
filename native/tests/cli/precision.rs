//! `train.precision = "mixed"` from end to end.

use serde_json::Value;

use crate::harness::{Place, fail, succeed};

const MIXED: &str = "--set=train.precision=mixed";

#[test]
fn without_an_adapter_that_has_halves_auto_refuses_it_before_anything_is_made() {
    let place = Place::new();
    // A backend that this program is built without, so that no adapter is found.
    let mut command = place.train("run", &["--device", "auto", "--steps", "3", MIXED]);
    command.env("WGPU_BACKEND", "gl");
    let error = fail(command, 1);
    for part in [
        "train.precision = \"mixed\"",
        "shader-f16",
        "there is no GPU adapter",
        "train.precision=f32",
        "--device cpu",
    ] {
        assert!(error.contains(part), "`{part}` is not in\n{error}");
    }
    assert!(!place.path("run").exists());
    let mut command = place.nitp(&["bench", "step", "--preset", "nano", "--set"]);
    command.arg("train.precision=mixed").env("WGPU_BACKEND", "gl");
    let error = fail(command, 1);
    assert!(error.contains("shader-f16"), "{error}");
}

#[test]
fn an_adapter_with_halves_trains_in_them_and_one_without_is_refused() {
    let place = Place::new();
    let arguments = ["info", "--preset", "nano", "--json", "--set", "train.precision=mixed"];
    let (out, _) = succeed(place.nitp(&arguments));
    let info: Value = serde_json::from_str(&out).expect("one JSON object");
    let command = place.train("run", &["--device", "gpu", "--steps", "3", MIXED]);
    if info["adapters"][0]["fits"] == true {
        succeed(command);
        let events = place.metrics("run");
        let steps = events.iter().filter(|event| event["event"] == "step");
        assert_eq!(steps.filter(|step| step["loss_scale"].is_number()).count(), 3);
    } else {
        let reason = info["adapters"][0]["reason"].as_str().expect("a reason");
        let error = fail(command, 1);
        assert!(error.contains(reason) && reason.contains("shader-f16"), "{error}");
        assert!(!place.path("run").exists());
    }
}

#[test]
fn the_cpu_emulates_it_and_says_so_and_what_is_saved_is_f32() {
    let place = Place::new();
    let more = ["--device", "cpu", "--steps", "8", MIXED];
    let (out, _) = succeed(place.train("run", &more));
    assert_eq!(out.matches("emulating mixed precision").count(), 1, "{out}");
    let events = place.metrics("run");
    let steps: Vec<_> = events.iter().filter(|event| event["event"] == "step").collect();
    assert_eq!(steps.len(), 8);
    // Gradients of 32 tokens are large: the scale halves until they fit, and then does not change.
    let skipped = steps.iter().filter(|step| step["skipped"] == true).count();
    assert!(skipped <= 4, "{steps:?}");
    for (at, step) in steps.iter().enumerate() {
        assert_eq!(step["skipped"] == true, at < skipped, "{steps:?}");
        assert_eq!(step["loss_scale"], 65536.0 / f64::from(1 << at.min(skipped)), "{steps:?}");
    }
    // On any device, with the weights in f32, without emulation.
    for command in [
        &["eval", "run", "--json"][..],
        &["generate", "run", "--prompt", "The", "--max-tokens", "3"],
    ] {
        for device in ["cpu", "gpu"] {
            let (out, err) = succeed(place.nitp(&[command, &["--device", device]].concat()));
            assert!(!out.contains("emulating") && !err.contains("emulating"), "{out}{err}");
        }
    }
    // A continued run is exact.
    succeed(place.train("half", &[&more[..], &["--stop-at", "4"]].concat()));
    succeed(place.nitp(&["train", "--resume", "half", "--device", "cpu"]));
    place.assert_same_end("run", "half", 8);
}

#[test]
fn info_tells_what_it_saves() {
    let place = Place::new();
    let info = |precision: &str| {
        let set = format!("train.precision={precision}");
        let arguments = ["info", "--preset", "small", "--set", &set];
        let (text, _) = succeed(place.nitp(&arguments));
        let (json, _) = succeed(place.nitp(&[&arguments[..], &["--json"]].concat()));
        (text, serde_json::from_str::<Value>(&json).expect("one JSON object"))
    };
    let ((plain_text, plain), (text, mixed)) = (info("f32"), info("mixed"));
    let bytes = |info: &Value, part: &str| info["memory_bytes"][part].as_f64().expect("a number");
    assert!(bytes(&mixed, "activations") < 0.7 * bytes(&plain, "activations"));
    assert_eq!(bytes(&mixed, "weights"), bytes(&plain, "weights"));
    assert_eq!(bytes(&plain, "working_copies"), 0.0);
    assert!(bytes(&mixed, "working_copies") > 0.4 * bytes(&mixed, "weights"));
    assert!(text.contains("working copies") && !plain_text.contains("working copies"), "{text}");
}
