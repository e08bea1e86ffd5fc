//! kill -9 at any time: at the start, while caching, training and saving.

use std::fs;

use rand::RngExt;

use super::{Budget, KINDS, Outcome, assert_log_is_true, start, train};
use crate::harness::{Place, succeed};

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bits() {
    let mut budget = Budget::new("kill -9");
    let (mut kills, mut runs) = (0, 0);
    let places = KINDS.map(|(name, kind)| {
        let place = Place::new();
        let (whole, time) = Outcome::undisturbed(&place, kind);
        (name, kind, place, whole, time)
    });
    // At least one run of each kind, however slow the machine is.
    while runs < places.len() || !budget.is_over() {
        let (name, kind, place, whole, time) = &places[runs % places.len()];
        let run = format!("run-{runs}");
        // Every second run caches the text again.
        if budget.rng.random() {
            fs::remove_dir_all(place.path("cache")).expect("the cache");
        }
        // The number of kills of each run is limited, because early kills allow no progress.
        let mut left = budget.rng.random_range(1..8);
        loop {
            let mut child = start(&mut train(place, kind, &run));
            let ended = if left > 0 {
                std::thread::sleep(time.mul_f64(budget.rng.random_range(0.0..1.1)));
                child.try_wait().expect("a child can be asked").is_some()
            } else {
                super::wait(&mut child, &run);
                true
            };
            let case = format!("{name}, {run}, after {kills} kills");
            if ended {
                let ended = super::Ended::of(child, &case);
                ended.assert_told(&case);
                assert!(ended.status.success(), "{case}: {}", ended.err);
                break;
            }
            child.kill().expect("it is killed");
            child.wait().expect("it ends");
            assert_log_is_true(place, &run, &case);
            (kills, left) = (kills + 1, left - 1);
        }
        assert_eq!(Outcome::of(place, &run), *whole, "{name}, {run}");
        fs::remove_dir_all(place.path(&run)).expect("the run");
        runs += 1;
    }
    for (.., place, _, _) in &places {
        assert_nothing_is_left(place);
    }
    budget.report(&format!(
        "{kills} kills in {runs} runs, dense and MoE | every run ended with the same SHA-256"
    ));
}

/// Checks that unfinished files of killed processes in the cache were removed.
fn assert_nothing_is_left(place: &Place) {
    place.write("other.txt", "Other text, that is not cached yet.\n".repeat(40));
    succeed(place.train("last", &["--data", "other.txt", "--steps", "1", "--device", "cpu"]));
    let names = fs::read_dir(place.path("cache"))
        .expect("the cache")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let left: Vec<String> =
        names.filter(|name| name.starts_with('.') && name.contains("tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}
