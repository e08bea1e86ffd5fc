//! Users' texts, and the cache of tokens between runs.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Place, fail, succeed};

const ONE_STEP: &[&str] = &["--device", "cpu", "--steps", "1"];

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("it is compressed");
    encoder.finish().expect("it is compressed")
}

/// The digest by which a run recognises its data.
fn fingerprint(place: &Place, run: &str) -> String {
    place.metrics(run)[0]["data_fingerprint"].as_str().expect("a digest").to_owned()
}

/// Trains one step on `data` and returns what was printed.
fn train(place: &Place, run: &str, data: &[&str]) -> String {
    succeed(place.train(run, &[ONE_STEP, &["--data"], data].concat())).0
}

/// Runs a command with these bytes as the standard input.
fn piped(mut command: Command, bytes: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // A command that fails early reads nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(bytes);
    child.wait_with_output().expect("it ends")
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn cached(place: &Place) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place.path("cache")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn one_text_has_one_name_however_it_is_saved() {
    let place = Place::new();
    let text = place.read("text.txt");
    let utf16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let text = String::from_utf8(text.clone()).expect("UTF-8");
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    };
    place.write("text.txt.gz", gz(&text));
    place.write("text.txt.zst", zstd::encode_all(&text[..], 0).expect("it is compressed"));
    place.write("two-members.gz", [gz(&text[..99]), gz(&text[99..])].concat());
    place.write("marked.txt", [&b"\xef\xbb\xbf"[..], &text].concat());
    place.write("little.txt", utf16(u16::to_le_bytes));
    place.write("big.txt", utf16(u16::to_be_bytes));
    train(&place, "plain", &["text.txt"]);
    let others =
        ["text.txt.gz", "text.txt.zst", "two-members.gz", "marked.txt", "little.txt", "big.txt"];
    for data in others {
        let run = format!("run-{data}");
        train(&place, &run, &[data]);
        assert_eq!(fingerprint(&place, &run), fingerprint(&place, "plain"), "{data}");
        place.assert_same_end("plain", &run, 1);
    }
    assert_eq!(cached(&place).len(), 1);
    let lines = "{\"text\": \"The tide turns and turns again, and again.\", \"score\": NaN}\n";
    for name in ["a.jsonl", "a.ndjson", "a.json", "lines"] {
        place.write(name, lines.repeat(40));
        let out = train(&place, &format!("run-{name}"), &[name]);
        assert!(out.contains("40 documents"), "{name}: {out}");
    }
}

#[test]
fn a_pipe_is_read_once_and_asked_for_when_the_run_goes_on() {
    let place = Place::new();
    let text = place.read("text.txt");
    train(&place, "plain", &["text.txt"]);
    for (run, path) in [("dash", "-"), ("device", "/dev/stdin")] {
        if path != "-" && cfg!(not(target_os = "linux")) {
            continue;
        }
        let more = ["--device", "cpu", "--steps", "4", "--stop-at", "1", "--data", path];
        assert_success(&piped(place.train(run, &more), &gz(&text)));
        assert_eq!(fingerprint(&place, run), fingerprint(&place, "plain"), "{path}");
        let resume = ["train", "--resume", run, "--device", "cpu"];
        let error = refused(&piped(place.nitp(&resume), &text));
        assert!(error.contains("from a pipe") && error.contains("--data"), "{error}");
        let error = refused(&piped(place.nitp(&["eval", run]), &text));
        assert!(error.contains("from a pipe") && error.contains("--data"), "{error}");
        let again = [&resume[..], &["--data", path]].concat();
        let other = refused(&piped(place.nitp(&again), b"Other text than that of the run."));
        assert!(other.contains("the data changed"), "{other}");
        assert_success(&piped(place.nitp(&again), &text));
    }
    let empty = refused(&piped(place.train("empty", &["--device", "cpu", "--data", "-"]), b""));
    assert!(empty.contains("the standard input is empty"), "{empty}");
}

#[test]
fn a_folder_tells_what_it_skipped() {
    let place = Place::new();
    for name in ["a.png", "b.png", "c.pdf", "Makefile", ".hidden.txt"] {
        place.write(&format!("folder/{name}"), "x");
    }
    place.write("folder/empty.txt", "");
    place.write("folder/text.txt", place.read("text.txt"));
    #[cfg(unix)]
    {
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, place.path("folder").join(name)).expect("a link");
        };
        link("nowhere.txt", "broken.txt");
        link(".", "again");
    }
    let out = train(&place, "run", &["folder"]);
    let warning = place.metrics("run").into_iter().find(|event| event["event"] == "warning");
    let warning = warning.expect("a warning")["message"].to_string();
    for part in ["2 .png", "1 .pdf", "1 empty file", "1 file without an extension", "1 hidden"] {
        assert!(warning.contains(part), "`{part}` is not in {warning}");
        assert!(out.contains(part), "`{part}` is not in {out}");
    }
    if cfg!(unix) {
        assert!(warning.contains("1 broken link (broken.txt)"), "{warning}");
        assert!(warning.contains("1 link in a loop (again)"), "{warning}");
    }
    assert_eq!(out.matches("skipped in").count(), 1, "{out}");
    let tokenizer =
        ["tokenizer", "train", "--data", "folder", "--vocab-size", "270", "--out", "t.json"];
    assert!(succeed(place.nitp(&tokenizer)).1.contains("2 .png"));
}

#[test]
fn the_same_text_twice_is_told_and_held_out_in_both_places() {
    let place = Place::new();
    place.write("copy.txt", place.read("text.txt"));
    let out = train(&place, "twice", &["text.txt", "./text.txt"]);
    assert!(out.contains("given more than once, and used once: "), "{out}");
    assert!(out.contains(" 1 document "), "{out}");
    let out = train(&place, "copies", &["text.txt", "copy.txt"]);
    assert!(out.contains("the same text under two names"), "{out}");
    assert!(out.contains(" 2 documents "), "{out}");
}

#[test]
fn what_is_no_text_is_refused_in_short_words() {
    let place = Place::new();
    let long = "x".repeat(100_000);
    place.write("array.json", "[{\"text\": \"x\"}]");
    place.write("list.jsonl", format!("{{\"text\": \"x\"}}\n{{\"text\": [\"{long}\"]}}\n"));
    place.write("long.jsonl", format!("[\"{long}\"]\n"));
    place.write("gbk.txt", b"ab\n\xc4\xe3\xba\xc3\n");
    place.write("cut.txt.gz", &gz(long.as_bytes())[..40]);
    place.write("cut.zst", &zstd::encode_all(long.as_bytes(), 0).expect("zstd")[..12]);
    place.write("table.csv", "id,text\n1,a\n2\n");
    place.write("garbage.parquet", gz(long.as_bytes()));
    for (path, parts) in [
        ("array.json", &["one JSON array", "jq -c '.[]'"][..]),
        ("list.jsonl", &["line 2: the field `text` is an array"]),
        ("long.jsonl", &["line 1: the line is an array"]),
        ("gbk.txt", &["line 2", "0xc4", "iconv -f ENCODING"]),
        ("cut.txt.gz", &["cut.txt.gz", "cut short"]),
        ("cut.zst", &["cut.zst", "cut short"]),
        ("table.csv", &["line 3", "1 values"]),
        ("garbage.parquet", &["does not begin as one"]),
    ] {
        let error = fail(place.train("run", &[ONE_STEP, &["--data", path]].concat()), 1);
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in\n{error}");
        }
        let numbers =
            error.split("line ").skip(1).filter(|rest| rest.starts_with(char::is_numeric));
        assert!(error.len() < 2000 && numbers.count() <= 1, "{error}");
        assert_eq!(error.matches(path).count(), 1, "{error}");
    }
}

#[test]
fn no_error_is_longer_than_a_page() {
    let place = Place::new();
    let path = "folder/".repeat(900);
    let error = fail(place.train("run", &["--data", &path]), 1);
    assert!(error.chars().count() < 2050 && error.contains("can't read the data"), "{error}");
}

#[test]
fn data_that_moved_can_be_given_anew() {
    let place = Place::new();
    succeed(place.train("run", &["--steps", "4", "--stop-at", "1", "--device", "cpu"]));
    fs::rename(place.path("text.txt"), place.path("moved.txt")).expect("it is moved");
    let resume = ["train", "--resume", "run", "--device", "cpu"];
    for command in [&resume[..], &["eval", "run", "--device", "cpu"]] {
        let error = fail(place.nitp(command), 1);
        assert!(error.contains("text.txt") && error.contains("--data PATH"), "{error}");
    }
    succeed(place.nitp(&[&resume[..], &["--data", "moved.txt"]].concat()));
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let place = Place::new();
    train(&place, "run", &["text.txt"]);
    let [path] = cached(&place).try_into().expect("one cache");
    let whole = fs::read(&path).expect("a cache");
    let mut zeroed = whole.clone();
    zeroed[100..].fill(0);
    let mut flipped = whole.clone();
    flipped[1000] ^= 1;
    for (name, bytes) in [("zeroed", &zeroed[..]), ("flipped", &flipped), ("cut", &whole[..999])] {
        fs::write(&path, bytes).expect("it is written");
        let out = train(&place, name, &["text.txt"]);
        assert!(out.contains("made anew") && out.contains("is damaged"), "{out}");
        place.assert_same_end("run", name, 1);
        assert!(fs::read(&path).expect("a cache") == whole);
    }
    assert!(!train(&place, "again", &["text.txt"]).contains("made anew"));
}

/// Reading a mapped file that was truncated would raise the signal `SIGBUS`.
#[test]
fn a_cache_that_is_cut_short_under_a_run_does_not_end_it() {
    let place = Place::new();
    train(&place, "first", &["text.txt"]);
    let [path] = cached(&place).try_into().expect("one cache");
    let mut command = place.train("run", &["--steps", "100000", "--device", "cpu"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let begin = Instant::now();
    let log = place.path("run/metrics.jsonl");
    let lines = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    for (at_least, cut) in [(5, true), (45, false)] {
        while lines() < at_least {
            assert!(begin.elapsed() < Duration::from_secs(120), "the run makes no progress");
            assert!(child.try_wait().expect("a state").is_none(), "the run ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        if cut {
            fs::OpenOptions::new().write(true).truncate(true).open(&path).expect("it is cut");
        }
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

#[test]
fn what_a_killed_process_left_is_cleared_by_the_next() {
    let place = Place::new();
    let unfinished = |folder: &str| -> usize {
        let Ok(entries) = fs::read_dir(place.path(folder)) else { return 0 };
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".unfinished")).count()
    };
    let line = "The tide turns, and what was written in the sand is gone.\n";
    place.write("large.txt", line.repeat(300_000));
    let mut command = place.train("large", &[ONE_STEP, &["--data", "large.txt"]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let begin = Instant::now();
    while unfinished("cache") == 0 && child.try_wait().expect("a state").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing is cached");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert_eq!(unfinished("cache"), 1, "the process was not killed while it wrote");
    // A run's folder has only small files of this kind, so a large one is put there.
    succeed(place.train("run", &["--steps", "4", "--stop-at", "1", "--device", "cpu"]));
    assert_eq!(unfinished("cache"), 0);
    place.write("run/.nitp-abcdef.unfinished", "half");
    succeed(place.nitp(&["train", "--resume", "run", "--device", "cpu"]));
    assert_eq!(unfinished("run"), 0);
}

#[test]
#[cfg(unix)]
fn an_empty_cache_variable_counts_as_not_set() {
    let place = Place::new();
    let mut command = place.train("run", ONE_STEP);
    command.env("NITP_CACHE_DIR", "").env("XDG_CACHE_HOME", place.path("xdg"));
    command.env("HOME", place.path("home"));
    succeed(command);
    let here = fs::read_dir(place.path("")).expect("a folder").flatten();
    let mut names = here.map(|entry| entry.path());
    assert!(!names.any(|path| path.extension().is_some_and(|extension| extension == "tokens")));
}
