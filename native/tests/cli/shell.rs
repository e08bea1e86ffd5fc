//! `completions` and `man`.

use std::fs;

use crate::harness::{Place, fail, succeed};

#[test]
fn every_shell_gets_completions_of_every_command() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, _) = succeed(place.nitp(&["completions", shell]));
        for word in ["ablate", "tokenizer", "tensorboard"] {
            assert!(script.contains(word), "{shell} has no {word}");
        }
    }
    assert!(fail(place.nitp(&["completions", "tcsh"]), 2).contains("[possible values: bash"));
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new();
    let (out, _) = succeed(place.nitp(&["man", "--out", "manual pages"]));
    assert!(out.contains("man -l 'manual pages/nitp.1'"), "{out}");
    let page = |name: &str| fs::read_to_string(place.path("manual pages").join(name)).unwrap();
    assert!(page("nitp.1").contains("nitp\\-train(1)"));
    assert!(page("nitp-train.1").contains("tensorboard"));
    assert!(page("nitp-tokenizer-train.1").contains("vocab"));
    // A file with the folder's name is not changed.
    fs::write(place.path("file"), "mine").unwrap();
    assert!(fail(place.nitp(&["man", "--out", "file"]), 1).contains("making the folder file"));
    assert_eq!(fs::read_to_string(place.path("file")).unwrap(), "mine");
}
