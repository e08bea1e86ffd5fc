//! Failures end with a message about the problem, its place and a remedy; exit code 2 for wrong usage, else 1.

use std::fs;
use std::process::Command;

use crate::harness::{Place, fail, succeed, truncate};

/// Runs `train` with more options and checks the message of its failure.
fn refused(place: &Place, more: &[&str], parts: &[&str]) {
    let error = fail(place.train("run", &[&["--device", "cpu"], more].concat()), 1);
    for part in parts {
        assert!(error.contains(part), "{more:?}: `{part}` is not in\n{error}");
    }
    assert!(!place.path("run").exists(), "{more:?} left a run folder");
}

#[test]
fn usage() {
    let place = Place::new();
    for arguments in [
        &["train", "--step", "3"][..],
        &["train", "--steps", "many"],
        &["train", "--resume", "x", "--preset", "nano"],
        &["generate", "x", "--temperature", "-1"],
        &["generate", "x", "--top-p", "0"],
        &["eval"],
        &["fly"],
        &[],
    ] {
        let error = fail(place.nitp(arguments), 2);
        assert!(error.contains("Usage") || error.contains("--help"), "{arguments:?}\n{error}");
    }
}

#[test]
fn data_that_is_no_text() {
    let place = Place::new();
    place.write("empty.txt", "");
    place.write("binary.txt", b"MZ\0\x01");
    place.write("latin.txt", b"one\ncaf\xe9\n");
    place.write("broken.jsonl", "{\"text\": \"fine\"}\n{\"body\": \"x\"}\n");
    place.write("folder/picture.png", "x");
    place.write("short.txt", "Too short.");
    for (path, parts) in [
        ("missing.txt", &["missing.txt", "is the path right?"][..]),
        ("empty.txt", &["empty.txt is empty"]),
        ("binary.txt", &["binary.txt", "binary", "byte 2"]),
        ("latin.txt", &["latin.txt", "line 2", "0xe9", "iconv"]),
        ("broken.jsonl", &["broken.jsonl, line 2", "`text`"]),
        ("folder", &["folder", "holds no text", ".jsonl"]),
        ("short.txt", &["context_length", "more text"]),
    ] {
        refused(&place, &["--data", path], parts);
    }
}

#[test]
fn configurations_that_make_no_model() {
    let place = Place::new();
    place.write("typo.toml", "[model]\nhiden_size = 64\n");
    place.write("broken.toml", "[model\n");
    place.write("no-tokenizer.json", "{}");
    for (more, parts) in [
        (&["--config", "typo.toml"][..], &["hiden_size", "line 2", "model.hidden_size"][..]),
        (&["--config", "broken.toml"], &["broken.toml", "not valid TOML"]),
        (&["--config", "nowhere.toml"], &["nowhere.toml"]),
        (&["--set=model.num_attention_heads=3"], &["num_attention_heads = 3", "multiple"]),
        (&["--set=nitp.target_layer=9"], &["nitp.target_layer = 9", "from 0"]),
        (
            &["--set=model.moe.num_experts=4", "--set=model.moe.num_experts_per_tok=5"],
            &["num_experts_per_tok = 5", "num_experts = 4"],
        ),
        (&["--set=train.steps"], &["--set train.steps", "section.key=value"]),
        (&["--set=model.vocab_size=100"], &["vocab_size = 100", "256"]),
        (&["--set=data.tokenizer=nowhere.json"], &["nowhere.json", "nitp tokenizer train"]),
        (&["--set=data.tokenizer=no-tokenizer.json"], &["no-tokenizer.json", "tokenizer.json"]),
    ] {
        refused(&place, more, parts);
    }
    let error = fail(place.nitp(&["train", "--preset", "tinny"]), 1);
    assert!(error.contains("did you mean `tiny`?"), "{error}");
}

#[test]
fn a_tokenizer_that_does_not_fit() {
    let place = Place::new();
    let arguments =
        ["tokenizer", "train", "--data", "text.txt", "--vocab-size", "290", "--out", "t.json"];
    succeed(place.nitp(&arguments));
    refused(&place, &["--set=data.tokenizer=t.json"], &["290 tokens", "model.vocab_size=290"]);
    assert!(fail(place.nitp(&arguments), 1).contains("t.json exists already"));
    let small =
        ["tokenizer", "train", "--data", "text.txt", "--vocab-size", "20", "--out", "u.json"];
    assert!(fail(place.nitp(&small), 1).contains("257"));
}

#[test]
fn devices_that_are_not_there_or_too_small() {
    let place = Place::new();
    let train = |more: &[&str]| fail(place.train("run", more), 1);
    let error = train(&["--device", "GeForce 9999"]);
    assert!(error.contains("GeForce 9999") && error.contains("nitp devices"), "{error}");
    // Larger than the largest binding of any adapter: 2^31 elements in the embedding.
    let large = ["--set=model.vocab_size=16777216", "--set=model.hidden_size=128"];
    let error = train(&[&["--device", "gpu"], &large[..]].concat());
    for part in ["embed_tokens", "8589934592 bytes", "binds at most", "--device cpu"] {
        assert!(error.contains(part), "`{part}` is not in\n{error}");
    }
    assert!(!place.path("run").exists());
    // More than any machine has.
    refused(
        &place,
        &["--set=model.hidden_size=100000"],
        &["needs", "this machine has", "nitp info"],
    );
}

#[test]
fn runs_that_are_none() {
    let place = Place::new();
    place.write("folder/file", "x");
    for (arguments, part) in [
        (&["eval", "nowhere"][..], "no run at nowhere"),
        (&["generate", "folder"], "no run folder"),
        (&["train", "--resume", "folder"], "no run folder"),
    ] {
        let error = fail(place.nitp(arguments), 1);
        assert!(error.contains(part), "{error}");
    }
    succeed(place.train("run", &["--steps", "1", "--device", "cpu"]));
    let error = fail(place.train("run", &["--steps", "1"]), 1);
    assert!(error.contains("exists already") && error.contains("--resume"), "{error}");
}

#[test]
fn broken_and_foreign_checkpoints() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    let checkpoint = "run/checkpoints/step-00000004";
    let model = format!("{checkpoint}/model.safetensors");
    // Weights of another shape, and of another kind; a file without further information.
    place.write("plain.safetensors", place.read(&model));
    let wider = ["--init", "plain.safetensors", "--set=model.hidden_size=64"];
    let error = fail(place.train("wide", &[&["--device", "cpu"], &wider[..]].concat()), 1);
    assert!(error.contains("[256, 32]") && error.contains("[256, 64]"), "{error}");
    let moe = ["--init", "plain.safetensors", "--set=model.moe.num_experts=4"];
    let error = fail(place.train("moe", &[&["--device", "cpu"], &moe[..]].concat()), 1);
    assert!(error.contains("no tensor `model.layers.1.mlp"), "{error}");
    // Truncated.
    truncate(&place.path(&model));
    for arguments in [
        &["eval", "run"][..],
        &["generate", "run", "--prompt", "x"],
        &["train", "--resume", "run", "--steps", "9"],
    ] {
        let error = fail(place.nitp(arguments), 1);
        assert!(error.contains("model.safetensors") && error.contains("truncated"), "{error}");
    }
    place.write(&format!("{checkpoint}/trainer.json"), "{\"version\": 99}");
    let error = fail(place.nitp(&["train", "--resume", "run", "--steps", "9"]), 1);
    assert!(error.contains("trainer.json"), "{error}");
}

#[test]
fn data_that_changed_under_a_run() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "6", "--stop-at", "2", "--device", "cpu"]));
    let text = place.read("text.txt");
    place.write("text.txt", [&text[..], b"One line more.\n"].concat());
    let error = fail(place.nitp(&["train", "--resume", "run", "--device", "cpu"]), 1);
    assert!(error.contains("the data changed") && error.contains("--init"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_saved() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--device", "cpu"]));
    let before = place.read("run/checkpoints/step-00000004/model.safetensors");
    let wild = ["--steps=60", "--set=train.learning_rate=1e30", "--set=train.schedule=constant"];
    let resume = ["train", "--resume", "run", "--device", "cpu", "--set=train.grad_clip=0"];
    let error = fail(place.nitp(&[&resume[..], &wild].concat()), 1);
    for part in ["is NaN", "diverged", "train.learning_rate"] {
        assert!(error.contains(part), "`{part}` is not in\n{error}");
    }
    assert!(before == place.read("run/checkpoints/step-00000004/model.safetensors"));
    for name in place.checkpoints("run") {
        let bytes = place.read(&format!("run/checkpoints/{name}/model.safetensors"));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("a whole file");
        for (name, tensor) in tensors.tensors() {
            let mut values = tensor
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().expect("four")));
            assert!(values.all(f32::is_finite), "{name} was saved with NaN");
        }
    }
}

/// A limit on the size of files imitates a full disk: both fail in the middle of a write.
#[test]
#[cfg(unix)]
fn a_full_disk_harms_nothing_that_was_saved() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "12", "--stop-at", "4", "--device", "cpu"]));
    let before = place.read("run/checkpoints/step-00000004/model.safetensors");
    let program = place.nitp(&["train", "--resume", "run", "--device", "cpu"]);
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
    command.current_dir(place.path("")).env("NITP_CACHE_DIR", place.path("cache"));
    let error = fail(command, 1);
    assert!(error.contains("saving the checkpoint of step 8"), "{error}");
    assert!(error.contains("earlier checkpoints are intact"), "{error}");
    assert_eq!(place.checkpoints("run"), ["step-00000004"]);
    assert!(before == place.read("run/checkpoints/step-00000004/model.safetensors"));
    succeed(place.nitp(&["train", "--resume", "run", "--device", "cpu"]));
    succeed(place.train("whole", &["--steps", "12", "--device", "cpu"]));
    place.assert_same_end("run", "whole", 12);
}

#[test]
#[cfg(unix)]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let place = Place::new();
    place.write("cache", "a file where the folder should be");
    let (out, _) = succeed(place.train("run", &["--steps", "1", "--device", "cpu"]));
    assert!(out.contains("could not be cached") && out.contains("NITP_CACHE_DIR"), "{out}");
    fs::remove_file(place.path("cache")).expect("it is removed");
    let (out, _) = succeed(place.train("again", &["--steps", "1", "--device", "cpu"]));
    assert!(!out.contains("could not be cached"), "{out}");
    place.assert_same_end("run", "again", 1);
}
