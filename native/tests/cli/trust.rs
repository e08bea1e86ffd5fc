//! The program's statements are true, and no input harms a run.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::harness::{Place, fail, succeed};

const LAST: &str = "run/checkpoints/step-00000004";

/// A run of four steps, with its only checkpoint after the last.
fn short_run() -> Place {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    place
}

/// All commands that read the run's weights; with `all` false, only those that also read its moments.
fn readers(all: bool) -> Vec<Vec<&'static str>> {
    let resume = vec!["train", "--resume", "run", "--steps", "9", "--device", "cpu"];
    let mut readers = vec![resume];
    if all {
        let init = ["--init", "run", "--preset", "nano", "--data", "text.txt", "--out", "other"];
        readers.push([&["train", "--device", "cpu"][..], &init].concat());
        readers.push(vec!["eval", "run", "--device", "cpu"]);
        readers.push(vec!["generate", "run", "--prompt", "x", "--device", "cpu"]);
    }
    readers
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

/// Starts of the bytes of two tensors of equal shape, and their length.
fn twins(bytes: &[u8]) -> (usize, usize, usize) {
    let (header, metadata) = SafeTensors::read_metadata(bytes).expect("a header");
    let range = |name: &str| metadata.info(name).expect("a tensor").data_offsets;
    let (a, b) = (
        range("model.layers.0.self_attn.k_proj.weight"),
        range("model.layers.1.self_attn.k_proj.weight"),
    );
    assert_eq!(a.1 - a.0, b.1 - b.0);
    (8 + header + a.0, 8 + header + b.0, a.1 - a.0)
}

#[test]
fn changed_bytes_are_never_taken_for_those_that_were_written() {
    let place = short_run();
    for (file, all) in [("model.safetensors", true), ("optimizer.safetensors", false)] {
        let path = format!("{LAST}/{file}");
        let whole = place.read(&path);
        let mut changes = Vec::new();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        changes.push(flipped);
        let mut zeroed = whole.clone();
        zeroed[middle..][..4096].fill(0);
        changes.push(zeroed);
        if all {
            let (a, b, len) = twins(&whole);
            let mut swapped = whole.clone();
            swapped[a..a + len].copy_from_slice(&whole[b..b + len]);
            swapped[b..b + len].copy_from_slice(&whole[a..a + len]);
            changes.push(swapped);
        }
        for changed in changes {
            assert!(changed != whole);
            place.write(&path, changed);
            for reader in readers(all) {
                let error = fail(place.nitp(&reader), 1);
                contains(&error, &[&path, "SHA-256", "trainer.json says", "another checkpoint"]);
            }
        }
        place.write(&path, whole);
    }
    assert!(!place.path("other").exists());
    for reader in readers(true) {
        succeed(place.nitp(&reader));
    }
}

#[test]
fn a_step_that_is_not_its_folders_is_refused() {
    let place = short_run();
    let trainer = format!("{LAST}/trainer.json");
    let whole = String::from_utf8(place.read(&trainer)).expect("UTF-8");
    place.write(&trainer, whole.replace("\"step\": 4,", "\"step\": 2,"));
    for reader in readers(true) {
        contains(&fail(place.nitp(&reader), 1), &["step-00000004"]);
    }
    // Without digests, only the step reveals the change.
    place.write(&trainer, old_trainer(&whole, 2));
    let resume = ["train", "--resume", LAST, "--steps", "9", "--device", "cpu"];
    contains(&fail(place.nitp(&resume), 1), &["of step 2", "folder is named step-00000004"]);
}

/// `trainer.json` in the version without digests.
fn old_trainer(new: &str, step: usize) -> String {
    let new: serde_json::Value = serde_json::from_str(new).expect("JSON");
    let mut old = new["state"].clone();
    old["version"] = 1.into();
    old["step"] = step.into();
    old.to_string()
}

#[test]
fn checkpoints_of_before_are_read_with_a_warning() {
    let place = short_run();
    let trainer = format!("{LAST}/trainer.json");
    let whole = String::from_utf8(place.read(&trainer)).expect("UTF-8");
    place.write(&trainer, old_trainer(&whole, 4));
    // The command that continues the run is last, because it saves new checkpoints.
    for reader in readers(true).into_iter().rev() {
        contains(&succeed(place.nitp(&reader)).1, &["version without digests"]);
    }
}

#[test]
fn weights_that_are_no_numbers_are_not_measured() {
    let place = short_run();
    let trainer = format!("{LAST}/trainer.json");
    let whole = String::from_utf8(place.read(&trainer)).expect("UTF-8");
    place.write(&trainer, old_trainer(&whole, 4));
    let model = format!("{LAST}/model.safetensors");
    let mut bytes = place.read(&model);
    let (at, _, _) = twins(&bytes);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    place.write(&model, &bytes);
    for reader in readers(true) {
        contains(&fail(place.nitp(&reader), 1), &["k_proj.weight", "is NaN"]);
    }
    // Weights that overflow only in computations.
    for row in 0..32 {
        bytes[at + 4 * row..][..4].copy_from_slice(&f32::MAX.to_le_bytes());
    }
    place.write(&model, &bytes);
    let error = fail(place.nitp(&["eval", "run", "--json", "--device", "cpu"]), 1);
    contains(&error, &["overflow", "earlier checkpoint"]);
}

/// A file of the run's weights with one additional tensor.
fn with_another(place: &Place, name: &str, like: &str) -> Vec<u8> {
    let bytes = place.read(&format!("{LAST}/model.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).expect("a whole file");
    let twin = tensors.tensor(like).expect("a tensor");
    let data: Vec<u8> = twin.data().iter().map(|byte| byte ^ 1).collect();
    let more = TensorView::new(Dtype::F32, twin.shape().to_vec(), &data).expect("a tensor");
    let all = tensors.tensors().into_iter().chain([(name.to_owned(), more)]);
    safetensors::serialize(all, None::<HashMap<String, String>>).expect("it serialises")
}

#[test]
fn every_tensor_of_initial_weights_is_used_or_named() {
    let place = short_run();
    let norm = "model.norm.weight";
    for (name, like) in [
        ("model.layers.0.self_attn.q_proj.bias", norm),
        ("model.layers.0.self_attn.q_norm.weight", norm),
        ("model.layers.77.input_layernorm.weight", norm),
    ] {
        place.write("foreign.safetensors", with_another(&place, name, like));
        let error =
            fail(place.train("x", &["--init", "foreign.safetensors", "--device", "cpu"]), 1);
        contains(&error, &["foreign.safetensors", name, "this configuration lacks"]);
        assert!(!place.path("x").exists());
    }
    // A separate unembedding, although the model ties it to the embedding.
    place.write("plain.safetensors", place.read(&format!("{LAST}/model.safetensors")));
    let tied = "--set=model.tie_word_embeddings=true";
    let error = fail(place.train("x", &["--init", "plain.safetensors", tied]), 1);
    contains(&error, &["lm_head.weight", "tie_word_embeddings=false"]);
    // Heads that only training uses may be ignored.
    let bare = ["--init", "run", "--set=nitp.enabled=false", "--steps", "1", "--device", "cpu"];
    succeed(place.train("bare", &bare));
}

#[test]
fn settings_that_make_another_model_of_the_weights_are_named() {
    let place = short_run();
    let init =
        |more: &str| ["--steps", "1", "--device", "cpu", "--init", "run", more].map(str::to_owned);
    for (set, key) in [
        ("model.rope_theta=500000", "model.rope_theta is 500000.0 here and was 10000.0"),
        ("model.rms_norm_eps=0.1", "model.rms_norm_eps"),
        ("model.num_key_value_heads=1", "model.num_key_value_heads"),
        ("model.hidden_size=64", "model.hidden_size is 64 here and was 32"),
        ("model.moe.num_experts=4", "model.moe is a mixture of 4 experts here and was none"),
    ] {
        let arguments = init(&format!("--set={set}"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        contains(&fail(place.train("x", &arguments), 1), &[key, "model.safetensors alone"]);
    }
    // As the message advises; and settings that only affect training.
    place.write("copy.safetensors", place.read(&format!("{LAST}/model.safetensors")));
    let theta = "--set=model.rope_theta=500000";
    let meant = ["--steps", "1", "--device", "cpu", "--init", "copy.safetensors", theta];
    succeed(place.train("meant", &meant));
    let arguments = init("--set=model.initializer_range=0.5");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    succeed(place.train("range", &arguments));
    // A plain file name with a configuration in the same folder; and another program's configuration.
    for (name, text) in [
        ("beside/config.toml", place.read("run/config.toml")),
        ("foreign/config.toml", b"[server]\nport = 1\n".to_vec()),
    ] {
        place.write(name, text);
        let file = name.replace("config.toml", "model.safetensors");
        place.write(&file, place.read("copy.safetensors"));
    }
    let inside = |folder: &str| {
        let mut command = place.train(
            "../inside",
            &[
                "--steps=1",
                "--device=cpu",
                "--init=model.safetensors",
                theta,
                "--data",
                "../text.txt",
            ],
        );
        command.current_dir(place.path(folder));
        command
    };
    contains(&fail(inside("beside"), 1), &["model.rope_theta is 500000.0 here and was 10000.0"]);
    let (out, err) = succeed(inside("foreign"));
    contains(&(out + &err), &["config.toml has no section [model]"]);
    // A configuration that was edited after its checkpoint, with and without digests.
    let config = String::from_utf8(place.read("run/config.toml")).expect("UTF-8");
    let edited = config.replace("rope_theta = 10000.0", "rope_theta = 20000.0");
    assert!(edited != config);
    place.write("run/config.toml", edited);
    for reader in readers(true).iter().filter(|reader| !reader.contains(&"--init")) {
        contains(&fail(place.nitp(reader), 1), &["model.rope_theta is 20000.0 here"]);
    }
    let trainer = format!("{LAST}/trainer.json");
    let whole = String::from_utf8(place.read(&trainer)).expect("UTF-8");
    place.write(&trainer, old_trainer(&whole, 4));
    let error = fail(place.nitp(&readers(true)[1]), 1);
    contains(&error, &["model.rope_theta is 10000.0 here and was 20000.0"]);
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_failure_of_every_command() {
    let place = short_run();
    let tokenizer = ["--vocab-size", "260", "--data", "text.txt", "--out", "t.json"];
    let tokenizer = [&["tokenizer", "train"][..], &tokenizer].concat();
    let trace = ["trace", "--preset", "nano", "--data", "text.txt", "--steps", "1"];
    let trace = [&trace[..], &["--device", "cpu", "--out", "t.safetensors"]].concat();
    for arguments in [
        &["eval", "run", "--device", "cpu"][..],
        &["eval", "run", "--json", "--device", "cpu"],
        // So many tokens that it ends only by a closed pipe.
        &["generate", "run", "--prompt", "x", "--max-tokens", "100000000", "--device", "cpu"],
        &["info"],
        &["info", "--preset", "nano", "--json"],
        &["devices"],
        &["help"],
        &["--version"],
        &["train", "--resume", "run"],
        &["train", "--resume", "run", "--steps", "6", "--device", "cpu"],
        &tokenizer[..],
        &trace[..],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let output = place.nitp(arguments).stdout(full).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}\n{error}");
        contains(&error, &["writing to the standard output", "No space left"]);
    }
    // A run continues with a closed output, and is saved.
    assert!(place.path("run/checkpoints/step-00000006/trainer.json").is_file());
}

#[test]
#[cfg(unix)]
fn a_log_does_not_tell_of_an_end_that_was_not_saved() {
    let place = Place::new();
    let program = place.train("my run", &["--steps", "4", "--device", "cpu"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    command.current_dir(place.path("")).env("NITP_CACHE_DIR", place.path("cache"));
    let error = fail(command, 1);
    contains(&error, &["saving the checkpoint of step 4", "--out 'my run'"]);
    let events = place.metrics("my run");
    assert!(events.iter().any(|event| event["step"] == 4));
    assert!(
        events.iter().all(|event| event["event"] != "finished" && event["event"] != "checkpoint")
    );
    assert!(place.checkpoints("my run").is_empty());
    // The command in the message works, and the log starts again.
    let out = suggested(&place, &error, &[]);
    contains(&out, &["in place of one without a checkpoint", "nitp eval 'my run'"]);
    assert_eq!(place.metrics("my run").iter().filter(|it| it["event"] == "start").count(), 1);
}

/// Runs the command between backticks in a message in a shell, and returns its output.
fn suggested(place: &Place, message: &str, more: &[&str]) -> String {
    let command = message.split('`').find(|part| part.starts_with("nitp ")).expect("a command");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_nitp")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", &[&[command], more].concat().join(" ")]);
    shell.current_dir(place.path("")).env("NITP_CACHE_DIR", place.path("cache"));
    shell.env("PATH", format!("{}:{path}", folder.display()));
    succeed(shell).0
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn wait_for(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < Duration::from_secs(120), "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_begins_anew_in_its_place() {
    let place = short_run();
    let long = [
        "--steps=100000",
        "--set=train.checkpoint_interval=0",
        "--device=cpu",
        "--init=run",
        "--set=nitp.weight=0.25",
    ];
    let mut child = start(place.train("a run", &long));
    let log = place.path("a run/metrics.jsonl");
    wait_for(|| fs::read_to_string(&log).is_ok_and(|text| text.lines().count() > 5));
    // Not while the process runs.
    let error = fail(place.train("a run", &["--steps", "2", "--device", "cpu"]), 1);
    contains(&error, &["another process"]);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let error = fail(place.nitp(&["train", "--resume", "a run"]), 1);
    contains(&error, &["before its first checkpoint", "/run --out 'a run'", "--init "]);
    let out = suggested(&place, &error, &["--stop-at", "2"]);
    contains(&out, &["in place of one without a checkpoint", "nitp train --resume 'a run'"]);
    assert_eq!(place.checkpoints("a run"), ["step-00000002"]);
    let config = String::from_utf8(place.read("a run/config.toml")).expect("UTF-8");
    contains(&config, &["steps = 100000", "weight = 0.25"]);
    // Runs with a checkpoint, and users' own files, are not replaced.
    let error = fail(place.train("a run", &["--steps", "2"]), 1);
    contains(&error, &["exists already", "`nitp train --resume 'a run'`"]);
    place.write("own/config.toml", "");
    contains(&fail(place.train("own", &[]), 1), &["exists already", "config.toml"]);
    assert!(place.read("own/config.toml").is_empty());
}

#[test]
fn a_folder_that_is_no_checkpoint_is_told_and_passed_over() {
    let place = Place::new();
    let keep = "--set=train.keep_checkpoints=1";
    succeed(place.train("run", &["--steps", "6", "--stop-at", "4", "--device", "cpu", keep]));
    fs::create_dir(place.path("run/checkpoints/step-99999999")).expect("it is made");
    place.write("run/checkpoints/step-00000005/trainer.json", "{}");
    for reader in readers(true) {
        let error = succeed(place.nitp(&reader)).1;
        contains(&error, &["step-99999999 is skipped", "no trainer.json"]);
    }
    assert!(place.checkpoints("run").contains(&"step-00000009".to_owned()));
    assert!(place.path("run/checkpoints/step-00000005/trainer.json").is_file());
    let error = fail(place.nitp(&["eval", "run/checkpoints/step-99999999"]), 1);
    contains(&error, &["no whole checkpoint"]);
}

#[test]
fn spoiled_lines_of_a_log_are_told_and_stop_nothing() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "8", "--stop-at", "4", "--device", "cpu"]));
    let log = place.read("run/metrics.jsonl");
    let half = log.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
    let spoiled = [&log[..half], b"\xff\xfe\n{\"event\": \"st\n", &log[half..], b"{\"half"];
    place.write("run/metrics.jsonl", spoiled.concat());
    let (out, _) = succeed(place.nitp(&["train", "--resume", "run", "--device", "cpu"]));
    contains(&out, &["2 broken lines", "metrics.jsonl"]);
    let steps: Vec<u64> = place
        .metrics("run")
        .iter()
        .filter(|event| event["event"] == "step")
        .filter_map(|event| event["step"].as_u64())
        .collect();
    assert_eq!(steps, (1..=8).collect::<Vec<_>>());
}

#[test]
fn a_run_beyond_the_steps_asked_for_is_told_as_it_is() {
    let place = short_run();
    let (out, _) = succeed(place.nitp(&["train", "--resume", "run", "--steps", "3"]));
    contains(&out, &["at step 4 already", "beyond --steps 3", "above 4"]);
    let (out, _) = succeed(place.nitp(&["train", "--resume", "run", "--steps", "4"]));
    contains(&out, &["complete: step 4 of 4"]);
}

/// Sends a signal, and checks that the program ends within a second with the right exit code.
#[cfg(unix)]
fn assert_ends_at_once(mut child: Child, signal: &str) {
    let begin = Instant::now();
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success(), "it ended before");
    let status = child.wait().expect("it ends");
    let taken = begin.elapsed();
    assert_eq!(status.code(), Some(130));
    assert!(taken < Duration::from_secs(1), "{taken:?}");
}

#[test]
#[cfg(unix)]
fn a_signal_before_there_is_anything_to_save_is_answered_at_once() {
    let place = Place::new();
    let line = "The harbour lay still, and the tide turned at a quarter past nine; no one came.\n";
    place.write("large.txt", line.repeat(1_000_000));
    // Reading and tokenising with the tokenizer of the demo data; planning a deep model.
    let tiny = ["train", "--out", "tiny", "--data", "large.txt", "--device", "cpu"];
    let deep = ["--set=model.num_hidden_layers=1000", "--device=cpu"];
    for (signal, after) in [("-TERM", 300), ("-INT", 500)] {
        for command in [place.nitp(&tiny), place.train("deep", &deep)] {
            let child = start(command);
            std::thread::sleep(Duration::from_millis(after));
            assert_ends_at_once(child, signal);
        }
    }
    assert!(!place.path("tiny").exists() && !place.path("deep").exists());
}

#[test]
#[cfg(unix)]
fn a_second_signal_ends_a_run_at_once_and_a_hang_up_that_is_ignored_does_nothing() {
    let place = Place::new();
    let program = place.train("run", &["--steps=100000", "--device=cpu"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    command.current_dir(place.path("")).env("NITP_CACHE_DIR", place.path("cache"));
    let mut child = start(command);
    let log = place.path("run/metrics.jsonl");
    let lines = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    wait_for(|| lines() > 5);
    let id = child.id().to_string();
    let kill = |signals: &str| {
        let script = format!("for signal in {signals}; do kill -$signal {id}; done");
        let sent = Command::new("sh").args(["-c", &script]).status();
        assert!(sent.expect("kill runs").success());
    };
    kill("HUP");
    let before = lines();
    wait_for(|| lines() > before + 5);
    assert!(child.try_wait().expect("it is asked").is_none(), "it ended");
    kill("TERM INT");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}
