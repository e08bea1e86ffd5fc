//! Damaged zips of runs: each is rejected with an error message, or opens with the original weights.

use std::io::{Cursor, Read};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use web::protocol::{Command, File, Format, Lane, Update};

use crate::engine::{config, does, errors, experiment, import, open, prepare};

/// Time and seed, set by `cargo xtask torture`, as in the program's torture test.
fn budget() -> (Duration, u64) {
    let variable = |name: &str| std::env::var(name).ok();
    let minutes =
        variable("NITP_TORTURE_MINUTES").map(|text| text.parse::<f64>().expect("minutes"));
    let seed = variable("NITP_TORTURE_SEED").map_or(0, |text| text.parse().expect("a seed"));
    (Duration::from_secs_f64(minutes.map_or(8.0, |minutes| 60.0 * minutes)), seed)
}

fn exported(told: &[Update]) -> Option<&File> {
    told.iter().find_map(|it| if let Update::File(it) = it { Some(it) } else { None })
}

/// The bytes of the weights in a zip.
fn weights(zip: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).expect("a zip");
    let names: Vec<String> =
        zip.file_names().map(|name| name.expect("a name").into_owned()).collect();
    let name = names.iter().find(|name| name.ends_with("model.safetensors")).expect("weights");
    let mut bytes = Vec::new();
    zip.by_name(name).expect("the weights").read_to_end(&mut bytes).expect("its bytes");
    bytes
}

#[test]
fn changed_zips_are_refused_or_hold_the_same_weights() {
    let (time, seed) = budget();
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(experiment(&config(""))));
    does(&mut engine, Command::Run(Some(2)));
    let told = does(&mut engine, Command::Export(Lane::Ntp, Format::Run));
    let whole = exported(&told).expect("a file").clone();
    let (begin, mut rng) = (Instant::now(), ChaCha8Rng::seed_from_u64(seed));
    let (mut tried, mut refused) = (0, 0);
    while tried < 8 || begin.elapsed() < time {
        let mut changed = whole.clone();
        let at = rng.random_range(0..changed.bytes.len());
        let end = (at + rng.random_range(1..4096)).min(changed.bytes.len());
        match rng.random_range(0..5) {
            0 => changed.bytes[at] ^= 1 << rng.random_range(0..8),
            1 => changed.bytes[at..end].fill(rng.random()),
            2 => changed.bytes.truncate(at),
            3 => drop(changed.bytes.drain(at..end)),
            _ => {
                let copy = changed.bytes[at..end].to_vec();
                drop(changed.bytes.splice(at..at, copy));
            }
        }
        tried += 1;
        let (mut engine, _) = open(None);
        let told = does(&mut engine, import(vec![changed]));
        if errors(&told).iter().any(|error| !error.is_empty()) {
            refused += 1;
            continue;
        }
        let told = does(&mut engine, Command::Export(Lane::Ntp, Format::Run));
        let again = exported(&told).expect("an opened run can be exported");
        assert!(weights(&again.bytes) == weights(&whole.bytes), "case {tried} of seed {seed}");
    }
    println!(
        "| changed zips | {tried} zips of a run, of which {refused} were refused | the others held the same weights | seed {seed} |"
    );
}
