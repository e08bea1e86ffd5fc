//! `metrics.jsonl`: one JSON object an event.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// Writes a run's events.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of a run that has done `step` steps: later events, which a killed run wrote
    /// and which will come again, are cut off, and so is half a line.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: PathBuf, step: usize) -> Result<Self> {
        let name = path.display().to_string();
        let file = cut(&path, step)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
            .with_context(|| format!("opening the log {name}"))?;
        Ok(Self { path, file })
    }

    /// Appends an event.
    ///
    /// # Errors
    /// What the file system says, a full disk among it.
    pub fn write(&mut self, event: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| {
            format!(
                "writing the log {}; the checkpoints are intact. Make room, then go on with \
                 --resume",
                self.path.display()
            )
        })
    }
}

/// Keeps the events of the first `step` steps.
fn cut(path: &Path, step: usize) -> std::io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let kept: String = text.split_inclusive('\n').filter(|line| is_kept(line, step)).collect();
    if kept != text {
        let beside = path.with_extension("jsonl.new");
        let mut file = File::create(&beside)?;
        file.write_all(kept.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
    }
    Ok(())
}

fn is_kept(line: &str, step: usize) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
    let done = event["step"].as_u64().is_some_and(|at| at <= step as u64);
    let kind = event["event"].as_str().unwrap_or_default();
    // What precedes the first step comes again with it.
    let again = step == 0 && matches!(kind, "evaluation" | "geometry");
    // The run goes on: it has not finished.
    done && line.ends_with('\n') && kind != "finished" && !again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_goes_on_where_the_checkpoint_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line =
            |event: &str, step: usize| format!("{{\"event\":\"{event}\",\"step\":{step}}}\n");
        let kept = [line("step", 1), line("step", 2), line("evaluation", 2)].concat();
        let later = [line("finished", 2), line("step", 3), "{\"event\":\"st".to_owned()].concat();
        fs::write(&path, format!("{kept}{later}")).unwrap();
        let mut log = Log::open(path.clone(), 2).unwrap();
        log.write(&serde_json::json!({"event": "step", "step": 3})).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{kept}{}", line("step", 3)));
    }
}
