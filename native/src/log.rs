//! `metrics.jsonl`: one JSON object per event.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::run_folder::go_on_command;

/// Writes a run's events.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of a run at step `step`, and returns the number of broken lines that were dropped.
    /// Events of later steps, which a killed run wrote and which will occur again, are removed, and so is an unfinished
    /// line at the end. Other lines that are no events, which a killed process can't leave, are dropped and counted.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn open(path: PathBuf, step: usize) -> Result<(Self, usize)> {
        let opened = cut(&path, step).and_then(|spoiled| {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            Ok((file, spoiled))
        });
        let (file, spoiled) =
            opened.with_context(|| format!("opening the log {}", path.display()))?;
        Ok((Self { path, file }, spoiled))
    }

    /// Appends an event.
    ///
    /// # Errors
    /// Errors of the file system, such as a full disk.
    pub fn write(&mut self, event: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| self.failed())
    }

    /// Syncs the log to the disk.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().with_context(|| self.failed())
    }

    fn failed(&self) -> String {
        let run = self.path.parent().unwrap_or(Path::new("."));
        format!(
            "writing the log {}; the checkpoints are intact. Free disk space, then continue with `{}`",
            self.path.display(),
            go_on_command(run)
        )
    }
}

/// What happens to a line when a run is continued.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// Removed, because the event will occur again.
    Cut,
    Spoiled,
}

/// Keeps the events of the first `step` steps. Returns the number of broken lines.
fn cut(path: &Path, step: usize) -> std::io::Result<usize> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let (mut kept, mut spoiled) = (Vec::with_capacity(bytes.len()), 0);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let (text, whole) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        match fate(text, step) {
            Fate::Kept => {
                kept.extend_from_slice(text);
                kept.push(b'\n');
            }
            // A killed process leaves an unfinished line at the end.
            Fate::Spoiled => spoiled += usize::from(whole),
            Fate::Cut => {}
        }
    }
    if kept != bytes {
        let beside = path.with_extension("jsonl.new");
        let mut file = File::create(&beside)?;
        file.write_all(&kept)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
    }
    Ok(spoiled)
}

fn fate(line: &[u8], step: usize) -> Fate {
    if line.trim_ascii().is_empty() {
        return Fate::Cut;
    }
    let event = serde_json::from_slice::<Value>(line).unwrap_or_default();
    let (Some(at), Some(kind)) = (event["step"].as_u64(), event["event"].as_str()) else {
        return Fate::Spoiled;
    };
    // Events before the first step occur again with it.
    let again = step == 0 && matches!(kind, "evaluation" | "geometry");
    // The run is continued, so it has not finished.
    let kept = at <= step as u64 && kind != "finished" && !again;
    if kept { Fate::Kept } else { Fate::Cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str, step: usize) -> String {
        format!("{{\"event\":\"{event}\",\"step\":{step}}}\n")
    }

    /// The log after it was opened at step 2 and written to, and the number of broken lines.
    fn reopened(before: &[u8]) -> (String, usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, before).unwrap();
        let (mut log, spoiled) = Log::open(path.clone(), 2).unwrap();
        log.write(&serde_json::json!({"event": "step", "step": 3})).unwrap();
        log.sync().unwrap();
        (fs::read_to_string(&path).unwrap(), spoiled)
    }

    #[test]
    fn a_resumed_log_goes_on_where_the_checkpoint_is() {
        let kept = [line("step", 1), line("step", 2), line("evaluation", 2)].concat();
        let later = [line("finished", 2), line("step", 3), "{\"event\":\"st".to_owned()].concat();
        let (text, spoiled) = reopened(format!("{kept}{later}").as_bytes());
        assert_eq!((text, spoiled), (format!("{kept}{}", line("step", 3)), 0));
    }

    #[test]
    fn spoiled_lines_are_counted_and_stop_nothing() {
        let (one, two) = (line("step", 1), line("step", 2));
        let before = [one.as_bytes(), b"\xff\0\0\n", b"{\"event\":\"step\"}\n", b"\n", b"[1]\n"];
        let (text, spoiled) = reopened(&[&before.concat(), two.as_bytes()].concat());
        assert_eq!((text, spoiled), ([one, two, line("step", 3)].concat(), 3));
    }

    #[test]
    fn a_last_line_whose_end_an_editor_took_is_kept() {
        let (text, spoiled) = reopened(line("step", 2).trim_end().as_bytes());
        assert_eq!((text, spoiled), ([line("step", 2), line("step", 3)].concat(), 0));
    }
}
