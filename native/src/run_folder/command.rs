//! The command that began a run, in its folder: what begins it anew where nothing of it was saved.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::output::quoted;
use crate::whole_file;

/// `command.json` of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginCommand {
    /// Where it was given: its paths may be relative.
    directory: PathBuf,
    /// Behind the program's name.
    arguments: Vec<String>,
}

impl BeginCommand {
    /// That of this process.
    ///
    /// # Errors
    /// If the current folder is gone.
    pub fn of_this_process() -> Result<Self> {
        let text = |argument: &OsStr| argument.to_string_lossy().into_owned();
        Ok(Self {
            directory: env::current_dir()?,
            arguments: env::args_os().skip(1).map(|argument| text(&argument)).collect(),
        })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> Result<()> {
        whole_file::write(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// Reads it; none where there is none that can be read.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// The line that begins the run anew in its folder, `run`.
    pub fn line(&self, run: &Path) -> String {
        let here = env::current_dir().is_ok_and(|here| here == self.directory);
        let mut line = "nitp".to_owned();
        for argument in &self.arguments {
            line += " ";
            line += &quoted(Path::new(argument));
        }
        // A folder that the run has chosen for itself.
        if !self.arguments.iter().any(|it| it == "--out" || it.starts_with("--out=")) {
            let absolute = std::path::absolute(run);
            let run = if here { run } else { absolute.as_deref().unwrap_or(run) };
            line += &format!(" --out {}", quoted(run));
        }
        if here { line } else { format!("cd {} && {line}", quoted(&self.directory)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_begins_the_run_where_and_as_it_was_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("command.json");
        let begun = |directory: &Path, arguments: &[&str]| {
            let arguments = arguments.iter().map(|&it| it.to_owned()).collect();
            BeginCommand { directory: directory.to_owned(), arguments }.write(&path).unwrap();
            BeginCommand::read(&path).unwrap().line(Path::new("runs/tiny-1"))
        };
        let here = env::current_dir().unwrap();
        assert_eq!(
            begun(&here, &["train", "--init", "a run"]),
            "nitp train --init 'a run' --out runs/tiny-1"
        );
        assert_eq!(
            begun(Path::new("/a b"), &["train", "--out=x", "--set", "nitp.weight=0.5"]),
            "cd '/a b' && nitp train '--out=x' --set 'nitp.weight=0.5'"
        );
        let absolute = here.join("runs/tiny-1");
        assert_eq!(
            begun(Path::new("/"), &["train"]),
            format!("cd / && nitp train --out {}", quoted(&absolute))
        );
    }
}
