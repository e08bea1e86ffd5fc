//! SIGTERM at any time is answered within a second: by the end of the program if nothing can be saved yet, otherwise by
//! a message, and by the end after a checkpoint.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::{Budget, KINDS, Outcome, assert_log_is_true, train, wait};
use crate::harness::Place;

/// Time limit of the answer.
const ANSWER: Duration = Duration::from_secs(1);

/// The beginning of the message, if there is something to save.
const WORDS: &str = "Stopping";

#[test]
#[cfg(unix)]
fn a_termination_is_answered_at_once() {
    let mut budget = Budget::new("SIGTERM");
    let (mut signals, mut slowest) = (0, Duration::ZERO);
    let places = KINDS.map(|(name, kind)| {
        let place = Place::new();
        // Long to read and to tokenise.
        place.write("text.txt", large_text());
        let (whole, time) = Outcome::undisturbed(&place, kind);
        (name, kind, place, whole, time)
    });
    let mut runs = 0;
    while runs < places.len() || !budget.is_over() {
        let (name, kind, place, whole, time) = &places[runs % places.len()];
        let run = format!("run-{runs}");
        if budget.rng.random() {
            fs::remove_dir_all(place.path("cache")).expect("the cache");
        }
        let mut left = 3;
        loop {
            let mut command = train(place, kind, &run);
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            let lines = BufReader::new(child.stderr.take().expect("its errors")).lines();
            let (told, hears) = mpsc::channel();
            let reader = std::thread::spawn(move || {
                let mut all = String::new();
                for line in lines.map_while(Result::ok) {
                    if line.contains(WORDS) {
                        let _ = told.send(Instant::now());
                    }
                    all += &(line + "\n");
                }
                all
            });
            if left > 0 {
                // A signal before the program has started has its default effect.
                std::thread::sleep(time.mul_f64(budget.rng.random_range(0.0..1.1)));
            } else {
                wait(&mut child, &run);
            }
            let case = format!("{name}, {run}, after {signals} signals");
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                let err = reader.join().expect("its errors are read");
                assert!(status.success(), "{case}: {status}\n{err}");
                break;
            }
            let sent = Instant::now();
            let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(kill.expect("kill runs").success(), "{case}");
            let status = wait(&mut child, &case);
            // The end of the program is also an answer.
            let answered = hears.try_recv().unwrap_or_else(|_| Instant::now());
            let err = reader.join().expect("its errors are read");
            let answer = answered.duration_since(sent);
            assert!(answer <= ANSWER, "{case}: answered after {answer:?}\n{err}");
            let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert!(
                matches!(status.code(), Some(0 | 130)) || by_signal == Some(15),
                "{case}: {status}\n{err}"
            );
            assert_log_is_true(place, &run, &case);
            (signals, left, slowest) = (signals + 1, left - 1, slowest.max(answer));
            if status.success() {
                break;
            }
        }
        assert_eq!(Outcome::of(place, &run), *whole, "{name}, {run}");
        fs::remove_dir_all(place.path(&run)).expect("the run");
        runs += 1;
    }
    budget.report(&format!(
        "{signals} signals in {runs} runs, dense and MoE | the slowest answer came after {:.2} s",
        slowest.as_secs_f64()
    ));
}

/// Some megabytes.
fn large_text() -> String {
    (0..200_000u64).map(|i| format!("Line {i}: the tide turns {} times.\n", i * i % 97)).collect()
}
