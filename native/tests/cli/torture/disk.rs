//! A disk that fills at different writes of a run: the run fails with a message, saved files stay intact, the log is
//! true, and with free space the run continues to bitwise equal results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Budget, Ended, KINDS, Outcome, assert_log_is_true, start, train};
use crate::harness::Place;

/// A library that replaces the system's `write`: after a number of bytes written to files, the disk is full.
const SHIM: &str = include_str!("full_disk.c");

/// Positions at which the disk fills, for each kind of model.
const POSITIONS: u64 = 100;

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_harms_nothing() {
    let budget = Budget::new("full disk");
    let mut tried = 0;
    let places = KINDS.map(|(name, kind)| {
        let place = Place::new();
        let shim = build(&place);
        let (whole, _) = Outcome::undisturbed(&place, kind);
        fs::remove_dir_all(place.path("cache")).expect("the cache");
        let bytes = bytes_of_a_run(&place, kind, &shim);
        (name, kind, place, shim, whole, bytes)
    });
    // Coarse positions first, so that even a short time covers all phases of a run.
    for position in van_der_corput(POSITIONS) {
        for (name, kind, place, shim, whole, bytes) in &places {
            if budget.is_over() && tried >= 2 * places.len() {
                break;
            }
            let limit = (position * *bytes as f64) as u64;
            let case = format!("{name}, full after {limit} of {bytes} bytes");
            let _ = fs::remove_dir_all(place.path("cache"));
            let mut command = train(place, kind, "run");
            command.env("LD_PRELOAD", shim).env("FULL_DISK_AFTER", limit.to_string());
            let ended = Ended::of(start(&mut command), &case);
            ended.assert_told(&case);
            assert_log_is_true(place, "run", &case);
            if !ended.status.success() {
                assert!(ended.err.contains("No space left"), "{case}: {}", ended.err);
                let ended = Ended::of(start(&mut train(place, kind, "run")), &case);
                assert!(ended.status.success(), "{case}, with room again: {}", ended.err);
            }
            assert_eq!(Outcome::of(place, "run"), *whole, "{case}");
            assert_log_is_true(place, "run", &case);
            fs::remove_dir_all(place.path("run")).expect("the run");
            tried += 1;
        }
    }
    budget.report(&format!(
        "full at {tried} positions, dense and MoE | nothing saved was harmed, the log was true, every run went on to the same SHA-256"
    ));
}

fn build(place: &Place) -> PathBuf {
    let (source, library) = (place.path("full_disk.c"), place.path("full_disk.so"));
    fs::write(&source, SHIM).expect("the source is written");
    let mut cc = Command::new("cc");
    let built = cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
    assert!(built.expect("a C compiler, which Rust needs to link").success());
    library
}

/// Bytes that a run writes to files, from its start to its end.
fn bytes_of_a_run(place: &Place, kind: &[&str], shim: &Path) -> u64 {
    let count = place.path("bytes");
    let mut command = train(place, kind, "counted");
    command.env("LD_PRELOAD", shim).env("FULL_DISK_COUNT", &count);
    let ended = Ended::of(start(&mut command), "counting");
    assert!(ended.status.success(), "{}", ended.err);
    let text = fs::read_to_string(count).expect("the count");
    let bytes = text.trim().parse().expect("a number of bytes");
    assert!(bytes > 1000, "{bytes}");
    bytes
}

/// `count` numbers in [0, 1), each far from all earlier ones.
fn van_der_corput(count: u64) -> impl Iterator<Item = f64> {
    (0..count).map(|i| i.reverse_bits() as f64 / 2f64.powi(64))
}
