//! Torture tests: kills, signals, a full disk, changed files.
//! Each part draws random cases from a seed until its time is over. `cargo test` gives each part some seconds; `cargo
//! xtask torture --minutes N` gives each part N minutes. docs/reliability.md reports results of longer runs.

mod disk;
mod inputs;
mod kills;
mod signals;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nitp_core::data::hexadecimal;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::harness::{Place, succeed};

/// Minutes of each part.
const MINUTES: &str = "NITP_TORTURE_MINUTES";

/// Seed of the random cases.
const SEED: &str = "NITP_TORTURE_SEED";

/// Seconds of each part in `cargo test`.
const SHORT: f64 = 12.0;

/// A program that runs longer than this after it should have ended counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small model on bytes or with experts; each run writes six checkpoints.
const STEPS: usize = 24;

/// The kinds of model.
const KINDS: [(&str, &[&str]); 2] = [
    ("dense", &[]),
    (
        "moe",
        &[
            "--set=model.moe.num_experts=4",
            "--set=model.moe.num_experts_per_tok=2",
            "--set=model.moe.moe_intermediate_size=16",
        ],
    ),
];

/// The time limit of a part, and its random numbers.
struct Budget {
    part: &'static str,
    seed: u64,
    end: Instant,
    rng: ChaCha8Rng,
}

impl Budget {
    fn new(part: &'static str) -> Self {
        let seconds = variable(MINUTES).map_or(SHORT, |minutes: f64| 60.0 * minutes);
        let seed = variable(SEED).unwrap_or(0);
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        Self { part, seed, end, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// A row of the table in docs/reliability.md.
    fn report(&self, row: &str) {
        println!("| {} | {row} | seed {} |", self.part, self.seed);
    }
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The exit status and the output of a program.
struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Ended {
    /// Waits for a program, with a time limit.
    fn of(mut child: Child, case: &str) -> Self {
        // The outputs are short enough for the pipes.
        let status = wait(&mut child, case);
        let text = |pipe: Option<&mut dyn Read>| {
            let mut bytes = Vec::new();
            pipe.map(|pipe| pipe.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let out = text(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
        let err = text(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
        Self { status, out, err }
    }

    /// Checks that the program neither panicked nor aborted, and reported failures.
    fn assert_told(&self, case: &str) {
        let Self { status, out, err } = self;
        let code = status.code();
        let told = matches!(code, Some(0 | 1 | 2 | 130)) && !err.contains("panicked");
        assert!(told, "{case}: {status}\n{out}\n{err}");
        assert!(code != Some(1) || err.contains("error:"), "{case}: failed without words\n{out}");
    }
}

fn wait(child: &mut Child, case: &str) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            child.kill().expect("it is killed");
            panic!("{case}: still running after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a program with captured outputs.
fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// The command for a new run, or for the same run after an interruption.
fn train(place: &Place, kind: &[&str], run: &str) -> Command {
    let mut command = if has_checkpoint(&place.path(run)) {
        place.nitp(&["train", "--resume", run])
    } else {
        let steps = STEPS.to_string();
        let mut command = place.train(run, &["--steps", &steps]);
        command.args(kind);
        command
    };
    command.args(["--device", "cpu"]);
    command
}

fn has_checkpoint(run: &Path) -> bool {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    entries.flatten().any(|it| it.file_name().to_string_lossy().starts_with("step-"))
}

/// Digests of the final files of a run.
#[derive(Debug, PartialEq, Eq)]
struct Outcome([String; 3]);

impl Outcome {
    fn of(place: &Place, run: &str) -> Self {
        let folder = format!("{run}/checkpoints/step-{STEPS:08}");
        Self(
            ["model.safetensors", "optimizer.safetensors", "trainer.json"]
                .map(|file| hexadecimal(&Sha256::digest(place.read(&format!("{folder}/{file}"))))),
        )
    }

    /// The digests of an undisturbed run, and its duration.
    fn undisturbed(place: &Place, kind: &[&str]) -> (Self, Duration) {
        let begin = Instant::now();
        succeed(train(place, kind, "whole"));
        (Self::of(place, "whole"), begin.elapsed())
    }
}

/// Checks the log: each line is an event, a finished run has its last checkpoint, and the newest checkpoint in the log
/// exists.
fn assert_log_is_true(place: &Place, run: &str, case: &str) {
    let Ok(text) = fs::read_to_string(place.path(run).join("metrics.jsonl")) else { return };
    // A kill may leave an unfinished last line.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let events: Vec<serde_json::Value> = whole
        .lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{case}: {error}: {line}"))
        })
        .collect();
    let newest = events.iter().rfind(|event| event["event"] == "checkpoint");
    let there = |step: &serde_json::Value| {
        let step = step.as_u64().expect("a step");
        place.path(run).join(format!("checkpoints/step-{step:08}/trainer.json")).exists()
    };
    assert!(newest.is_none_or(|event| there(&event["step"])), "{case}: a checkpoint is not there");
    let finished = events.iter().rfind(|event| event["event"] == "finished");
    assert!(
        finished.is_none_or(|event| there(&event["step"])),
        "{case}: finished without a checkpoint"
    );
}
