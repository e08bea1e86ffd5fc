//! `nitp trace`: contents of the receipt, and checks of batches and initial values.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::harness::{Place, succeed};

const NAMES: [&str; 6] =
    ["loss", "ntp_loss", "nitp_loss", "balance_loss", "grad_norm", "learning_rate"];

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

fn trace(place: &Place, out: &str, more: &[&str]) -> (Tensors, Value) {
    let data = if more.contains(&"--data") { &[][..] } else { &["--data", "text.txt"] };
    let base = [
        "trace",
        "--preset",
        "nano",
        "--out",
        out,
        "--steps",
        "3",
        "--set=train.batch_size=2",
        "--set=train.context_length=16",
        "--set=train.gradient_accumulation_steps=2",
    ];
    succeed(place.nitp(&[&base[..], data, more].concat()));
    let bytes = place.read(out);
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
    let metadata = metadata.metadata().as_ref().expect("metadata").clone();
    let config = serde_json::from_str(&metadata["config"]).expect("JSON");
    let tensors = SafeTensors::deserialize(&bytes).expect("a whole file");
    let tensors = tensors.tensors().into_iter().map(|(name, view)| {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => numbers(data, f64::from_le_bytes),
            Dtype::I64 => numbers(data, |b| i64::from_le_bytes(b) as f64),
            dtype => panic!("{name} is {dtype:?}"),
        };
        (name, (view.shape().to_vec(), values))
    });
    (tensors.collect(), config)
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.chunks_exact(N).map(|bytes| number(bytes.try_into().expect("N bytes"))).collect()
}

#[test]
fn a_trace_holds_everything_to_replay_a_run() {
    let place = Place::new();
    let (tensors, config) = trace(&place, "a.safetensors", &["--device", "cpu"]);
    for name in ["input_ids", "labels", "nitp_mask"] {
        assert_eq!(tensors[name].0, [3, 2, 2, 16], "{name}");
    }
    for name in NAMES {
        assert_eq!(tensors[name].0, [3], "{name}");
    }
    let group = |group: &str| -> Vec<(&str, &Vec<usize>)> {
        let prefix = format!("{group}/");
        let named = tensors
            .iter()
            .filter_map(|(name, (shape, _))| Some((name.strip_prefix(prefix.as_str())?, shape)));
        named.collect()
    };
    assert_eq!(group("init"), group("grad"));
    assert_eq!(group("init"), group("final"));
    assert_eq!(tensors["init/model.embed_tokens.weight"].0, [256, 32]);
    assert_eq!(tensors["init/nitp.projector.gate_proj.weight"].0, [128, 32]);
    assert_ne!(tensors["init/lm_head.weight"].1, tensors["final/lm_head.weight"].1);
    // The labels are the ids, shifted; the last position of a row has no pair.
    let (ids, labels) = (&tensors["input_ids"].1, &tensors["labels"].1);
    let rows = ids.chunks(16).zip(labels.chunks(16));
    assert!(rows.clone().all(|(ids, labels)| ids[1..] == labels[..15]));
    assert!(tensors["nitp_mask"].1.chunks(16).all(|row| row[15] == 0.0 && row[0] == 1.0));
    // The norm is that of the gradients, before clipping.
    let squares = tensors.iter().filter(|(name, _)| name.starts_with("grad/"));
    let norm = squares.flat_map(|(_, (_, values))| values).map(|x| x * x).sum::<f64>().sqrt();
    assert!((norm / tensors["grad_norm"].1[0] - 1.0).abs() < 1e-5);
    assert_eq!(config["train"]["steps"], 3);
    assert_eq!(config["nitp"]["loss"], "cosine");
}

#[test]
fn a_trace_has_the_numbers_of_training() {
    let place = Place::new();
    let accumulate = "--set=train.gradient_accumulation_steps=2";
    let more = ["--device", "cpu", "--set=train.warmup_steps=50"];
    let (tensors, _) = trace(&place, "a.safetensors", &more);
    succeed(place.train("run", &["--steps", "3", "--device", "cpu", accumulate, more[2]]));
    let events = place.metrics("run");
    let steps: Vec<&Value> = events.iter().filter(|event| event["event"] == "step").collect();
    for name in NAMES {
        let found: Vec<f64> = steps.iter().filter_map(|step| step[name].as_f64()).collect();
        assert_eq!(found, tensors[name].1, "{name}");
    }
}

#[test]
fn batches_depend_on_seed_and_data_and_shared_tensors_start_alike() {
    let place = Place::new();
    let (base, _) = trace(&place, "a.safetensors", &["--device", "cpu"]);
    for (file, more) in [
        ("b.safetensors", &["--device", "gpu"][..]),
        ("c.safetensors", &["--device", "cpu", "--set=model.intermediate_size=64"]),
        ("d.safetensors", &["--device", "cpu", "--set=nitp.enabled=false"]),
        ("e.safetensors", &["--device", "cpu", "--set=model.moe.num_experts=3"]),
    ] {
        let (other, _) = trace(&place, file, more);
        assert_eq!(base["input_ids"], other["input_ids"], "{more:?}");
        assert_eq!(base["labels"], other["labels"], "{more:?}");
        let mut shared = 0;
        for (name, (shape, values)) in &base {
            let twin = other.get(name).filter(|(other, _)| shape == other);
            if let (true, Some((_, other))) = (name.starts_with("init/"), twin) {
                assert_eq!(values, other, "{name} with {more:?}");
                shared += 1;
            }
        }
        assert!(shared > 10, "{more:?}");
    }
    let (seed, _) = trace(&place, "s.safetensors", &["--device", "cpu", "--seed", "1"]);
    assert_ne!(base["input_ids"], seed["input_ids"]);
    assert_ne!(base["init/lm_head.weight"], seed["init/lm_head.weight"]);
}

#[test]
fn with_a_document_mask_texts_do_not_see_each_other() {
    let place = Place::new();
    let lines = |first: &str| -> String {
        let texts = (0..60).map(|i| format!("{{\"text\": \"{first} {i} turns.\"}}\n"));
        texts.collect()
    };
    place.write("texts.jsonl", lines("tide"));
    let set = "--set=train.document_mask=true";
    // One more than the bytes, for the token that ends a document.
    let data = ["--data", "texts.jsonl", "--set=model.vocab_size=257"];
    let (plain, _) = trace(&place, "plain.safetensors", &data);
    for device in ["cpu", "gpu"] {
        let (masked, config) =
            trace(&place, "masked.safetensors", &[&data[..], &[set, "--device", device]].concat());
        assert_eq!(masked["input_ids"], plain["input_ids"], "the batches are the same");
        assert_ne!(masked["loss"].1, plain["loss"].1);
        assert_eq!(config["train"]["document_mask"], true);
        // A document begins after the one before ended with the token 256.
        let (ids, starts) = (&masked["input_ids"].1, &masked["document_starts"].1);
        for (ids, starts) in ids.chunks(16).zip(starts.chunks(16)) {
            let mut start = 0;
            for t in 0..16 {
                if t > 0 && ids[t - 1] == 256.0 {
                    start = t;
                }
                assert_eq!(starts[t], start as f64);
            }
        }
    }
    assert!(!plain.contains_key("document_starts"));
    // Training, evaluation, resumption and what reads single texts.
    succeed(place.train("run", &[&data[..], &[set, "--steps=8", "--stop-at=4"]].concat()));
    succeed(place.nitp(&["train", "--resume", "run"]));
    succeed(place.nitp(&["eval", "run"]));
    succeed(place.nitp(&["generate", "run", "--prompt", "tide", "--max-tokens", "4"]));
    succeed(place.nitp(&["embed", "run", "--data", "texts.jsonl", "--out", "states.npy"]));
}
