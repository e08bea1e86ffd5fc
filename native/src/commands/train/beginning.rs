//! The beginning of a new run: a configuration, a tokenizer and weights, which may all come from `--init`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use nitp_core::config::{BYTE_TOKENIZER, Config};
use nitp_core::data::Tokenizer;
use nitp_core::train::{Tensors, same_meaning};

use crate::args::RunArgs;
use crate::hugging_face::{self, NamedFile, Pretrained};
use crate::run_folder::{self, RunFolder, read_tokenizer};
use crate::{checkpoints, settings};

/// The beginning of a run.
pub struct Beginning {
    /// Its configuration.
    pub config: Config,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its weights; none if they are initialised from the seed.
    pub weights: Option<Tensors>,
    /// Files that came with the weights, in Hugging Face's format.
    pub kept: Vec<NamedFile>,
}

impl Beginning {
    /// The beginning for these arguments. An imported model determines `[model]` and the tokenizer. A configuration
    /// file and `--set` override other settings, but must not change the model.
    ///
    /// # Errors
    /// A configuration or weights that can't be read or don't fit each other.
    pub fn of(args: &RunArgs) -> Result<Self> {
        let Some(path) = &args.init else {
            let config = settings::run_config(args, None)?;
            let tokenizer = tokenizer(&config)?;
            return Ok(Self { config, tokenizer, weights: None, kept: Vec::new() });
        };
        if hugging_face::is_folder(path) {
            return Self::of_folder(args, path);
        }
        // A path that is no run, such as a file of weights, gives no further information.
        let run = run_folder::find(path).ok();
        let base = match &run {
            Some(run) if run.is_imported() => Some(of_imported(run)?),
            _ => None,
        };
        let config = settings::run_config(args, base)?;
        let tokenizer = tokenizer(&config)?;
        let weights = checkpoints::initial_weights(path, &config)?;
        let mut kept = Vec::new();
        if let Some(run) = run
            && run.tokenizer(&run.config()?).is_ok_and(|it| it.to_json() == tokenizer.to_json())
        {
            kept = run.pretrained_files()?;
        }
        Ok(Self { config, tokenizer, weights: Some(weights), kept })
    }

    fn of_folder(args: &RunArgs, folder: &Path) -> Result<Self> {
        ensure!(
            args.config.preset.is_none(),
            "--preset and {} both describe a model: leave --preset out. Training settings can be given \
            with --set or --config",
            folder.display()
        );
        let pretrained = Pretrained::open(folder)?;
        let own = &pretrained.config;
        let mut config = settings::run_config(args, Some(own.clone()))?;
        same_meaning(&config.model, &own.model).map_err(|differences| {
            anyhow!(
                "the model in {} differs from the configuration: {differences}. Leave these keys out: \
                they are read from its config.json",
                folder.display()
            )
        })?;
        ensure!(
            config.data.tokenizer == own.data.tokenizer,
            "data.tokenizer is {}, but the model in {} works only with its own tokenizer.json. Leave this key out",
            config.data.tokenizer,
            folder.display()
        );
        let weights = pretrained.weights(&mut config)?;
        let Pretrained { tokenizer, kept, .. } = pretrained;
        let tokenizer = tokenizer.with_end_of_text(&config.data.end_of_text)?;
        Ok(Self { config, tokenizer, weights: Some(weights), kept })
    }
}

/// The configuration of an imported run, for training: with NITP, and with the run's copy of the tokenizer.
fn of_imported(run: &RunFolder) -> Result<Config> {
    let mut config = run.config()?;
    config.nitp.enabled = true;
    let tokenizer = std::path::absolute(run.tokenizer_file())?;
    let tokenizer = tokenizer.to_str().context("its path is not UTF-8: config.toml can't hold it");
    config.data.tokenizer = tokenizer.with_context(|| run.path().display().to_string())?.to_owned();
    Ok(config)
}

/// The tokenizer that a configuration names.
///
/// # Errors
/// If it can't be read or does not fit the model.
pub fn tokenizer(config: &Config) -> Result<Tokenizer> {
    let source = &config.data.tokenizer;
    let file = (source != BYTE_TOKENIZER).then(|| PathBuf::from(source));
    read_tokenizer(file.as_deref(), config)
}
