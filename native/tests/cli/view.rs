//! `nitp view`: runs in the terminal and as a page: finished, running, or missing.

use std::fs;

use crate::harness::{Place, fail, succeed};

const CPU: &str = "--device=cpu";

#[test]
fn runs_are_drawn_over_each_other() {
    let place = Place::new();
    succeed(place.train("ntp/run", &[CPU, "--steps=8", "--set=nitp.enabled=false"]));
    let experts = ["--set=model.moe.num_experts=4", "--set=model.moe.num_experts_per_tok=2"];
    succeed(place.train("nitp/run", &[&[CPU, "--steps=8"][..], &experts].concat()));
    let (said, _) = succeed(place.nitp(&["view", "ntp/run", "nitp/run"]));
    let panels = ["held-out loss by step", "training loss", "NITP loss", "effective rank by step"];
    for part in panels.iter().chain(&["mean cosine by step", "spectrum", "tokens/s", "MoE block 1"])
    {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    // Equal names are distinguished by the parent folder, and lines by letters, because there are no colours.
    assert!(said.starts_with("a ntp/run\nb nitp/run\n"), "{said}");
    assert!(said.contains("8 of 8") && !said.contains('\u{1b}'), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 120), "{said}");

    let (colours, _) = {
        let mut command = place.nitp(&["view", "ntp/run", "nitp/run"]);
        command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
        succeed(command)
    };
    let is_braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
    assert!(colours.contains("\u{1b}[38;5;166m") && colours.contains(is_braille), "{colours}");

    let (said, _) = succeed(place.nitp(&["view", "nitp/run", "ntp/run", "--html", "page.html"]));
    assert_eq!(said, "page.html\n");
    let html = String::from_utf8(place.read("page.html")).expect("UTF-8");
    for part in ["nitp/run, ntp/run", "held-out loss against steps", "spectrum at step 8", "MoE"] {
        assert!(html.contains(part), "`{part}` is not in the page");
    }
    let outside = ["<script", "<link", "src=", "@import", "url("];
    assert!(outside.iter().all(|it| !html.contains(it)), "the page needs another file");
}

#[test]
fn a_run_under_way_is_shown_as_far_as_it_is() {
    let place = Place::new();
    succeed(place.train("run", &[CPU, "--steps=12", "--stop-at=6"]));
    // An unfinished line, as during another process's write, and no checkpoint yet.
    let log = place.path("run/metrics.jsonl");
    let whole = fs::read_to_string(&log).expect("a log");
    fs::write(&log, format!("{whole}{{\"event\":\"step\",\"ste")).expect("it is written");
    fs::remove_dir_all(place.path("run/checkpoints")).expect("it is there");
    let (said, told) = succeed(place.nitp(&["view", "run", "run/metrics.jsonl"]));
    assert!(said.contains("6 of 12"), "{said}");
    assert!(told.contains("run/metrics.jsonl was given twice and is shown once"), "{told}");
}

#[test]
fn what_can_not_be_shown_is_told() {
    let place = Place::new();
    let refused = |runs: &[&str], parts: &[&str]| {
        let error = fail(place.nitp(&[&["view"], runs].concat()), 1);
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in\n{error}");
        }
    };
    refused(&["nothing"], &["there is no run at nothing"]);
    place.write("folder/notes.txt", "mine");
    refused(&["folder"], &["folder is no run folder"]);

    succeed(place.train("run", &[CPU, "--steps=2"]));
    let log = place.read("run/metrics.jsonl");
    let text = String::from_utf8(log).expect("UTF-8");
    let start = text.lines().next().expect("a line").to_owned() + "\n";
    place.write("new/config.toml", place.read("run/config.toml"));
    refused(&["new"], &["the run new has no data yet", "after the first step"]);
    place.write("new/metrics.jsonl", &start);
    refused(&["new"], &["the run new has no data yet"]);
    let (said, told) = succeed(place.nitp(&["view", "new", "run"]));
    assert!(told.contains("the run new has no data yet") && said.contains("2 of 2"), "{said}");

    place.write("run/metrics.jsonl", text.replacen("\"event\"", "\"ev", 2));
    refused(&["run"], &["line 1 of run/metrics.jsonl is no event of a run"]);
    place.write("lab/experiment.json", "{}");
    refused(&["lab"], &["lab is a comparison", "nitp view lab/runs/*/seed-0"]);
}
