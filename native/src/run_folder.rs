//! A run on disk: `config.toml`, `tokenizer.json`, `machine.json`, `metrics.jsonl`, `checkpoints/`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::{BYTE_TOKENIZER, Config};
use nitp_core::data::Tokenizer;
use nitp_core::train::checkpoint_file;

use crate::checkpoints::Checkpoints;
use crate::machine::Machine;
use crate::whole_file;

const CONFIG: &str = "config.toml";
const TOKENIZER: &str = "tokenizer.json";
const MACHINE: &str = "machine.json";
const LOCK: &str = ".lock";

/// A run's folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// Keeps other processes from training in the same folder; given back when dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "it is held, not used")] File);

impl RunFolder {
    /// A new folder: `out`, which must be free, or the next free `runs/<name>-<number>`.
    ///
    /// # Errors
    /// If `out` is taken or can't be made.
    pub fn create(out: Option<&Path>, name: &str) -> Result<Self> {
        let Some(out) = out else { return Self::create_numbered(Path::new("runs"), name) };
        check_free(out)?;
        fs::create_dir_all(out)
            .with_context(|| format!("creating the run folder {}", out.display()))?;
        Ok(Self { path: out.to_owned() })
    }

    fn create_numbered(runs: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(runs).with_context(|| format!("creating {}", runs.display()))?;
        for number in 1.. {
            let path = runs.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("creating the run folder {}", path.display()));
                }
            }
        }
        bail!("every number of {} is taken", runs.join(name).display())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path.join("checkpoints"))
    }

    /// Its log.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Takes the run for this process.
    ///
    /// # Errors
    /// If another process trains in it.
    pub fn lock(&self) -> Result<Lock> {
        // A file of its own: the others are replaced by renaming, and a lock would stay behind.
        let path = self.path.join(LOCK);
        let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("another process trains in {}: stop it first", self.path.display())
            }
            // A file system without locks.
            Err(fs::TryLockError::Error(_)) => Ok(Lock(file)),
        }
    }

    /// Writes the configuration, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        whole_file::write(&self.path.join(CONFIG), config.to_toml().as_bytes())
    }

    /// Writes the tokenizer for other programs, and for this one when the run goes on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_tokenizer(&self, tokenizer: &Tokenizer) -> Result<()> {
        whole_file::write(&self.path.join(TOKENIZER), tokenizer.to_json().as_bytes())
    }

    /// Writes what it trains on, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_machine(&self, machine: &Machine) -> Result<()> {
        let text = serde_json::to_string_pretty(machine)?;
        whole_file::write(&self.path.join(MACHINE), text.as_bytes())
    }

    /// What it trained on, or none: with a warning if its file is broken.
    pub fn machine(&self) -> Option<Machine> {
        let path = self.path.join(MACHINE);
        let read = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            read => read
                .map_err(anyhow::Error::from)
                .and_then(|text| Ok(serde_json::from_str::<Machine>(&text)?)),
        };
        read.inspect_err(|error| {
            eprintln!(
                "warning: {} is not used: it is broken ({error}). The device and its kernels are \
                 chosen anew.",
                path.display()
            );
        })
        .ok()
    }

    /// Its configuration.
    ///
    /// # Errors
    /// If it can't be read or is not valid.
    pub fn config(&self) -> Result<Config> {
        let path = self.path.join(CONFIG);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Config::from_toml(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Its tokenizer: the copy that the run keeps.
    ///
    /// # Errors
    /// If it can't be read or does not fit the model.
    pub fn tokenizer(&self, config: &Config) -> Result<Tokenizer> {
        let kept = self.path.join(TOKENIZER);
        let file = (config.data.tokenizer != BYTE_TOKENIZER).then_some(kept);
        read_tokenizer(file.as_deref(), config)
    }
}

/// Checks that a new run may be made at `out`.
///
/// # Errors
/// If something is there.
pub fn check_free(out: &Path) -> Result<()> {
    let empty = || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(
        !out.exists() || empty(),
        "{} exists already. Go on with it by `--resume {0}`, or give another `--out`",
        out.display()
    );
    Ok(())
}

/// The tokenizer in `file`, or bytes.
///
/// # Errors
/// If it can't be read or does not fit the model.
pub fn read_tokenizer(file: Option<&Path>, config: &Config) -> Result<Tokenizer> {
    let new = |source: &str| {
        Tokenizer::new(source, config.model.vocab_size)?.with_end_of_text(&config.data.end_of_text)
    };
    let Some(path) = file else { return Ok(new(BYTE_TOKENIZER)?) };
    let json = fs::read_to_string(path).with_context(|| {
        format!(
            "reading the tokenizer {}; make one with `nitp tokenizer train`, or set \
             data.tokenizer=byte",
            path.display()
        )
    })?;
    new(&json).with_context(|| format!("the tokenizer {}", path.display()))
}

/// A run and one of its checkpoints.
#[derive(Debug)]
pub struct Saved {
    /// The run.
    pub run: RunFolder,
    /// The checkpoint's folder.
    pub checkpoint: PathBuf,
    /// Its step.
    pub step: usize,
    /// Whether no later one exists.
    pub newest: bool,
}

/// What `path` stands for: a run folder (its newest checkpoint), a checkpoint's folder, or a file
/// in one.
///
/// # Errors
/// If it is none of them, or the run has no checkpoint.
pub fn locate(path: &Path) -> Result<Saved> {
    ensure!(path.exists(), "there is no run at {}", path.display());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let path = if path.is_file() { parent.unwrap_or(Path::new(".")) } else { path };
    let is_checkpoint = path.join(checkpoint_file::MODEL).is_file();
    let run_path = if is_checkpoint {
        let path = fs::canonicalize(path)?;
        path.ancestors().nth(2).map(Path::to_owned)
    } else {
        Some(path.to_owned())
    };
    let run = run_path.filter(|run| run.join(CONFIG).is_file()).map(|path| RunFolder { path });
    let Some(run) = run else {
        bail!(
            "{} is no run folder: it has no {CONFIG}. Give the folder that `nitp train` named at \
             its end, or a folder in its checkpoints/",
            path.display()
        )
    };
    let checkpoints = run.checkpoints();
    let steps = checkpoints.steps()?;
    let Some(&last) = steps.last() else {
        bail!(
            "the run {} has no checkpoint yet: it ended before its first. Start it anew",
            run.path.display()
        )
    };
    let step = if is_checkpoint {
        let name = fs::canonicalize(path)?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = steps.iter().find(|&&step| checkpoints.path(step).ends_with(&name));
        *found.with_context(|| {
            format!("{} does not lie in the checkpoints/ of its run", path.display())
        })?
    } else {
        last
    };
    Ok(Saved { checkpoint: checkpoints.path(step), step, newest: step == last, run })
}
