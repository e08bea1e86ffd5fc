//! A separate folder for each test, with a text, in which the program runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A small dense model on bytes, with short intervals.
pub const NANO: &[&str] = &[
    "--preset=nano",
    "--set=train.batch_size=2",
    "--set=train.context_length=16",
    "--set=train.warmup_steps=2",
    "--set=train.eval_interval=4",
    "--set=train.eval_batches=2",
    "--set=train.geometry_interval=4",
    "--set=train.checkpoint_interval=4",
];

/// A folder in which the program runs.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder with `text.txt` of some thousand bytes.
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let text: String =
            (0..400).map(|i| format!("Line {i}: the tide turns {} times.\n", i * i % 97)).collect();
        place.write("text.txt", text);
        place
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        fs::write(path, bytes).expect("a file is written");
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program, to be run here.
    pub fn nitp(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nitp"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NITP_CACHE_DIR", self.path("cache"));
        command
    }

    /// `nitp train` of the small model, on the text unless `more` names other data.
    pub fn train(&self, out: &str, more: &[&str]) -> Command {
        let data = if more.contains(&"--data") { &[][..] } else { &["--data", "text.txt"] };
        self.nitp(&[&["train", "--out", out], NANO, data, more].concat())
    }

    /// The events of a run's log.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = self.read(&format!("{run}/metrics.jsonl"));
        let text = String::from_utf8(text).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }

    /// Names of a run's checkpoints, sorted.
    pub fn checkpoints(&self, run: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(run).join("checkpoints")).expect("checkpoints");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Checks that two runs ended with bitwise equal results.
    pub fn assert_same_end(&self, a: &str, b: &str, step: usize) {
        for file in ["model.safetensors", "optimizer.safetensors", "trainer.json"] {
            let bytes = |run: &str| self.read(&format!("{run}/checkpoints/step-{step:08}/{file}"));
            assert!(bytes(a) == bytes(b), "{file} of {a} and {b} differ");
        }
    }
}

/// Runs a command, which must succeed, and returns both outputs.
pub fn succeed(mut command: Command) -> (String, String) {
    let output = command.output().expect("the program starts");
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    (out, err)
}

/// Runs a command, which must fail with this code, and returns its stderr.
pub fn fail(mut command: Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{out}\n{err}");
    err
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The events of a log without speeds and starts, which depend on the machine.
pub fn comparable(events: &[Value]) -> Vec<Value> {
    events
        .iter()
        .filter(|event| event["event"] != "start")
        .map(|event| {
            let mut event = event.clone();
            let fields = event.as_object_mut().expect("an object");
            fields.retain(|name, _| name != "tokens_per_second" && name != "mfu");
            event
        })
        .collect()
}

/// Cuts a file to half its length.
pub fn truncate(path: &Path) {
    let bytes = fs::read(path).expect("a file");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("it is written");
}
