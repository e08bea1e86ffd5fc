//! Checkpoints on disk. Each is a folder that appears whole or not at all.

mod read;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nitp_core::train::{Checkpoint, Manifest, checkpoint_file};

pub use read::{initial_weights, load, load_weights};

use crate::output::errln;
use crate::run_folder::go_on_command;

/// Prefix of folders that are being written or removed. The next process removes those that a killed process left.
pub const UNFINISHED: &str = ".unfinished-";

/// The checkpoints of a run: `step-00000500` and so on.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

/// The checkpoints of a run that were found.
#[derive(Debug, Default)]
pub struct Found {
    /// Checkpoints that are whole, judged by names, lengths and `trainer.json`, in ascending order of steps.
    pub whole: Vec<(usize, Manifest)>,
    /// Folders with the name of a checkpoint that are no whole checkpoint, in the order of their steps, with the
    /// reasons.
    pub broken: Vec<(PathBuf, String)>,
}

impl Found {
    /// The step of the newest whole checkpoint.
    pub fn newest(&self) -> Option<usize> {
        self.whole.last().map(|&(step, _)| step)
    }

    /// Prints a warning about each folder that is skipped.
    pub fn tell(&self) {
        for (path, reason) in &self.broken {
            errln!("warning: {} is skipped: it is no whole checkpoint ({reason})", path.display());
        }
    }
}

impl Checkpoints {
    /// The checkpoints in this folder, which may not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Finds all checkpoints, without reading their large files.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn find(&self) -> Result<Found> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::default()),
            Err(error) => return Err(error).context(format!("reading {}", self.folder.display())),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            steps.extend(name.to_str().and_then(checkpoint_file::step));
        }
        steps.sort_unstable();
        let mut found = Found::default();
        for step in steps {
            match self.check(step) {
                Ok(manifest) => found.whole.push((step, manifest)),
                Err(reason) => {
                    found.broken.push((self.path(step), crate::reasons::reasons(&reason)))
                }
            }
        }
        Ok(found)
    }

    /// Checks that a checkpoint is whole, without reading its large files.
    fn check(&self, step: usize) -> Result<Manifest> {
        let folder = self.path(step);
        let origin = folder.display().to_string();
        let trainer = folder.join(checkpoint_file::TRAINER);
        let lacks = |name: &str| format!("it has no {name}");
        let bytes = fs::read(&trainer).with_context(|| lacks(checkpoint_file::TRAINER))?;
        let manifest = Manifest::read(checkpoint_file::TRAINER, &bytes)?;
        manifest.check_step(checkpoint_file::TRAINER, step)?;
        for name in [checkpoint_file::MODEL, checkpoint_file::OPTIMIZER] {
            let metadata = fs::metadata(folder.join(name)).with_context(|| lacks(name))?;
            ensure!(metadata.is_file(), lacks(name));
            manifest.check_len(&origin, name, metadata.len())?;
        }
        Ok(manifest)
    }

    /// The folder of a step's checkpoint.
    pub fn path(&self, step: usize) -> PathBuf {
        self.folder.join(checkpoint_file::folder(step))
    }

    /// Writes a checkpoint under a temporary name, syncs it, and renames it. `before_naming` runs just before the
    /// renaming, so that other files of the run can be synced.
    ///
    /// # Errors
    /// Errors of the file system, such as a full disk. Other checkpoints are unchanged then.
    pub fn save(
        &self,
        checkpoint: &Checkpoint,
        before_naming: impl FnOnce() -> Result<()>,
    ) -> Result<PathBuf> {
        let step = checkpoint.state.step;
        let target = self.path(step);
        if target.exists() && self.check(step).is_ok() {
            // The run was resumed from this checkpoint and stopped before another step.
            return Ok(target);
        }
        self.write(checkpoint, step, &target, before_naming).with_context(|| {
            let run = self.folder.parent().unwrap_or(Path::new("."));
            format!(
                "saving the checkpoint of step {step} in {}; earlier checkpoints are intact. Free disk \
                space, then continue with `{}`",
                self.folder.display(),
                go_on_command(run)
            )
        })?;
        Ok(target)
    }

    fn write(
        &self,
        checkpoint: &Checkpoint,
        step: usize,
        target: &Path,
        before_naming: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        self.clear_unfinished()?;
        let beside = self.folder.join(format!("{UNFINISHED}{step:08}"));
        let written = fs::create_dir(&beside).and_then(|()| {
            checkpoint.to_files().try_for_each(|(name, bytes)| {
                let mut file = File::create(beside.join(name))?;
                file.write_all(&bytes)?;
                file.sync_all()
            })?;
            sync_folder(&beside)
        });
        if let Err(error) = written.map_err(anyhow::Error::from).and_then(|()| before_naming()) {
            // The disk may be full: free the space of this attempt.
            let _ = fs::remove_dir_all(&beside);
            return Err(error);
        }
        if target.exists() {
            self.set_aside(target)?;
        }
        fs::rename(&beside, target)?;
        sync_folder(&self.folder)?;
        // For the first checkpoint, the folder itself is new.
        self.folder.parent().map_or(Ok(()), sync_folder)?;
        Ok(())
    }

    /// Renames a folder that has the name of a checkpoint but is no whole checkpoint.
    fn set_aside(&self, target: &Path) -> Result<()> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let aside = (1..)
            .map(|number| self.folder.join(format!("broken-{number}-{name}")))
            .find(|path| !path.exists())
            .context("every name is taken")?;
        fs::rename(target, &aside)?;
        errln!(
            "warning: {} was no whole checkpoint; it was renamed to {}",
            target.display(),
            aside.display()
        );
        Ok(())
    }

    /// Removes unfinished folders of killed processes.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn clear_unfinished(&self) -> Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes all checkpoints except the newest `keep` and the one with the lowest held-out loss. Folders that are no
    /// whole checkpoint neither count nor are removed.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn prune(&self, keep: usize) -> Result<()> {
        let whole = self.find()?.whole;
        let losses = whole.iter().filter_map(|(step, it)| Some((it.state.val_loss?, *step)));
        let best = losses.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, step)| step);
        let old = &whole[..whole.len().saturating_sub(keep)];
        for &(step, _) in old.iter().filter(|(step, _)| Some(*step) != best) {
            // Renamed first, so that the checkpoint disappears at once.
            let beside = self.folder.join(format!("{UNFINISHED}pruned-{step:08}"));
            fs::rename(self.path(step), &beside)
                .and_then(|()| fs::remove_dir_all(&beside))
                .with_context(|| format!("removing the old checkpoint of step {step}"))?;
        }
        Ok(())
    }
}

/// Syncs a folder's entries to the disk.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use nitp_core::config::Config;
    use nitp_core::train::{Tensors, TrainerState};

    use super::*;

    fn checkpoint(step: usize, val_loss: Option<f64>) -> Checkpoint {
        let mut state = TrainerState::new("print".to_owned());
        (state.step, state.val_loss) = (step, val_loss);
        let empty = Tensors::new;
        let model = Config::default().model;
        Checkpoint { weights: empty(), moment1: empty(), moment2: empty(), state, model }
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<usize> {
        checkpoints.find().unwrap().whole.iter().map(|&(step, _)| step).collect()
    }

    fn save(checkpoints: &Checkpoints, step: usize, loss: f64) {
        checkpoints.save(&checkpoint(step, Some(loss)), || Ok(())).unwrap();
    }

    #[test]
    fn the_newest_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoints"));
        assert!(steps(&checkpoints).is_empty());
        for (step, loss) in [(100, 3.0), (200, 2.0), (300, 2.5), (400, 2.6), (500, 2.7)] {
            save(&checkpoints, step, loss);
            checkpoints.prune(2).unwrap();
        }
        assert_eq!(steps(&checkpoints), [200, 400, 500]);
    }

    #[test]
    fn what_is_no_whole_checkpoint_neither_counts_nor_goes() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_owned());
        for name in ["step-99999999", "step-00000007", "step-7", "step-+0000008", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("step-00000007/trainer.json"), "{}").unwrap();
        for (step, loss) in [(1, 3.0), (2, 2.0), (3, 4.0)] {
            save(&checkpoints, step, loss);
            checkpoints.prune(1).unwrap();
        }
        assert_eq!(steps(&checkpoints), [2, 3]);
        let broken = checkpoints.find().unwrap().broken;
        assert_eq!(broken.len(), 2);
        assert!(broken[0].0.ends_with("step-00000007") && broken[0].1.contains("broken"));
        assert!(broken[1].0.ends_with("step-99999999") && broken[1].1.contains("trainer.json"));
        // A run that reaches this step saves it, and the old folder is kept.
        save(&checkpoints, 7, 1.0);
        assert_eq!(steps(&checkpoints), [2, 3, 7]);
        assert!(folder.path().join("broken-1-step-00000007/trainer.json").is_file());
    }

    #[test]
    fn a_checkpoint_is_named_after_the_log_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_owned());
        let failing = checkpoints.save(&checkpoint(1, None), || bail!("the log is full"));
        let error = crate::reasons::reasons(&failing.unwrap_err());
        assert!(error.contains("the log is full") && error.contains("intact"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_neither_seen_nor_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_owned());
        let left = folder.path().join(format!("{UNFINISHED}00000100"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("model.safetensors"), "half").unwrap();
        assert!(steps(&checkpoints).is_empty());
        save(&checkpoints, 100, 1.0);
        assert_eq!(steps(&checkpoints), [100]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
