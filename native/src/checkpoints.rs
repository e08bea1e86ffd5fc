//! Checkpoints on disk: each a folder that appears whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::Config;
use nitp_core::model::parameters;
use nitp_core::train::{Checkpoint, Tensors, TrainerState, checkpoint_file, read_weights};

/// Prefix of folders that are being written or removed; what a killed process leaves of them is
/// cleared away by the next.
const UNFINISHED: &str = ".unfinished-";

/// The checkpoints of a run: `step-00000500` and so on.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Those in this folder, which may not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Steps that have a checkpoint, rising.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn steps(&self) -> Result<Vec<usize>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context(format!("reading {}", self.folder.display())),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix("step-"));
            steps.extend(step.and_then(|step| step.parse::<usize>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Where the checkpoint of a step lies.
    pub fn path(&self, step: usize) -> PathBuf {
        self.folder.join(checkpoint_file::folder(step))
    }

    /// Writes a checkpoint beside its place, syncs it, and renames it.
    ///
    /// # Errors
    /// What the file system says, a full disk among it; other checkpoints are untouched then.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let step = checkpoint.state.step;
        let target = self.path(step);
        if target.exists() {
            // The run was gone on with from it and stopped before another step.
            return Ok(target);
        }
        self.write(checkpoint, step, &target).with_context(|| {
            format!(
                "saving the checkpoint of step {step} in {}; what was saved before is intact. Make \
                 room, then go on with --resume",
                self.folder.display()
            )
        })?;
        Ok(target)
    }

    fn write(&self, checkpoint: &Checkpoint, step: usize, target: &Path) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        self.clear_unfinished()?;
        let beside = self.folder.join(format!("{UNFINISHED}{step:08}"));
        fs::create_dir(&beside)?;
        let written = checkpoint.to_files().try_for_each(|(name, bytes)| {
            let mut file = File::create(beside.join(name))?;
            file.write_all(&bytes)?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| sync_folder(&beside)) {
            // The disk may be full: give back what this try took.
            let _ = fs::remove_dir_all(&beside);
            return Err(error.into());
        }
        fs::rename(&beside, target)?;
        sync_folder(&self.folder)?;
        Ok(())
    }

    /// Removes what a killed process left.
    fn clear_unfinished(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes all but the newest `keep` and the one with the lowest held-out loss.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prune(&self, keep: usize) -> Result<()> {
        let steps = self.steps()?;
        let losses = steps.iter().filter_map(|&step| {
            let text = fs::read(self.path(step).join(checkpoint_file::TRAINER)).ok()?;
            let state: TrainerState = serde_json::from_slice(&text).ok()?;
            Some((state.val_loss?, step))
        });
        let best = losses.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, step)| step);
        let old = &steps[..steps.len().saturating_sub(keep)];
        for &step in old.iter().filter(|&&step| Some(step) != best) {
            // Renamed first, so that it disappears at once.
            let beside = self.folder.join(format!("{UNFINISHED}pruned-{step:08}"));
            fs::rename(self.path(step), &beside)
                .and_then(|()| fs::remove_dir_all(&beside))
                .with_context(|| format!("removing the old checkpoint of step {step}"))?;
        }
        Ok(())
    }
}

/// A folder's entries reach the disk.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Reads a whole checkpoint of this model.
///
/// # Errors
/// Files that are missing, cut short or of another model.
pub fn load(folder: &Path, config: &Config) -> Result<Checkpoint> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| format!("reading the checkpoint's {}", path.display()))
    };
    let model = read(checkpoint_file::MODEL)?;
    let optimizer = read(checkpoint_file::OPTIMIZER)?;
    let trainer = read(checkpoint_file::TRAINER)?;
    let origin = folder.display().to_string();
    Ok(Checkpoint::from_files(&origin, &parameters(config), &model, &optimizer, &trainer)?)
}

/// Weights of this model from a `model.safetensors`; NITP's projector may be absent.
///
/// # Errors
/// A file that is missing, cut short or of another model.
pub fn load_weights(file: &Path, config: &Config) -> Result<Tensors> {
    let bytes =
        fs::read(file).with_context(|| format!("reading the weights {}", file.display()))?;
    let needed = |name: &str| !name.starts_with("nitp.");
    Ok(read_weights(&file.display().to_string(), &parameters(config), &bytes, needed)?)
}

/// The `model.safetensors` behind a path: that file, its checkpoint, or a run's newest checkpoint.
///
/// # Errors
/// If there is none.
pub fn weights_file(path: &Path) -> Result<PathBuf> {
    ensure!(path.exists(), "there is no checkpoint at {}", path.display());
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let direct = path.join(checkpoint_file::MODEL);
    if direct.is_file() {
        return Ok(direct);
    }
    let checkpoints = Checkpoints::new(path.join("checkpoints"));
    match checkpoints.steps()?.last() {
        Some(&step) => Ok(checkpoints.path(step).join(checkpoint_file::MODEL)),
        None => bail!(
            "{} is no checkpoint: it holds neither {} nor a folder checkpoints/ with any",
            path.display(),
            checkpoint_file::MODEL
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: usize, val_loss: Option<f64>) -> Checkpoint {
        let mut state = TrainerState::new("print".to_owned());
        (state.step, state.val_loss) = (step, val_loss);
        let empty = Tensors::new;
        Checkpoint { weights: empty(), moment1: empty(), moment2: empty(), state }
    }

    #[test]
    fn the_newest_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoints"));
        assert!(checkpoints.steps().unwrap().is_empty());
        for (step, loss) in [(100, 3.0), (200, 2.0), (300, 2.5), (400, 2.6), (500, 2.7)] {
            checkpoints.save(&checkpoint(step, Some(loss))).unwrap();
            checkpoints.prune(2).unwrap();
        }
        assert_eq!(checkpoints.steps().unwrap(), [200, 400, 500]);
    }

    #[test]
    fn what_a_killed_process_left_is_neither_seen_nor_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_owned());
        let left = folder.path().join(format!("{UNFINISHED}00000100"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("model.safetensors"), "half").unwrap();
        assert!(checkpoints.steps().unwrap().is_empty());
        checkpoints.save(&checkpoint(100, None)).unwrap();
        assert_eq!(checkpoints.steps().unwrap(), [100]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
