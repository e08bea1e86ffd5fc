//! Kernels are measured once on an adapter, and the measurements are saved.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Place, fail, succeed};

/// The file of the adapter that `--device gpu` chooses.
fn file(place: &Place) -> Option<PathBuf> {
    let folder = fs::read_dir(place.path("cache")).ok()?;
    let mut paths = folder.map(|entry| entry.expect("an entry").path());
    paths.find(|path| path.extension().is_some_and(|it| it == "json"))
}

/// Runs a training and returns its stderr.
fn train(place: &Place, out: &str, tune: &str) -> String {
    let more = ["--device", "gpu", "--steps", "2", "--tune", tune];
    succeed(place.train(out, &more)).1
}

fn weights(place: &Place, run: &str) -> Vec<u8> {
    place.read(&format!("{run}/checkpoints/step-00000002/model.safetensors"))
}

#[test]
fn what_was_measured_is_kept_and_gives_the_same_bits() {
    let place = Place::new();
    let said = train(&place, "off", "off");
    assert!(!said.contains("Measured") && file(&place).is_none(), "{said}");
    let said = train(&place, "first", "auto");
    assert!(said.contains("Measured"), "{said}");
    let path = file(&place).expect("a file of what was measured");
    let text = fs::read_to_string(&path).expect("it can be read");
    let kept: Value = serde_json::from_str(&text).expect("JSON");
    let ops = kept["ops"].as_object().expect("ops by their sizes");
    assert!(!ops.is_empty(), "{text}");
    for (op, choice) in ops {
        let times = choice["microseconds"].as_object().expect("times by variant");
        let chosen = choice["variant"].as_str().expect("a name");
        assert!(times.len() > 1 && times.contains_key(chosen), "{op}: {choice}");
        assert!(times.values().all(|it| it.as_f64().is_some_and(|it| it > 0.0)), "{op}: {choice}");
    }
    let said = train(&place, "second", "auto");
    assert!(!said.contains("Measured"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("it can be read"), text);
    assert_eq!(weights(&place, "first"), weights(&place, "second"));
    let said = train(&place, "again", "again");
    assert!(said.contains("Measured"), "{said}");
}

#[test]
fn a_file_that_does_not_fit_is_told_and_written_anew() {
    let place = Place::new();
    train(&place, "first", "auto");
    let path = file(&place).expect("a file");
    let good = fs::read_to_string(&path).expect("it can be read");
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(good.contains(&version) && good.contains("\"adapter\": \""), "{good}");
    for (run, bad, why) in [
        ("cut", good[..good.len() / 2].to_owned(), "broken"),
        ("old", good.replacen(&version, "\"version\": \"0.0.1\"", 1), "0.0.1"),
        ("elsewhere", good.replacen("\"adapter\": \"", "\"adapter\": \"another ", 1), "another "),
    ] {
        fs::write(&path, bad).expect("it can be written");
        let said = train(&place, run, "auto");
        assert!(said.contains("warning") && said.contains(why), "{run}: {said}");
        assert!(said.contains("Measured"), "{run}: {said}");
        let text = fs::read_to_string(&path).expect("it can be read");
        assert!(text.contains(&version) && !text.contains("another "), "{run}: {text}");
    }
}

#[test]
fn a_run_that_goes_on_keeps_its_kernels() {
    let place = Place::new();
    let part = |out: &str, more: &[&str]| {
        let options = ["--device", "gpu", "--steps", "3", "--tune", "off"];
        succeed(place.train(out, &[&options[..], more].concat())).1
    };
    part("whole", &[]);
    part("parts", &["--stop-at", "2"]);
    let (_, said) = succeed(place.nitp(&["train", "--resume", "parts"]));
    assert!(!said.contains("Measured") && !said.contains("warning"), "{said}");
    place.assert_same_end("whole", "parts", 3);

    part("moved", &["--stop-at", "2"]);
    let path = place.path("moved/machine.json");
    let text = fs::read_to_string(&path).expect("a run keeps what it trained on");
    let machine: Value = serde_json::from_str(&text).expect("JSON");
    let adapter = machine["adapter"].as_str().expect("a name");
    fs::write(&path, text.replace(adapter, "a card that was sold")).expect("it can be written");
    let (_, said) = succeed(place.nitp(&["train", "--resume", "moved"]));
    assert!(said.contains("a card that was sold") && said.contains("last digits"), "{said}");

    part("broken", &["--stop-at", "2"]);
    fs::write(place.path("broken/machine.json"), "{").expect("it can be written");
    let (_, said) = succeed(place.nitp(&["train", "--resume", "broken", "--device", "cpu"]));
    assert!(said.contains("machine.json is not used: it is broken"), "{said}");
}

#[test]
fn a_run_by_matrix_units_does_not_go_on_without_them_unasked() {
    let place = Place::new();
    let mixed = ["--device=gpu", "--tune=off", "--set=train.precision=mixed"];
    let options = ["--steps=3", "--stop-at=2"];
    succeed(place.train("units", &[&mixed[..], &options].concat()));
    let path = place.path("units/machine.json");
    let text = fs::read_to_string(&path).expect("a run keeps what it trained on");
    let mut machine: Value = serde_json::from_str(&text).expect("JSON");
    assert!(machine.get("matrix_units").is_none(), "adapters in software have none: {text}");
    machine["matrix_units"] = 16.into();
    fs::write(&path, machine.to_string()).expect("it can be written");

    let resume = ["train", "--resume=units"];
    let error = fail(place.nitp(&resume), 1);
    for part in ["16 x 16 x 16", "no matrix units", "--tune again", "--out DIR"] {
        assert!(error.contains(part), "`{part}` is not in\n{error}");
    }
    let branch = [&resume[..], &["--out=branch"]].concat();
    succeed(place.nitp(&branch));
    succeed(place.nitp(&[&resume[..], &["--tune=again", "--set=train.steps=3"]].concat()));
}
