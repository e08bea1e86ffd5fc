//! `--tensorboard`: a reader of the format finds the same numbers as in metrics.jsonl.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{NANO, Place, succeed};

/// Steps and values by tag.
type Curves = BTreeMap<String, Vec<(u64, f32)>>;

/// Reads a folder as TensorBoard does: files in the order of their names; a restart drops earlier events of its step
/// and later steps.
fn read(folder: &Path) -> Curves {
    let entries = fs::read_dir(folder).expect("a folder of events");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut curves = Curves::new();
    for file in files {
        for (index, event) in records(&fs::read(&file).expect("a file")).iter().enumerate() {
            let fields = fields(event);
            let number = |id: u64| match fields.iter().find(|it| it.0 == id) {
                Some((_, Field::Number(number))) => *number,
                None => 0,
                other => panic!("{other:?}"),
            };
            let bytes = |id: u64| match fields.iter().find(|it| it.0 == id) {
                Some((_, Field::Bytes(bytes))) => Some(*bytes),
                None => None,
                other => panic!("{other:?}"),
            };
            assert!(f64::from_bits(number(1)) > 1.7e9, "a time");
            assert_eq!(bytes(3), (index == 0).then_some(&b"brain.Event:2"[..]));
            let step = number(2);
            if bytes(7).is_some() {
                curves.values_mut().for_each(|curve| curve.retain(|point| point.0 < step));
            }
            for (_, value) in bytes(5).map(self::fields).unwrap_or_default() {
                let Field::Bytes(value) = value else { panic!("{value:?}") };
                let [(1, Field::Bytes(tag)), (2, Field::Number(bits))] = self::fields(value)[..]
                else {
                    panic!("{value:?}")
                };
                let tag = String::from_utf8(tag.to_vec()).expect("UTF-8");
                curves.entry(tag).or_default().push((step, f32::from_bits(bits as u32)));
            }
        }
    }
    curves.retain(|_, curve| !curve.is_empty());
    curves
}

/// The events of a file, with a check of its checksums.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<8>().expect("a length");
        let (check, rest) = rest.split_first_chunk::<4>().expect("its checksum");
        assert_eq!(u32::from_le_bytes(*check), masked(length));
        let (event, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let (check, rest) = rest.split_first_chunk::<4>().expect("a checksum");
        assert_eq!(u32::from_le_bytes(*check), masked(event));
        events.push(event);
        bytes = rest;
    }
    events
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Bit by bit: Castagnoli's polynomial, reversed.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(fixed(&mut bytes))),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inner)
            }
            5 => Field::Number(u32::from_le_bytes(fixed(&mut bytes)).into()),
            kind => panic!("a field of kind {kind}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (first, rest) = bytes.split_first_chunk::<N>().expect("a number");
    *bytes = rest;
    *first
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let [byte] = fixed(bytes);
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

/// The expected curves.
fn logged(place: &Place, run: &str, has_experts: bool) -> Curves {
    let mut curves = Curves::new();
    for event in place.metrics(run) {
        let step = event["step"].as_u64().expect("a step");
        let mut put = |tag: &str, value: &Value| {
            if let Some(value) = value.as_f64() {
                curves.entry(tag.to_owned()).or_default().push((step, value as f32));
            }
        };
        match event["event"].as_str() {
            Some("step") => {
                put("loss/train", &event["ntp_loss"]);
                put("nitp/train", &event["nitp_loss"]);
                if has_experts {
                    put("balance/train", &event["balance_loss"]);
                }
                for key in ["grad_norm", "learning_rate", "tokens_per_second"] {
                    put(key, &event[key]);
                }
            }
            Some("evaluation") => {
                put("loss/held_out", &event["val_loss"]);
                put("nitp/held_out", &event["nitp_loss"]);
                if has_experts {
                    put("balance/held_out", &event["balance_loss"]);
                }
                let blocks = event["expert_load"].as_array().into_iter().flatten();
                for (block, load) in blocks.enumerate() {
                    let load = load.as_array().expect("shares").iter();
                    let mut load: Vec<f64> = load.map(|it| it.as_f64().expect("a share")).collect();
                    load.sort_by(f64::total_cmp);
                    let tag = |end: &str| format!("expert_load/block_{}/{end}", block + 1);
                    put(&tag("min"), &load[0].into());
                    put(&tag("max"), &load[load.len() - 1].into());
                }
            }
            Some("geometry") => {
                for key in ["effective_rank", "mean_cosine"] {
                    put(key, &event[key]);
                }
            }
            _ => {}
        }
    }
    curves
}

#[test]
fn the_reader_knows_the_checksum() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_run_that_goes_on_has_no_step_twice() {
    let place = Place::new();
    let board = ["--tensorboard"];
    let steps = "--steps=11";
    succeed(place.train("run", &[&board[..], &[steps, "--stop-at=6", "--device=cpu"]].concat()));
    assert_eq!(read(&place.path("run/tensorboard")), logged(&place, "run", false));
    // As if it had been killed before its last checkpoint, so that steps 5 and 6 are repeated.
    fs::remove_dir_all(place.path("run/checkpoints/step-00000006")).expect("it is there");
    succeed(place.nitp(&["train", "--resume", "run", "--tensorboard"]));
    let files = fs::read_dir(place.path("run/tensorboard")).expect("a folder").count();
    assert_eq!(files, 2);
    let curves = read(&place.path("run/tensorboard"));
    assert_eq!(curves, logged(&place, "run", false));
    let steps: Vec<u64> = curves["loss/train"].iter().map(|point| point.0).collect();
    assert_eq!(steps, (1..=11).collect::<Vec<u64>>());
    let looks: Vec<u64> = curves["loss/held_out"].iter().map(|point| point.0).collect();
    assert_eq!(looks, [0, 4, 8, 11]);
}

#[test]
fn experts_are_told_and_nothing_is_written_unasked() {
    let place = Place::new();
    let moe = [
        "--tensorboard",
        "--steps=4",
        "--device=cpu",
        "--set=model.moe.num_experts=4",
        "--set=model.moe.num_experts_per_tok=2",
        "--set=model.moe.moe_intermediate_size=16",
        "--set=model.moe.shared_expert_intermediate_size=16",
    ];
    succeed(place.train("moe", &moe));
    let curves = read(&place.path("moe/tensorboard"));
    assert_eq!(curves, logged(&place, "moe", true));
    assert!(curves.contains_key("expert_load/block_1/max"), "{:?}", curves.keys());

    succeed(place.train("run", &["--steps=2", "--device=cpu"]));
    assert!(!place.path("run/tensorboard").exists());

    let lab = ["compare", "--out=lab", "--data=text.txt", "--device=cpu", "--steps=2", "--seeds=1"];
    succeed(place.nitp(&[&lab[..], NANO, &["--tensorboard"]].concat()));
    for arm in ["ntp", "nitp"] {
        let folder = place.path(&format!("lab/runs/{arm}/seed-0/tensorboard"));
        let curves = read(&folder);
        assert_eq!(curves.contains_key("nitp/train"), arm == "nitp");
        assert_eq!(curves["loss/train"].len(), 2);
    }
}
