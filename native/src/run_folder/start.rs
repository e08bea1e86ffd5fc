//! The start of a run, saved in its folder, so that a run that ended before its first checkpoint can be restarted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nitp_core::config::Config;
use serde::{Deserialize, Serialize};

use crate::args::RunArgs;
use crate::output::quoted;
use crate::settings;
use nitp_files::whole_file;

/// `start.json` of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Start {
    /// Weights initialised from the seed.
    Seed,
    /// The weights of `--init`.
    Weights {
        /// Its absolute path.
        path: String,
    },
    /// A checkpoint of another run.
    Checkpoint {
        /// Its absolute path.
        path: String,
        /// Other settings: keys of the configuration with their values.
        sets: Vec<String>,
        /// The text, if it was given again; absolute paths.
        data: Vec<String>,
        /// The weights of these texts, if they are mixed.
        #[serde(default)]
        weights: Vec<f64>,
    },
}

impl Start {
    /// A start from these weights, or from the seed. None if the path can't be written as text.
    pub fn of(init: Option<&Path>) -> Option<Self> {
        match init {
            Some(path) => Some(Self::Weights { path: absolute(path)? }),
            None => Some(Self::Seed),
        }
    }

    /// A start from this checkpoint. The arguments override its run's configuration; the result is `config`.
    pub fn of_branch(checkpoint: &Path, args: &RunArgs, config: &Config) -> Option<Self> {
        let steps = args.steps.map(|steps| format!("train.steps={steps}"));
        let column = settings::text_column(args.text_column.as_deref());
        let sets = args.config.sets.iter().cloned().chain(steps).chain(column).collect();
        let data = if args.data.is_empty() { Vec::new() } else { config.data.paths.clone() };
        let weights = args.weights.clone();
        Some(Self::Checkpoint { path: absolute(checkpoint)?, sets, data, weights })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, path: &Path) -> Result<()> {
        whole_file::write(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// Reads it.
    ///
    /// # Errors
    /// If there is no valid file.
    pub fn read(path: &Path) -> Result<Self> {
        serde_json::from_slice(&fs::read(path)?).with_context(|| format!("in {}", path.display()))
    }

    /// The command that restarts the run in the folder `run`, with the configuration in the file `config`.
    pub fn command(&self, run: &Path, config: &Path) -> String {
        let (out, config) = (quoted(run), quoted(config));
        match self {
            Self::Seed => format!("nitp train --config {config} --out {out}"),
            Self::Weights { path } => {
                let path = quoted(Path::new(path));
                format!("nitp train --config {config} --init {path} --out {out}")
            }
            Self::Checkpoint { path, sets, data, weights } => {
                let path = quoted(Path::new(path));
                let mut command = format!("nitp train --resume {path} --out {out}");
                for set in sets {
                    command += &format!(" --set {}", quoted(Path::new(set)));
                }
                if !data.is_empty() {
                    command += " --data";
                    for path in data {
                        command += &format!(" {}", quoted(Path::new(path)));
                    }
                }
                if !weights.is_empty() {
                    command += " --weights";
                    weights.iter().for_each(|weight| command += &format!(" {weight}"));
                }
                command
            }
        }
    }
}

fn absolute(path: &Path) -> Option<String> {
    Some(std::path::absolute(path).ok()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_begins_the_run_from_where_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("start.json");
        let command = |start: Start| {
            start.write(&file).unwrap();
            let read = Start::read(&file).unwrap();
            assert_eq!(read, start);
            read.command(Path::new("a run"), Path::new("a run/config.toml"))
        };
        let path = || "/w/model.safetensors".to_owned();
        assert_eq!(command(Start::Seed), "nitp train --config 'a run/config.toml' --out 'a run'");
        assert_eq!(
            command(Start::Weights { path: path() }),
            "nitp train --config 'a run/config.toml' --init /w/model.safetensors --out 'a run'"
        );
        let branch = Start::Checkpoint {
            path: "/r/checkpoints/step-00000004".to_owned(),
            sets: vec!["train.steps=9".to_owned()],
            data: vec!["/my text".to_owned(), "b".to_owned()],
            weights: vec![0.7, 2.0],
        };
        assert_eq!(
            command(branch),
            "nitp train --resume /r/checkpoints/step-00000004 --out 'a run' --set \
             'train.steps=9' --data '/my text' b --weights 0.7 2"
        );
    }
}
