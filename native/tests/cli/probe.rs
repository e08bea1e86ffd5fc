//! `probe` and `embed` on labelled texts.

use serde_json::{Value, json};

use crate::harness::{Place, fail, succeed};

/// A trained run, and examples that differ by their letters.
fn place() -> Place {
    let place = Place::new();
    succeed(place.train("run", &["--steps=8", "--device=cpu"]));
    let examples: String = (0..60)
        .map(|i| {
            let (kind, word) = if i % 2 == 0 { ("sea", "wave") } else { ("land", "xxxx") };
            let text = format!("{word} {word} {i} {word} {word}, and a bank.");
            let start = text.find("bank").unwrap();
            json!({"text": text, "kind": kind, "one": "same", "pair": i / 4,
                   "senses": [{"word": "bank", "sense": kind, "start": start}]})
            .to_string()
                + "\n"
        })
        .collect();
    place.write("examples.jsonl", examples);
    place
}

fn probe(place: &Place, data: &str, more: &[&str]) -> (Value, String) {
    let common = ["probe", "run", "--json", "--device=cpu", "--data", data];
    let (out, err) = succeed(place.nitp(&[&common[..], more].concat()));
    (serde_json::from_str(&out).expect("one JSON object"), err)
}

#[test]
fn labels_senses_and_pairs_are_probed_at_every_layer() {
    let place = place();
    let (found, said) = probe(&place, "examples.jsonl", &["--layer=all"]);
    assert!(said.contains("warning: one is left out"), "{said}");
    let layers = found["layers"].as_array().expect("layers");
    let names: Vec<&str> = layers.iter().map(|it| it["layer"].as_str().unwrap()).collect();
    assert_eq!(names, ["0", "1", "2", "last"]);
    let value = |scores: &Value, task: &str, measure: &str| {
        let scores = scores.as_array().expect("scores").iter();
        let mut found = scores.filter(|it| it["task"] == task && it["measure"] == measure);
        found.next().unwrap_or_else(|| panic!("no {task} {measure}"))["value"].as_f64().unwrap()
    };
    for layer in layers {
        assert_eq!(value(&layer["scores"], "kind", "accuracy"), 1.0, "{layer}");
        let recall = value(&layer["scores"], "retrieval of the same scene", "recall@10");
        assert!((0.0..=1.0).contains(&recall), "{layer}");
        assert!(value(&layer["scores"], "sense of a word", "accuracy") <= 1.0);
    }
    let baselines = found["baselines"].as_array().expect("baselines");
    let kind = baselines.iter().find(|it| it["task"] == "kind").expect("the label");
    assert_eq!((kind["bag_of_words"].as_f64(), kind["classes"].as_u64()), (Some(1.0), Some(2)));
    // The same results each time, and a table without --json.
    assert_eq!(probe(&place, "examples.jsonl", &["--layer=all"]).0, found);
    let (out, _) =
        succeed(place.nitp(&["probe", "run", "--device=cpu", "--data", "examples.jsonl"]));
    for part in
        ["kind", "nearest centroid", "untrained", "majority", "In percent", "effective rank"]
    {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
}

#[test]
fn likeness_is_a_rank_correlation() {
    let place = place();
    let pair = |a: &str, b: &str, score: f64| {
        json!({"text_a": a, "text_b": b, "score": score}).to_string()
    };
    let lines = [
        pair("wave wave", "wave wave", 5.0),
        pair("wave", "xxxx 1234", 1.0),
        pair("wave wave", "wave wavx", 4.0),
    ];
    place.write("pairs.jsonl", lines.join("\n"));
    let (found, _) = probe(&place, "pairs.jsonl", &[]);
    let score = &found["layers"][0]["scores"][0];
    assert_eq!((&score["measure"], score["value"].as_f64()), (&json!("Spearman"), Some(1.0)));
}

#[test]
fn vectors_are_a_numpy_array() {
    let place = place();
    let common =
        ["embed", "run", "--device=cpu", "--data", "examples.jsonl", "--out", "vectors.npy"];
    let (out, _) = succeed(place.nitp(&common));
    assert!(out.contains("60 vectors of 32 numbers"), "{out}");
    let bytes = place.read("vectors.npy");
    assert!(bytes.starts_with(b"\x93NUMPY"));
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    assert!(header.contains("<f4") && header.contains("(60, 32"), "{header}");
    let first: f32 = bytes[bytes.len() - 4 * 60 * 32..][..4 * 32]
        .chunks_exact(4)
        .map(|it| f32::from_le_bytes(it.try_into().unwrap()).powi(2))
        .sum();
    assert!((first - 1.0).abs() < 1e-5, "{first}");
    let error = fail(place.nitp(&[&common[..], &["--layer=all"]].concat()), 1);
    assert!(error.contains("`embed` takes one layer"), "{error}");
}

#[test]
fn what_can_not_be_probed_is_told() {
    let place = place();
    let refused = |name: &str, text: &str, more: &[&str], parts: &[&str]| {
        place.write(name, text);
        let common = ["probe", "run", "--device=cpu", "--data", name];
        let error = fail(place.nitp(&[&common[..], more].concat()), 1);
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in\n{error}");
        }
    };
    refused("empty.jsonl", "", &[], &["no example"]);
    refused("bad.jsonl", "{\"text\":\"a\"}\n{\"text\":", &[], &["line 2 of bad.jsonl"]);
    refused("none.jsonl", "{\"text\":\"a\"}", &[], &["nothing to probe"]);
    let one = "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"x\"}";
    refused("one.jsonl", one, &["--labels=label"], &["the label `label`"]);
    refused("one.jsonl", one, &["--labels=mood"], &["no line has this label", "label"]);
    refused("one.jsonl", one, &["--layer=9"], &["from 0 (the embedding) to 2"]);
    let score = "{\"text_a\":\"a\",\"text_b\":\"b\",\"score\":\"much\"}";
    refused("score.jsonl", score, &[], &["`score`", "has to be a number"]);
    let error = fail(place.nitp(&["probe", "nowhere"]), 1);
    assert!(error.contains("no run at nowhere"), "{error}");
}
