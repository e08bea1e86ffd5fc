//! Reads checkpoints, or only their weights.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::Config;
use nitp_core::train::{
    Checkpoint, CheckpointError, Manifest, Origin, Tensors, TrainerState, checkpoint_file,
    read_weights, same_meaning,
};

use super::Checkpoints;
use crate::output::errln;

/// Calls `with` on a checkpoint's name and step, for its messages and checks.
fn with_origin<T>(folder: &Path, with: impl FnOnce(Origin<'_>) -> T) -> T {
    let path = folder.display().to_string();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    with(Origin { path: &path, step: checkpoint_file::step(&name) })
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).with_context(|| format!("reading the checkpoint's {}", path.display()))
}

fn warn_without_digests(folder: &Path) {
    errln!(
        "warning: {} is of a version without digests: damage to its files can't be detected",
        folder.display()
    );
}

/// Reads a whole checkpoint of this model.
///
/// # Errors
/// Files that are missing, damaged, truncated or of another model.
pub fn load(folder: &Path, config: &Config) -> Result<Checkpoint> {
    let model = read(folder, checkpoint_file::MODEL)?;
    let optimizer = read(folder, checkpoint_file::OPTIMIZER)?;
    let trainer = read(folder, checkpoint_file::TRAINER)?;
    let checkpoint = with_origin(folder, |origin| {
        Checkpoint::from_files(origin, config, &model, &optimizer, &trainer)
    })?;
    if !Manifest::read(checkpoint_file::TRAINER, &trainer)?.has_digests() {
        warn_without_digests(folder);
    }
    Ok(checkpoint)
}

/// Reads the weights of a checkpoint of this model, and the position of its run. Heads that only training uses may be
/// absent.
///
/// # Errors
/// As [`load`].
pub fn load_weights(folder: &Path, config: &Config) -> Result<(Tensors, TrainerState)> {
    let (weights, manifest) = weights_and_manifest(folder, config)?;
    Ok((weights, manifest.state))
}

fn weights_and_manifest(folder: &Path, config: &Config) -> Result<(Tensors, Manifest)> {
    let model = read(folder, checkpoint_file::MODEL)?;
    let trainer = read(folder, checkpoint_file::TRAINER)?;
    let found = with_origin(folder, |origin| {
        Checkpoint::weights_from_files(origin, config, &model, &trainer)
    })?;
    if !found.1.has_digests() {
        warn_without_digests(folder);
    }
    Ok(found)
}

/// The weights that a new run starts from: those of a run's newest checkpoint, of a checkpoint, or of a file. If
/// `trainer.json` or the run's `config.toml` tells their model, it must be this model.
///
/// # Errors
/// If the weights are missing, damaged, truncated or of another model.
pub fn initial_weights(path: &Path, config: &Config) -> Result<Tensors> {
    let file = weights_file(path)?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let is_ours =
        file.ends_with(checkpoint_file::MODEL) && folder.join(checkpoint_file::TRAINER).is_file();
    let (weights, known) = if is_ours {
        let (weights, manifest) =
            weights_and_manifest(folder, config).map_err(|error| meant(&file, error))?;
        (weights, manifest.model().is_some())
    } else {
        let bytes =
            fs::read(&file).with_context(|| format!("reading the weights {}", file.display()))?;
        (read_weights(&file.display().to_string(), config, &bytes)?, false)
    };
    if !known && let Some(made_with) = made_with(folder)? {
        same_meaning(&config.model, &made_with.model).map_err(|differences| {
            let file_name = file.display().to_string();
            meant(&file, CheckpointError::Model { file: file_name, differences }.into())
        })?;
    }
    Ok(weights)
}

/// Adds advice on how to use weights with other settings on purpose.
fn meant(file: &Path, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(CheckpointError::Model { .. }) => anyhow::anyhow!(
            "{error}. If the change is intended, copy {} alone to another folder, and give that file to --init",
            file.display()
        ),
        _ => error,
    }
}

/// The configuration in the folder of weights, or of the run that this folder is a checkpoint of. A `config.toml`
/// without a section `[model]`, such as another program's, gives a warning and is ignored.
fn made_with(folder: &Path) -> Result<Option<Config>> {
    const CONFIG: &str = "config.toml";
    let run = fs::canonicalize(folder).ok();
    let run = run.as_deref().and_then(Path::parent);
    let run = run.filter(|checkpoints| checkpoints.ends_with("checkpoints"));
    let of_run = run.and_then(Path::parent).map(|run| run.join(CONFIG));
    let found = [Some(folder.join(CONFIG)), of_run].into_iter().flatten();
    let Some(path) = found.into_iter().find(|path| path.is_file()) else { return Ok(None) };
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let lacks_model =
        toml::from_str::<toml::Table>(&text).is_ok_and(|it| !it.contains_key("model"));
    if lacks_model {
        errln!(
            "warning: {} has no section [model]: only the shapes of the weights beside it are checked \
            against this model",
            path.display()
        );
        return Ok(None);
    }
    let config = Config::from_toml(&text).with_context(|| format!("in {}", path.display()))?;
    Ok(Some(config))
}

/// The `model.safetensors` of a path, which may be that file, its checkpoint, or a run (for its newest checkpoint).
fn weights_file(path: &Path) -> Result<PathBuf> {
    ensure!(path.exists(), "there is no checkpoint at {}", path.display());
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let direct = path.join(checkpoint_file::MODEL);
    if direct.is_file() {
        return Ok(direct);
    }
    let checkpoints = Checkpoints::new(path.join("checkpoints"));
    let found = checkpoints.find()?;
    found.tell();
    match found.newest() {
        Some(step) => Ok(checkpoints.path(step).join(checkpoint_file::MODEL)),
        None => bail!(
            "{} is no checkpoint: it holds neither {} nor a folder checkpoints/ with a checkpoint",
            path.display(),
            checkpoint_file::MODEL
        ),
    }
}
