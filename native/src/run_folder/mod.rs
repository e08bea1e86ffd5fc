//! A run on disk: `start.json`, `config.toml`, `tokenizer.json`, `machine.json`, `metrics.jsonl`,
//! `checkpoints/`, `tensorboard/` if requested, and `hugging_face/` if it started from such a model.

mod place;
mod start;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::{BYTE_TOKENIZER, Config};
use nitp_core::data::Tokenizer;
use nitp_core::train::checkpoint_file;

pub use place::{check_free, go_on_command};
pub use start::Start;

use crate::checkpoints::Checkpoints;
use crate::hugging_face::{self, NamedFile};
use crate::machine::Machine;
use crate::output::{errln, quoted};
use crate::reasons::reasons;
use nitp_files::whole_file;

/// The default folder of runs.
pub const RUNS: &str = "runs";
const CONFIG: &str = "config.toml";
const START: &str = "start.json";
const TOKENIZER: &str = "tokenizer.json";
const MACHINE: &str = "machine.json";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
/// Folder of TensorBoard's files, if requested.
pub const TENSORBOARD: &str = "tensorboard";
/// Folder of files in Hugging Face's format that came with the model that it started from.
const PRETRAINED: &str = "hugging_face";
const LOCK: &str = ".lock";

/// Temporary name of a log that is being shortened.
const NEW_METRICS: &str = "metrics.jsonl.new";

/// A run's folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// Prevents other processes from training in the same folder; released when dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "it is held, not used")] File);

impl RunFolder {
    /// Makes a new folder, locked for this process: `out`, which must be free, or the next free `runs/<name>-<number>`.
    /// Also returns whether the folder held a run that ended before its first checkpoint, whose files are removed.
    ///
    /// # Errors
    /// If `out` is taken or can't be made.
    pub fn create(out: Option<&Path>, name: &str) -> Result<(Self, Lock, bool)> {
        let Some(out) = out else {
            let folder = Self::create_numbered(Path::new(RUNS), name)?;
            let lock = folder.lock()?;
            return Ok((folder, lock, false));
        };
        check_free(out)?;
        fs::create_dir_all(out)
            .with_context(|| format!("creating the run folder {}", out.display()))?;
        let folder = Self { path: out.to_owned() };
        let left = fs::read_dir(out)?.next().is_some();
        let lock = folder.lock()?;
        if left {
            // Checked again, because from here on no other process can use the folder.
            check_free(out)?;
            folder.clear().with_context(|| format!("clearing {}", out.display()))?;
        }
        Ok((folder, lock, left))
    }

    /// Removes the files of a run that ended before its first checkpoint, except those that will be overwritten.
    fn clear(&self) -> Result<()> {
        self.checkpoints().clear_unfinished()?;
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if name == TENSORBOARD || name == PRETRAINED {
                fs::remove_dir_all(self.path.join(&name))?;
            }
            if whole_file::is_unfinished(&name.to_string_lossy())
                || [METRICS, NEW_METRICS, START].iter().any(|it| name == *it)
            {
                fs::remove_file(self.path.join(name))?;
            }
        }
        Ok(())
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
        bail!("{} has no free number left", runs.join(name).display())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path.join(CHECKPOINTS))
    }

    /// Its log.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Locks the run for this process.
    ///
    /// # Errors
    /// If another process trains in it.
    pub fn lock(&self) -> Result<Lock> {
        // A separate file: other files are replaced by renaming, which would lose the lock.
        let path = self.path.join(LOCK);
        let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                whole_file::clear_abandoned(&self.path);
                Ok(Lock(file))
            }
            Err(fs::TryLockError::WouldBlock) => {
                bail!(
                    "another process trains in {}: stop it first, or give another folder",
                    self.path.display()
                )
            }
            // The file system has no locks.
            Err(fs::TryLockError::Error(_)) => Ok(Lock(file)),
        }
    }

    /// Writes `start.json`, the start of the run.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write_start(&self, start: &Start) -> Result<()> {
        start.write(&self.path.join(START))
    }

    /// Writes the configuration, whole or not at all.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        whole_file::write(&self.path.join(CONFIG), config.to_toml().as_bytes())
    }

    /// Writes the tokenizer, for other programs and for a continuation.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write_tokenizer(&self, tokenizer: &Tokenizer) -> Result<()> {
        whole_file::write(&self.path.join(TOKENIZER), tokenizer.to_json().as_bytes())
    }

    /// Saves files that came with the model that it starts from.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write_pretrained_files(&self, files: &[NamedFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.path.join(PRETRAINED);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        files.iter().try_for_each(|(name, bytes)| whole_file::write(&folder.join(name), bytes))
    }

    /// The files that came with the model that it started from, by name.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn pretrained_files(&self) -> Result<Vec<NamedFile>> {
        hugging_face::kept(&self.path.join(PRETRAINED))
    }

    /// Path of the weights that it started from; none if they were initialised from the seed, or if it is unknown.
    pub fn began_from(&self) -> Option<String> {
        match Start::read(&self.path.join(START)).ok()? {
            Start::Seed => None,
            Start::Weights { path } | Start::Checkpoint { path, .. } => Some(path),
        }
    }

    /// Whether it was made by `nitp import` and never trained.
    pub fn is_imported(&self) -> bool {
        self.path.join(PRETRAINED).is_dir() && !self.path.join(START).is_file()
    }

    /// Writes `machine.json`, the device and kernels, whole or not at all.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write_machine(&self, machine: &Machine) -> Result<()> {
        let text = serde_json::to_string_pretty(machine)?;
        whole_file::write(&self.path.join(MACHINE), text.as_bytes())
    }

    /// The device and kernels that it trained with, if known. Prints a warning if the file is broken.
    pub fn machine(&self) -> Option<Machine> {
        let path = self.path.join(MACHINE);
        let read = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            read => read
                .map_err(anyhow::Error::from)
                .and_then(|text| Ok(serde_json::from_str::<Machine>(&text)?)),
        };
        read.inspect_err(|error| {
            errln!(
                "warning: {} is not used: it is broken ({}). The device and its kernels are chosen anew.",
                path.display(),
                reasons(error)
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

    /// Path of its copy of the tokenizer.
    pub fn tokenizer_file(&self) -> PathBuf {
        self.path.join(TOKENIZER)
    }

    /// Its tokenizer, from the run's copy.
    ///
    /// # Errors
    /// If it can't be read or does not fit the model.
    pub fn tokenizer(&self, config: &Config) -> Result<Tokenizer> {
        let file = (config.data.tokenizer != BYTE_TOKENIZER).then(|| self.tokenizer_file());
        read_tokenizer(file.as_deref(), config)
    }
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
    /// Whether it is the newest checkpoint.
    pub newest: bool,
}

/// The run of `path`, which may be its folder, a checkpoint's folder, or a file in either. The run may have no
/// checkpoint yet.
///
/// # Errors
/// If it is none of them.
pub fn find(path: &Path) -> Result<RunFolder> {
    Ok(find_with(path)?.0)
}

/// Like [`find`], and also returns the checkpoint's folder, if `path` is one.
fn find_with(path: &Path) -> Result<(RunFolder, Option<PathBuf>)> {
    ensure!(path.exists(), "there is no run at {}", path.display());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let path = if path.is_file() { parent.unwrap_or(Path::new(".")) } else { path };
    let is_checkpoint = path.join(checkpoint_file::MODEL).is_file();
    let checkpoint = is_checkpoint.then(|| fs::canonicalize(path)).transpose()?;
    let run_path = match &checkpoint {
        Some(path) => path.ancestors().nth(2).map(Path::to_owned),
        None => Some(path.to_owned()),
    };
    let Some(run) = run_path.clone().filter(|run| run.join(CONFIG).is_file()) else {
        if run_path.is_some_and(|run| run.join(LOCK).is_file()) {
            bail!(
                "the run {} ended before its first save. Start it again: `{}`",
                path.display(),
                go_on_command(path)
            );
        }
        if path.parent().is_some_and(|folder| folder.ends_with(CHECKPOINTS)) {
            bail!(
                "{} is no whole checkpoint: it has no {}. Give another checkpoint of the run, or the \
                run folder for the newest",
                path.display(),
                checkpoint_file::MODEL
            );
        }
        bail!(
            "{} is no run folder: it has no {CONFIG}. Give the folder that `nitp train` named at \
             its end, or a folder in its checkpoints/",
            path.display()
        )
    };
    Ok((RunFolder { path: run }, checkpoint))
}

/// The checkpoint of `path`, which may be a run folder (for its newest checkpoint), a checkpoint's folder, or a file in
/// one.
///
/// # Errors
/// If it is none of them, or the run has no checkpoint.
pub fn locate(path: &Path) -> Result<Saved> {
    let (run, given) = find_with(path)?;
    let checkpoints = run.checkpoints();
    let found = checkpoints.find()?;
    let Some(last) = found.newest() else {
        if check_free(run.path()).is_ok() {
            bail!(
                "the run {} ended before its first checkpoint. Start it again in the same folder: `{}`",
                run.path.display(),
                go_on_command(run.path())
            );
        }
        let reasons: Vec<String> = found
            .broken
            .iter()
            .map(|(path, reason)| format!("{}: {reason}", path.display()))
            .collect();
        bail!(
            "the run {} has no whole checkpoint ({}). Start a new run with its settings: `nitp \
             train --config {} --out DIR`",
            run.path.display(),
            if reasons.is_empty() { "none at all".to_owned() } else { reasons.join("; ") },
            quoted(&run.path.join(CONFIG))
        )
    };
    let step = if let Some(folder) = given {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let broken = found.broken.iter().find(|(path, _)| path.ends_with(&name));
        if let Some((path, reason)) = broken {
            bail!(
                "{} is no whole checkpoint: {reason}. Give another checkpoint of the run, or the run \
                folder for the newest",
                path.display()
            );
        }
        let step = checkpoint_file::step(&name);
        let whole = step.filter(|step| found.whole.iter().any(|(whole, _)| whole == step));
        whole.with_context(|| {
            format!("{} does not lie in the checkpoints/ of its run", path.display())
        })?
    } else {
        found.tell();
        last
    };
    Ok(Saved { checkpoint: checkpoints.path(step), step, newest: step == last, run })
}
