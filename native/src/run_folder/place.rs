//! Checks the folder of a new run, and gives the command that continues or restarts a run.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::{
    CHECKPOINTS, CONFIG, LOCK, MACHINE, METRICS, NEW_METRICS, PRETRAINED, START, Start,
    TENSORBOARD, TOKENIZER,
};
use crate::checkpoints::{Checkpoints, UNFINISHED};
use crate::hugging_face;
use crate::output::quoted;
use crate::tensorboard;
use nitp_files::whole_file::is_unfinished;

/// Checks that a new run can be made at `out`: nothing exists there, or only a run that ended before its first
/// checkpoint and that no process uses.
///
/// # Errors
/// If something else exists there.
pub fn check_free(out: &Path) -> Result<()> {
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(_) => bail!("{} exists already, and is no folder: give another `--out`", out.display()),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let found = Checkpoints::new(out.join(CHECKPOINTS)).find()?;
    ensure!(
        found.whole.is_empty(),
        "{} exists already. Continue it with `nitp train --resume {}`, or give another `--out`",
        out.display(),
        quoted(out)
    );
    if let Some(other) = not_of_a_beginning(out, &names)? {
        bail!(
            "{} exists already, and holds {other}. Only the folder of a run that ended before its \
            first checkpoint can be reused. Give another `--out`",
            out.display()
        );
    }
    Ok(())
}

/// An entry of a folder that does not belong to a run that ended before its first checkpoint, if any.
fn not_of_a_beginning(folder: &Path, names: &[String]) -> Result<Option<String>> {
    let files = [START, CONFIG, TOKENIZER, MACHINE, METRICS, NEW_METRICS, LOCK];
    let is_ours = |name: &str| {
        let path = folder.join(name);
        match name {
            CHECKPOINTS => path.is_dir(),
            PRETRAINED => hugging_face::holds_kept_alone(&path),
            TENSORBOARD => holds_events_alone(&path),
            name => path.is_file() && (files.contains(&name) || is_unfinished(name)),
        }
    };
    if let Some(other) = names.iter().find(|name| !is_ours(name)) {
        return Ok(Some(other.clone()));
    }
    // The lock is a run's first file. A configuration without it may belong to the user.
    if !names.iter().any(|name| name == LOCK) {
        return Ok(names.first().cloned());
    }
    if !names.iter().any(|name| name == CHECKPOINTS) {
        return Ok(None);
    }
    for entry in fs::read_dir(folder.join(CHECKPOINTS))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with(UNFINISHED) {
            return Ok(Some(format!("{CHECKPOINTS}/{name}")));
        }
    }
    Ok(None)
}

/// Whether a folder holds only TensorBoard's files.
fn holds_events_alone(folder: &Path) -> bool {
    let is_event = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|it| it.file_name().to_string_lossy().starts_with(tensorboard::PREFIX))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_event))
}

/// The command that continues a run, or that restarts it in its folder if it has no checkpoint.
pub fn go_on_command(run: &Path) -> String {
    let checkpoints = Checkpoints::new(run.join(CHECKPOINTS));
    let config = run.join(CONFIG);
    if checkpoints.find().is_ok_and(|found| found.newest().is_some()) {
        format!("nitp train --resume {}", quoted(run))
    } else if config.is_file() {
        // Earlier versions did not save the start.
        Start::read(&run.join(START)).unwrap_or(Start::Seed).command(run, &config)
    } else {
        format!("nitp train --out {}", quoted(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::RunFolder;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn only_the_beginning_of_a_run_makes_room() {
        let begun = [".lock", "start.json", "config.toml", "metrics.jsonl", ".tmpAb3dEf"];
        let board = "tensorboard/events.out.tfevents.1700000000.nitp";
        let unfinished = "checkpoints/.unfinished-00000004/model.safetensors";
        for files in [&[][..], &[".lock"], &begun, &[&begun[..], &[unfinished, board]].concat()] {
            let folder = folder_with(files);
            check_free(folder.path()).unwrap();
            let (_run, _lock, taken_over) = RunFolder::create(Some(folder.path()), "").unwrap();
            assert_eq!(taken_over, !files.is_empty());
            let gone = [".tmpAb3dEf", "metrics.jsonl", "start.json"];
            assert!(gone.iter().all(|name| !folder.path().join(name).exists()));
            assert!(!folder.path().join(unfinished).exists());
            assert!(!folder.path().join(board).exists());
        }
        for (files, named) in [
            (&["config.toml"][..], "config.toml"),
            (&[".lock", "notes.txt"], "notes.txt"),
            (&[".lock", "checkpoints/step-00000004/model.safetensors"], "step-00000004"),
            (&[".lock", "config.toml/x"], "config.toml"),
        ] {
            let folder = folder_with(files);
            let error = RunFolder::create(Some(folder.path()), "").unwrap_err().to_string();
            assert!(error.contains("exists already") && error.contains(named), "{error}");
            assert!(files.iter().all(|file| folder.path().join(file).is_file()));
        }
    }

    #[test]
    fn a_folder_that_a_process_is_at_is_not_taken_over() {
        let folder = folder_with(&[".lock", "metrics.jsonl"]);
        let (_run, _lock, _) = RunFolder::create(Some(folder.path()), "").unwrap();
        let error = RunFolder::create(Some(folder.path()), "").unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
    }

    #[test]
    fn the_command_that_goes_on_can_be_copied() {
        let folder = folder_with(&["a run/config.toml"]);
        let run = folder.path().join("a run");
        let path = run.display();
        let expected = format!("nitp train --config '{path}/config.toml' --out '{path}'");
        assert_eq!(go_on_command(&run), expected);
    }
}
