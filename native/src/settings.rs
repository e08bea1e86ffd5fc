//! The configuration from the command line: a preset, overridden by a file, overridden by options.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nitp_core::config::{BYTE_TOKENIZER, Config, overlay, preset};

use crate::args::{ConfigArgs, LabArgs, RunArgs};
use crate::hugging_face;
use nitp_files::documents::is_standard_input;

/// The root of the source tree, where the default configuration finds the demo data if the program runs in another
/// folder.
const SOURCE_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The preset, the file and the `--set`s.
pub fn config(args: &ConfigArgs) -> Result<Config> {
    let config = layered(args, None, &[])?;
    config.validate()?;
    Ok(config)
}

/// Like [`config`], overridden by the options of `train` and `trace`. Paths become absolute, so that the run can be
/// continued from any folder. `base` replaces the default preset.
pub fn run_config(args: &RunArgs, base: Option<Config>) -> Result<Config> {
    let mut config = layered(&args.config, base, &single_keys(args))?;
    set_data(&mut config, &args.data, &args.weights)?;
    resolve_paths(&mut config);
    Ok(config)
}

/// The common configuration of a comparison's arms; paths become absolute.
pub fn lab_config(args: &LabArgs) -> Result<Config> {
    let steps = args.steps.map(|steps| format!("train.steps={steps}"));
    let column = text_column(args.text_column.as_deref());
    let keys: Vec<String> = steps.into_iter().chain(column).collect();
    let mut config = layered(&args.config, None, &keys)?;
    set_data(&mut config, &args.data, &args.weights)?;
    resolve_paths(&mut config);
    Ok(config)
}

/// The configuration of a resumed run, overridden by options.
pub fn override_config(config: Config, args: &RunArgs) -> Result<Config> {
    let sets: Vec<String> = args.config.sets.iter().cloned().chain(single_keys(args)).collect();
    let mut config = overlay(config, None, &sets)?;
    set_data(&mut config, &args.data, &args.weights)?;
    resolve_paths(&mut config);
    Ok(config)
}

/// A short name for a configuration: that of its file or of the preset.
pub fn name(args: &ConfigArgs) -> String {
    given_name(args).unwrap_or_else(|| "tiny".to_owned())
}

/// A short name for a run: as [`name`], or that of the model that it starts from.
pub fn run_name(args: &RunArgs) -> String {
    let model = args.init.as_deref().filter(|path| hugging_face::is_folder(path));
    let model = model.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    given_name(&args.config).or(model).unwrap_or_else(|| "tiny".to_owned())
}

fn given_name(args: &ConfigArgs) -> Option<String> {
    let stem = args.config.as_deref().and_then(Path::file_stem);
    stem.map(|stem| stem.to_string_lossy().into_owned()).or(args.preset.clone())
}

fn layered(args: &ConfigArgs, base: Option<Config>, last: &[String]) -> Result<Config> {
    let base = match (&args.preset, base) {
        (None, Some(base)) => base,
        (name, _) => preset(name.as_deref().unwrap_or("tiny"))?,
    };
    let text = match &args.config {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading the configuration {}", path.display()))?;
            Some((path.display().to_string(), text))
        }
        None => None,
    };
    let file = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let sets: Vec<String> = args.sets.iter().chain(last).cloned().collect();
    Ok(overlay(base, file, &sets)?)
}

/// The options that stand for one key each.
fn single_keys(args: &RunArgs) -> Vec<String> {
    let steps = args.steps.map(|steps| format!("train.steps={steps}"));
    let seed = args.seed.map(|seed| format!("train.seed={seed}"));
    steps.into_iter().chain(seed).chain(text_column(args.text_column.as_deref())).collect()
}

/// The key that `--text-column` stands for.
pub fn text_column(name: Option<&str>) -> Option<String> {
    name.map(|name| format!("data.text_column={}", toml::Value::from(name)))
}

fn set_data(config: &mut Config, data: &[PathBuf], weights: &[f64]) -> Result<()> {
    if data.is_empty() {
        return Ok(config.validate()?);
    }
    // Those of other paths, unless as many.
    if !weights.is_empty() || config.data.weights.len() != data.len() {
        config.data.weights = weights.to_vec();
    }
    config.data.paths = data
        .iter()
        .map(|path| {
            path.to_str().map(str::to_owned).with_context(|| {
                format!("the path {} is not UTF-8: config.toml can't hold it", path.display())
            })
        })
        .collect::<Result<_>>()?;
    Ok(config.validate()?)
}

fn resolve_paths(config: &mut Config) {
    let files = config.data.paths.iter_mut().filter(|path| !is_standard_input(Path::new(path)));
    files.for_each(resolve);
    if config.data.tokenizer != BYTE_TOKENIZER {
        resolve(&mut config.data.tokenizer);
    }
}

/// The corpus that the project ships.
///
/// # Errors
/// If it is neither in the current folder nor in the source tree.
pub fn demo_corpus() -> Result<PathBuf> {
    let mut path = "demo-data/corpus.jsonl".to_owned();
    resolve(&mut path);
    let path = PathBuf::from(path);
    anyhow::ensure!(path.exists(), "the demo corpus is not at {}: give --data", path.display());
    Ok(path)
}

/// The tasks that the project ships, made from other scenes than the demo corpus.
///
/// # Errors
/// If they are neither in the current folder nor in the source tree.
pub fn demo_tasks() -> Result<Vec<PathBuf>> {
    let mut path = "demo-data/tasks".to_owned();
    resolve(&mut path);
    let entries = std::fs::read_dir(&path)
        .with_context(|| format!("the demo tasks are not at {path}: give --task files"))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|it| it == "jsonl"));
    files.sort();
    Ok(files)
}

/// Makes a path absolute, relative to the current folder; paths in `demo-data` also relative to the source tree.
fn resolve(path: &mut String) {
    let given = Path::new(&path);
    let fallback = Path::new(SOURCE_TREE).join(given);
    let found = if !given.exists() && given.starts_with("demo-data") && fallback.exists() {
        std::fs::canonicalize(fallback)
    } else {
        std::path::absolute(given)
    };
    if let Some(text) = found.ok().as_deref().and_then(Path::to_str) {
        *path = text.to_owned();
    }
}
