//! Changed files: a flipped bit, a zeroed block, a truncation, inserted bytes, swapped blocks, other numbers in text.
//! No program panics, hangs or crashes, and changed weights, moments, settings or tokens are never used silently.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{Rng, RngExt};
use walkdir::WalkDir;

use super::{Budget, Ended, KINDS, start, train};
use crate::harness::{Place, succeed};

/// A file to change, and the command that reads it.
struct Target {
    file: &'static str,
    commands: &'static [&'static str],
    /// The allowed consequences of a change.
    rule: Rule,
}

/// Allowed consequences of a change, besides an error message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A warning, and an older checkpoint instead: the file determines the results.
    Told,
    /// The same results as before: the file is made again, or the change does not affect them.
    SameResults,
    /// Other results: users may change this file.
    Any,
}

const EVAL: &str = "eval run --json --device cpu";
const GENERATE: &str = "generate run --prompt The --max-tokens 4 --device cpu";
const RESUME: &str = "train --resume run --steps 25 --device cpu";
const INIT: &str =
    "train --init run --preset nano --data text.txt --steps 1 --out next --device cpu";
const FRESH: &str = "train --data changed.jsonl --preset nano --steps 1 --out next --device cpu";
const PACKED: &str =
    "train --data changed.jsonl.gz --preset nano --steps 1 --out next --device cpu";

const CHECKPOINT: &str = "run/checkpoints/step-00000024";

const TARGETS: &[Target] = &[
    Target { file: "model.safetensors", commands: &[EVAL, GENERATE, RESUME], rule: Rule::Told },
    Target { file: "optimizer.safetensors", commands: &[RESUME], rule: Rule::Told },
    Target { file: "trainer.json", commands: &[EVAL, RESUME], rule: Rule::Told },
    Target { file: "run/config.toml", commands: &[EVAL, GENERATE, RESUME, INIT], rule: Rule::Any },
    Target { file: "run/machine.json", commands: &[RESUME], rule: Rule::Any },
    Target { file: "run/metrics.jsonl", commands: &[RESUME, EVAL], rule: Rule::SameResults },
    Target { file: "tokens", commands: &[EVAL], rule: Rule::SameResults },
    Target { file: "changed.jsonl", commands: &[FRESH], rule: Rule::Any },
    Target { file: "changed.jsonl.gz", commands: &[PACKED], rule: Rule::Any },
    Target { file: "tokenizer.json", commands: &["tokenizer"], rule: Rule::Any },
];

#[test]
fn changed_files_are_told_of() {
    let mut budget = Budget::new("changed files");
    let (mut tried, mut refused) = (0, 0);
    let places = KINDS.map(|(name, kind)| {
        let place = Place::new();
        succeed(train(&place, kind, "run"));
        let tokens = only_tokens(&place);
        copy_folder(&place, "run", "run as it was");
        let records =
            (0..40).map(|i| format!("{{\"text\": \"Line {i}: the tide turns.\", \"n\": {i}}}\n"));
        let records = records.collect::<String>().repeat(4);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(records.as_bytes()).expect("a vector takes every byte");
        place.write("changed.jsonl.gz", packed.finish().expect("a vector takes every byte"));
        place.write("changed.jsonl", records);
        succeed(place.nitp(&[
            "tokenizer",
            "train",
            "--data",
            "text.txt",
            "--vocab-size",
            "300",
            "--out",
            "tokenizer.json",
        ]));
        (name, place, tokens)
    });
    while tried < TARGETS.len() || !budget.is_over() {
        let target = &TARGETS[tried % TARGETS.len()];
        let (name, place, tokens) = &places[tried / TARGETS.len() % places.len()];
        let command = target.commands[budget.rng.random_range(0..target.commands.len())];
        let path = path_of(place, tokens, target.file);
        let before = fs::read(&path).expect("the file");
        let (changed, how) = change(&before, &mut budget.rng);
        tried += 1;
        // Spaces between values are no change.
        if changed == before || same_json(&changed, &before) {
            continue;
        }
        let case = format!("{name}, case {tried}: `{command}` with {}, {how}", target.file);
        let expected = (target.rule == Rule::SameResults).then(|| results(place, command, &case));
        fs::write(&path, &changed).expect("it is written");
        let ended = run(place, command, &case);
        ended.assert_told(&case);
        let succeeded = ended.status.success();
        refused += usize::from(!succeeded);
        match target.rule {
            Rule::Told => {
                let told = !succeeded || ended.err.contains("is skipped");
                assert!(told, "{case}: taken as it is\n{}\n{}", ended.out, ended.err);
            }
            Rule::SameResults if succeeded => {
                let found = Results::of(place, command, &ended);
                assert!(expected.as_ref() == Some(&found), "{case}: other results\n{}", ended.err);
            }
            Rule::SameResults | Rule::Any => {}
        }
        restore(place, &path, &before);
    }
    budget.report(&format!(
        "{tried} changed files, of which {refused} were refused | no panic, hang, abort or silent use of changed weights"
    ));
}

fn same_json(a: &[u8], b: &[u8]) -> bool {
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    value(a).is_some_and(|value_of_a| Some(value_of_a) == value(b))
}

/// A command of the program.
#[derive(PartialEq, Eq)]
struct Results {
    out: String,
    weights: Option<Vec<u8>>,
}

impl Results {
    fn of(place: &Place, command: &str, ended: &Ended) -> Self {
        if command == RESUME {
            let file = place.path("run/checkpoints/step-00000025/model.safetensors");
            return Self { out: String::new(), weights: fs::read(file).ok() };
        }
        Self { out: ended.out.clone(), weights: None }
    }
}

fn results(place: &Place, command: &str, case: &str) -> Results {
    let ended = run(place, command, case);
    assert!(ended.status.success(), "{case}, before the change: {}", ended.err);
    let results = Results::of(place, command, &ended);
    forget(place);
    results
}

/// Runs a command; for a tokenizer, a short training with it.
fn run(place: &Place, command: &str, case: &str) -> Ended {
    let with_tokenizer = "train --data text.txt --preset nano --steps 1 --out next --device cpu \
                          --set data.tokenizer=tokenizer.json --set model.vocab_size=320";
    let text = if command == "tokenizer" { with_tokenizer } else { command };
    let arguments: Vec<&str> = text.split_whitespace().collect();
    Ended::of(start(&mut place.nitp(&arguments)), case)
}

fn path_of(place: &Place, tokens: &Path, file: &str) -> PathBuf {
    match file {
        "tokens" => tokens.to_owned(),
        "changed.jsonl" | "changed.jsonl.gz" | "tokenizer.json" => place.path(file),
        file if file.starts_with("run/") => place.path(file),
        file => place.path(CHECKPOINT).join(file),
    }
}

/// The cached tokens of the one text that was trained on so far.
fn only_tokens(place: &Place) -> PathBuf {
    let entries = fs::read_dir(place.path("cache")).expect("the cache");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let tokens = files.filter(|path| path.extension().is_some_and(|it| it == "tokens"));
    let [tokens] = tokens.collect::<Vec<_>>().try_into().expect("one file of tokens");
    tokens
}

/// Restores a file.
fn restore(place: &Place, path: &Path, before: &[u8]) {
    fs::write(path, before).expect("it is written");
    forget(place);
}

/// Removes files that programs left: a run continued from an older checkpoint has replaced the newest one.
fn forget(place: &Place) {
    let _ = fs::remove_dir_all(place.path("next"));
    fs::remove_dir_all(place.path("run")).expect("the run is removed");
    copy_folder(place, "run as it was", "run");
}

fn copy_folder(place: &Place, from: &str, to: &str) {
    let (from, to) = (place.path(from), place.path(to));
    for entry in WalkDir::new(&from) {
        let entry = entry.expect("an entry");
        let path = to.join(entry.path().strip_prefix(&from).expect("it lies in the folder"));
        match entry.file_type().is_dir() {
            true => fs::create_dir_all(path).expect("a folder"),
            false => drop(fs::copy(entry.path(), path).expect("a file")),
        }
    }
}

/// A changed copy, and how it was changed.
fn change(bytes: &[u8], rng: &mut impl Rng) -> (Vec<u8>, String) {
    let mut bytes = bytes.to_vec();
    let len = bytes.len();
    let at = rng.random_range(0..len);
    let most = 1 << rng.random_range(0..16);
    let size = rng.random_range(1..=len.min(most));
    let end = (at + size).min(len);
    let how = match rng.random_range(0..8) {
        0 | 1 => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            format!("a bit of byte {at} flipped")
        }
        2 => {
            bytes[at..end].fill(0);
            format!("bytes {at}..{end} zeroed")
        }
        3 => {
            bytes.truncate(at);
            format!("cut after {at} bytes")
        }
        4 => {
            let put: Vec<u8> = (0..size).map(|_| rng.random()).collect();
            bytes.splice(at..at, put);
            format!("{size} random bytes put in at {at}")
        }
        5 => {
            let size = size.min(len / 2).max(1);
            let (a, b) = (rng.random_range(0..=len / 2 - size.min(len / 2)), len - size);
            for i in 0..size {
                bytes.swap(a + i, b + i);
            }
            format!("{size} bytes at {a} and {b} changed places")
        }
        6 => {
            bytes.drain(at..end);
            format!("bytes {at}..{end} left out")
        }
        _ => number(&mut bytes, rng),
    };
    (bytes, how)
}

/// Another number in place of one in the text.
fn number(bytes: &mut Vec<u8>, rng: &mut impl Rng) -> String {
    const NUMBERS: [&str; 8] = [
        "0",
        "-1",
        "1e308",
        "NaN",
        "4294967296",
        "18446744073709551615",
        "9999999999999999999999",
        "0.5",
    ];
    let digits: Vec<usize> = (0..bytes.len())
        .filter(|&i| bytes[i].is_ascii_digit() && (i == 0 || !bytes[i - 1].is_ascii_digit()))
        .collect();
    if digits.is_empty() {
        return "nothing".to_owned();
    }
    let from = digits[rng.random_range(0..digits.len())];
    let len = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let new = NUMBERS[rng.random_range(0..NUMBERS.len())];
    bytes.splice(from..from + len, new.bytes());
    format!("{new} for the number at {from}")
}
