//! What a new run begins from: a configuration, a tokenizer and weights, which may all come from `--init`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use nitp_core::config::{BYTE_TOKENIZER, Config};
use nitp_core::data::Tokenizer;
use nitp_core::train::{Tensors, same_meaning};

use crate::args::RunArgs;
use crate::hugging_face::{self, NamedFile, Pretrained};
use crate::run_folder::{self, read_tokenizer};
use crate::{checkpoints, settings};

/// The beginning of a run.
pub struct Beginning {
    /// Its configuration.
    pub config: Config,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its weights; none where they follow from its seed.
    pub weights: Option<Tensors>,
    /// Files that came with the weights, in Hugging Face's format.
    pub kept: Vec<NamedFile>,
}

impl Beginning {
    /// What the arguments ask for. A model in Hugging Face's format says what `[model]` is, and what text is
    /// tokenised with; a configuration file and `--set` are laid over that, but must leave the model what it is.
    ///
    /// # Errors
    /// A configuration or weights that can't be read or don't fit each other.
    pub fn of(args: &RunArgs) -> Result<Self> {
        let Some(path) = &args.init else { return Self::from(args, None, Vec::new()) };
        if !hugging_face::is_folder(path) {
            let kept = match run_folder::find(path) {
                Ok(run) => run.pretrained_files()?,
                Err(_) => Vec::new(),
            };
            let mut beginning = Self::from(args, None, kept)?;
            beginning.weights = Some(checkpoints::initial_weights(path, &beginning.config)?);
            return Ok(beginning);
        }
        let found = Pretrained::open(path)?;
        let model = found.config.model.clone();
        let mut beginning = Self::from(args, Some(found.config), found.kept)?;
        same_meaning(&beginning.config.model, &model).map_err(|differences| {
            anyhow!(
                "the model in {} is another than the configuration asks for: {differences}. Leave these keys out: \
                 they follow from its config.json",
                path.display()
            )
        })?;
        beginning.weights = Some(found.weights);
        Ok(beginning)
    }

    fn from(args: &RunArgs, base: Option<Config>, kept: Vec<NamedFile>) -> Result<Self> {
        let config = settings::run_config(args, base)?;
        let tokenizer = tokenizer(&config)?;
        Ok(Self { config, tokenizer, weights: None, kept })
    }
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
