//! `compare`, `ablate` and `sweep`: the same numbers each time, even after interruptions.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;

use crate::harness::{NANO, Place, fail, succeed};

/// A comparison of the small model on the place's text.
fn lab(place: &Place, command: &[&str], out: &str, more: &[&str]) -> Command {
    let common = ["--data", "text.txt", "--device", "cpu", "--out", out];
    place.nitp(&[command, NANO, &common, more].concat())
}

/// All parts of a report that are determined by the seeds.
fn report(place: &Place, out: &str) -> Value {
    let bytes = place.read(&format!("{out}/report.json"));
    let mut report: Value = serde_json::from_slice(&bytes).expect("JSON");
    report.as_object_mut().expect("an object").remove("costs");
    report
}

#[test]
fn the_same_command_gives_the_same_numbers_even_if_it_is_killed() {
    let place = Place::new();
    let options = ["--steps=24", "--seeds=2"];
    let (said, _) = succeed(lab(&place, &["compare"], "whole", &options));
    assert!(said.contains("2 arms x 2 seeds = 4 runs") && said.contains("held-out loss"), "{said}");
    for file in ["report.html", "runs.csv", "curves.csv", "runs/nitp/seed-1/metrics.jsonl"] {
        assert!(place.path("whole").join(file).is_file(), "no {file}");
    }

    let mut child = lab(&place, &["compare"], "killed", &options)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let first = place.path("killed/runs/ntp/seed-0.json");
    let begin = Instant::now();
    while !first.exists() && begin.elapsed() < Duration::from_secs(120) {
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert!(first.exists(), "no run ended in time");
    let done = fs::metadata(place.path("killed/runs/ntp/seed-0/config.toml")).expect("a run");
    succeed(lab(&place, &["compare"], "killed", &options));
    let after = fs::metadata(place.path("killed/runs/ntp/seed-0/config.toml")).expect("a run");
    assert_eq!(done.modified().unwrap(), after.modified().unwrap(), "a finished run was repeated");
    assert_eq!(report(&place, "whole"), report(&place, "killed"));

    // Nothing is left to do: the same report without further training.
    let (again, _) = succeed(lab(&place, &["compare"], "whole", &options));
    assert!(!again.contains("1/4"), "{again}");

    let html = String::from_utf8(place.read("whole/report.html")).expect("UTF-8");
    for part in ["Compared: ntp, nitp", "95 % interval", "<svg", "nitp compare"] {
        assert!(html.contains(part), "`{part}` is not in the report");
    }
    let outside = ["<script", "<link", "src=", "@import", "url("];
    assert!(outside.iter().all(|it| !html.contains(it)), "the report needs another file");
}

#[test]
fn arms_see_the_same_batches_and_one_that_diverges_is_shown() {
    let place = Place::new();
    let arms = [
        "--arms=ntp",
        "--arm=hot:train.learning_rate=1e30,train.grad_clip=0",
        "--arm=half:nitp.weight=0.5",
    ];
    let (said, _) = succeed(lab(
        &place,
        &["compare"],
        "lab",
        &[&arms[..], &["--steps=8", "--seeds=2"]].concat(),
    ));
    assert!(said.contains("hot: 2 of 2 runs diverged"), "{said}");
    let report = report(&place, "lab");
    let runs = |arm: usize| report["arms"][arm]["runs"].as_array().expect("runs").clone();
    for seed in 0..2 {
        assert_eq!(runs(0)[seed]["batches"], runs(2)[seed]["batches"]);
        assert_eq!(runs(1)[seed]["status"], "diverged");
        assert!(runs(1)[seed]["reason"].as_str().expect("words").starts_with("step "), "{report}");
    }
    assert_ne!(runs(0)[0]["batches"], runs(0)[1]["batches"]);
    let loss = &report["results"][0]["rows"];
    assert!(loss[1]["mean"].is_null() && loss[2]["difference"]["interval"].is_array(), "{loss}");
    let csv = String::from_utf8(place.read("lab/runs.csv")).expect("UTF-8");
    assert!(csv.contains("hot,0,diverged,") && csv.contains("half,1,finished,"), "{csv}");
}

#[test]
fn cheaper_arms_train_for_longer_where_flops_are_matched() {
    let place = Place::new();
    let (said, _) =
        succeed(lab(&place, &["compare"], "lab", &["--steps=10", "--seeds=1", "--match=flops"]));
    assert!(said.contains("One seed gives no interval"), "{said}");
    let report = report(&place, "lab");
    let arm = |index: usize, key: &str| report["arms"][index][key].as_f64().expect("a number");
    assert!(arm(0, "steps") > arm(1, "steps") && arm(1, "steps") == 10.0, "{report}");
    let ratio = arm(0, "flops") / arm(1, "flops");
    assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    assert!(report["results"][0]["rows"][1]["difference"]["interval"].is_null(), "{report}");
}

#[test]
fn ablations_and_sweeps_are_grids_of_arms() {
    let place = Place::new();
    let small = ["--steps=2", "--seeds=1"];
    let names = |out: &str| -> Vec<String> {
        let report = report(&place, out);
        let arms = report["arms"].as_array().expect("arms").iter();
        arms.map(|arm| arm["name"].as_str().expect("a name").to_owned()).collect()
    };
    succeed(lab(&place, &["ablate", "shift"], "shift", &small));
    assert_eq!(names("shift"), ["ntp", "nitp", "shift=current"]);
    let axes = ["--axis=nitp.target_layer=0,1", "--axis=nitp.loss=mse"];
    succeed(lab(&place, &["ablate"], "grid", &[&axes[..], &small].concat()));
    assert_eq!(names("grid"), ["ntp", "target_layer=0,loss=mse", "target_layer=1,loss=mse"]);
    succeed(lab(&place, &["sweep"], "sweep", &[&["--lambda=0.5,2"][..], &small].concat()));
    assert_eq!(names("sweep"), ["ntp", "weight=0.5", "weight=2"]);
}

/// Rivals train from the same seeds on the same batches, end with a checkpoint for other commands, and can be
/// continued.
#[test]
fn rivals_are_arms_and_their_runs_are_ordinary_runs() {
    let place = Place::new();
    let arms = ["--arms=ntp,mtp,nextlat,nitp+top", "--steps=6", "--seeds=1", "--no-probe"];
    succeed(lab(&place, &["compare"], "lab", &arms));
    let report = report(&place, "lab");
    let value = |key: &str, arm: usize| {
        let results = report["results"].as_array().expect("results");
        let metric = results.iter().find(|it| it["key"] == key).expect("a metric");
        metric["rows"][arm]["values"][0].as_f64()
    };
    for (key, with) in [
        ("val_loss", [true; 4]),
        ("nitp_loss", [false, false, false, true]),
        ("mtp_loss", [false, true, false, false]),
        ("nextlat_loss", [false, false, true, false]),
        ("nextlat_kl", [false, false, true, false]),
        ("top_loss", [false, false, false, true]),
    ] {
        for (arm, with) in with.into_iter().enumerate() {
            assert_eq!(value(key, arm).is_some_and(|it| it > 0.0), with, "{key} of arm {arm}");
        }
    }
    let overhead = |arm: usize| report["arms"][arm]["flops_overhead"].as_f64().expect("a number");
    assert!((1..4).all(|arm| overhead(arm) > 0.05) && overhead(0) == 0.0);
    // A rival's run can be evaluated, generates text, and gives its weights to a model without its head.
    let run = "lab/runs/mtp/seed-0";
    let (said, _) = succeed(place.nitp(&["eval", run, "--device=cpu"]));
    assert!(said.contains("MTP loss"), "{said}");
    succeed(place.nitp(&["generate", run, "--prompt=a", "--max-tokens=3", "--device=cpu"]));
    let init =
        [&["train"][..], NANO, &["--data", "text.txt", "--device=cpu", "--steps=2"]].concat();
    let init =
        [&init[..], &["--init", run, "--out", "after", "--set", "mtp.head=parallel"]].concat();
    succeed(place.nitp(&init));
}

#[test]
fn what_can_not_be_compared_is_refused_before_anything_trains() {
    let place = Place::new();
    let refused = |command: &[&str], more: &[&str], parts: &[&str]| {
        let error = fail(lab(&place, command, "lab", more), 1);
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in\n{error}");
        }
        assert!(!place.path("lab").exists(), "{command:?} {more:?} made a folder");
    };
    refused(&["compare"], &["--seeds=0"], &["at least one seed"]);
    refused(&["compare"], &["--arms=ntp,nitq"], &["`nitq`", "ntp (alone), nitp, mtp"]);
    refused(&["compare"], &["--arm=x"], &["NAME:SECTION.KEY=VALUE"]);
    refused(&["compare"], &["--arm=ntp:nitp.weight=1"], &["two arms are called `ntp`"]);
    refused(&["compare"], &["--arm=x:nitp.lamda=1"], &["the arm `x`", "nitp.lamda"]);
    refused(&["ablate"], &[], &["nitp ablate all"]);
    refused(&["ablate", "losses"], &[], &["no table `losses`", "stop-gradient"]);
    refused(&["ablate"], &["--axis=nitp.lamda=1,2"], &["unknown key `nitp.lamda`"]);
    let many: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    let many = format!("--axis=train.warmup_steps={}", many.join(","));
    refused(&["ablate"], &[&many], &["123 runs are many", "--yes"]);
    refused(
        &["ablate"],
        &[
            &many,
            &many.replace("warmup_steps", "eval_batches").replace("=0,", "=50,"),
            "--axis=nitp.target_layer=0,1",
        ],
        &["3200 arms", "at most 1000"],
    );
    refused(&["sweep"], &[], &["--lambda"]);

    succeed(lab(&place, &["compare"], "lab", &["--steps=2", "--seeds=1"]));
    let before = place.read("lab/report.html");
    let other = fail(lab(&place, &["compare"], "lab", &["--steps=3", "--seeds=1"]), 1);
    assert!(other.contains("holds another experiment (configuration differ"), "{other}");
    assert_eq!(before, place.read("lab/report.html"));
    place.write("mine/notes.txt", "mine");
    let other = fail(lab(&place, &["compare"], "mine", &["--steps=2"]), 1);
    assert!(other.contains("holds no experiment"), "{other}");
}
