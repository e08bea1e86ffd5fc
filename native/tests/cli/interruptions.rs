//! Stopping, killing and continuing runs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Place, comparable, succeed};

const STEPS: &str = "12";

#[test]
fn stopped_and_resumed_is_the_same_run() {
    let place = Place::new();
    for device in ["cpu", "gpu"] {
        let [whole, parts] = ["whole", "parts"].map(|name| format!("{device}-{name}"));
        succeed(place.train(&whole, &["--steps", STEPS, "--device", device]));
        let more = ["--steps", STEPS, "--device", device, "--stop-at", "5"];
        let (out, _) = succeed(place.train(&parts, &more));
        assert!(out.contains("Stopped after step 5 of 12") && out.contains("--resume"), "{out}");
        // It continues on its device, even if `auto` would choose another one for a new run.
        succeed(place.nitp(&["train", "--resume", &parts]));
        place.assert_same_end(&whole, &parts, 12);
        let same = |run: &str| {
            let mut events = comparable(&place.metrics(run));
            // The stop made a checkpoint that the uninterrupted run lacks.
            events.retain(|event| !(event["event"] == "checkpoint" && event["step"] == 5));
            events
        };
        assert_eq!(same(&whole), same(&parts));
    }
}

/// Recomputation may be switched on when a run is continued, for example on a machine with less memory.
#[test]
fn recomputation_can_change_when_a_run_goes_on() {
    let place = Place::new();
    succeed(place.train("whole", &["--steps", STEPS, "--device", "cpu"]));
    succeed(place.train("parts", &["--steps", STEPS, "--device", "cpu", "--stop-at", "5"]));
    let set = "--set=train.recompute_activations=true";
    succeed(place.nitp(&["train", "--resume", "parts", "--device", "cpu", set]));
    place.assert_same_end("whole", "parts", 12);
}

#[test]
fn a_run_can_be_made_longer() {
    let place = Place::new();
    let constant = "--set=train.schedule=constant";
    succeed(place.train("whole", &["--steps", "12", "--device", "cpu", constant]));
    succeed(place.train("longer", &["--steps", "6", "--device", "cpu", constant]));
    let resume = ["train", "--resume", "longer", "--device", "cpu"];
    let (out, _) = succeed(place.nitp(&resume));
    assert!(out.contains("complete: step 6 of 6"), "{out}");
    succeed(place.nitp(&[&resume[..], &["--steps", "12"]].concat()));
    let weights =
        |run: &str| place.read(&format!("{run}/checkpoints/step-00000012/model.safetensors"));
    assert!(weights("whole") == weights("longer"));
}

#[test]
fn a_branch_leaves_its_origin_alone() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", STEPS, "--device", "cpu"]));
    let before = place.read("run/metrics.jsonl");
    let early = "run/checkpoints/step-00000004";
    let base = ["train", "--resume", early, "--device", "cpu"];
    let error = crate::harness::fail(place.nitp(&base), 1);
    assert!(error.contains("not the newest") && error.contains("--out"), "{error}");
    succeed(place.nitp(&[&base[..], &["--out", "branch"]].concat()));
    place.assert_same_end("run", "branch", 12);
    assert!(before == place.read("run/metrics.jsonl"));
}

#[test]
fn what_decides_the_data_does_not_change_when_a_run_goes_on() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", STEPS, "--device", "cpu", "--stop-at", "5"]));
    for (set, key) in [
        ("data.validation_fraction=0.3", "data.validation_fraction"),
        ("train.batch_size=7", "train.batch_size"),
        ("data.tokenizer=other.json", "data.tokenizer"),
    ] {
        let error =
            crate::harness::fail(place.nitp(&["train", "--resume", "run", "--set", set]), 1);
        assert!(error.contains(key) && error.contains("--init"), "{error}");
    }
    succeed(place.nitp(&["train", "--resume", "run", "--device", "cpu"]));
    // A complete run can't start an empty branch.
    let branch = ["train", "--resume", "run", "--out", "branch"];
    let (out, _) = succeed(place.nitp(&branch));
    assert!(out.contains("complete: step 12 of 12"), "{out}");
    assert!(!place.path("branch").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "1", "--device", "cpu"]));
    let endless =
        ["generate", "run", "--prompt", "x", "--max-tokens", "100000000", "--device", "cpu"];
    for arguments in [&["info", "--preset", "tiny"][..], &endless] {
        let mut command = place.nitp(arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Starts a run that is too long to end by itself, and waits until its log has some steps.
fn start_long(place: &Place, run: &str, steps: usize) -> Child {
    let mut command = place.train(run, &["--steps", "100000", "--device", "cpu"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let begin = Instant::now();
    let log = place.path(run).join("metrics.jsonl");
    let lines = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    while lines() < steps {
        assert!(begin.elapsed() < Duration::from_secs(120), "the run makes no progress");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn last_checkpoint(place: &Place, run: &str) -> usize {
    let names = place.checkpoints(run);
    let last = names.last().expect("a checkpoint");
    last.trim_start_matches("step-").parse().expect("a step")
}

#[test]
#[cfg(unix)]
fn one_signal_checkpoints_and_ends_with_its_code() {
    let place = Place::new();
    for (signal, run) in [("-INT", "interrupted"), ("-TERM", "terminated")] {
        let mut child = start_long(&place, run, 10);
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        let status = child.wait().expect("it ends");
        // So that `nitp train && nitp eval` stops.
        assert_eq!(status.code(), Some(130));
        let step = last_checkpoint(&place, run);
        let events = place.metrics(run);
        let last = events.last().expect("events");
        let end = (&last["event"], last["interrupted"].as_bool());
        assert_eq!(end, (&"finished".into(), Some(true)));
        assert_eq!(last["step"].as_u64(), Some(step as u64));
        // A requested stop is no failure.
        let more = (step + 2).to_string();
        succeed(place.nitp(&["train", "--resume", run, "--stop-at", &more, "--device", "cpu"]));
    }
}

#[test]
fn kill_at_any_moment_leaves_a_run_that_resumes() {
    let place = Place::new();
    let constant = "--set=train.schedule=constant";
    // At different times: during steps, evaluations and the writing of a checkpoint.
    let mut child = start_long(&place, "run", 25);
    for lines in [70, 121, 260] {
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        let command = ["train", "--resume", "run", "--device", "cpu"];
        let mut command = place.nitp(&command);
        child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let begin = Instant::now();
        let log = place.path("run/metrics.jsonl");
        while std::fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < lines {
            assert!(begin.elapsed() < Duration::from_secs(120), "the run makes no progress");
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    // Warm-up and the constant rate after it do not depend on the length of the run.
    let end = last_checkpoint(&place, "run") + 3;
    let end = end.to_string();
    succeed(place.nitp(&["train", "--resume", "run", "--stop-at", &end, "--device", "cpu"]));
    let whole = ["--steps", "100000", "--stop-at", &end, "--device", "cpu", constant];
    succeed(place.train("whole", &whole));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let bytes = |run: &str| {
            let step: usize = end.parse().expect("a number");
            place.read(&format!("{run}/checkpoints/step-{step:08}/{file}"))
        };
        assert!(bytes("run") == bytes("whole"), "{file}");
    }
    let steps = |run: &str| -> Vec<_> {
        let events = comparable(&place.metrics(run));
        events.into_iter().filter(|event| event["event"] == "step").collect()
    };
    assert_eq!(steps("run"), steps("whole"));
}

#[test]
fn two_processes_do_not_share_a_run() {
    let place = Place::new();
    let mut child = start_long(&place, "run", 12);
    let error = crate::harness::fail(place.nitp(&["train", "--resume", "run"]), 1);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert!(error.contains("another process"), "{error}");
}

#[test]
#[cfg(unix)]
fn a_signal_ends_a_prompt_line() {
    use std::io::{BufRead, BufReader};

    let place = Place::new();
    succeed(place.train("run", &["--steps", "1", "--device", "cpu"]));
    let mut command = place.nitp(&["generate", "run", "--interactive", "--device", "cpu"]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("it starts");
    // Kept open: at its end, the program would end by itself.
    let _stdin = child.stdin.take();
    let mut line = String::new();
    let stderr = child.stderr.take().expect("it is piped");
    BufReader::new(stderr).read_line(&mut line).expect("it says how it is used");
    assert!(line.contains("Ctrl-D"), "{line}");
    // SAFETY: a child that was not waited for keeps its id.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}
