//! A trained model by path: of a run, of one of its checkpoints, or in Hugging Face's format.

use std::path::{Path, PathBuf};

use anyhow::Result;
use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::train::{Tensors, TrainerState};

use crate::checkpoints;
use crate::hugging_face::{self, NamedFile, Pretrained};
use crate::run_folder::{Saved, locate};

/// A model with its configuration and tokenizer.
#[derive(Debug)]
pub struct Model {
    /// Its configuration.
    pub config: Config,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its weights, with heads that only training uses, if requested and present.
    pub weights: Tensors,
    /// The folder of the checkpoint, or the folder in Hugging Face's format.
    pub place: PathBuf,
    /// Position of its run; none for a model in Hugging Face's format.
    pub state: Option<TrainerState>,
    /// Files in Hugging Face's format that came with it.
    pub kept: Vec<NamedFile>,
}

/// The objectives that a model is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heads {
    /// Only next-token prediction.
    None,
    /// The objectives of its run.
    All,
}

impl Model {
    /// The model at `path`: a run folder (its newest checkpoint), a checkpoint, or a folder in Hugging Face's format.
    ///
    /// # Errors
    /// If it is none of them, or damaged.
    pub fn open(path: &Path, heads: Heads) -> Result<Self> {
        if hugging_face::is_folder(path) {
            let pretrained = Pretrained::open(path)?;
            let mut config = pretrained.config.clone().next_token_alone();
            let weights = pretrained.weights(&mut config)?;
            let Pretrained { tokenizer, kept, .. } = pretrained;
            return Ok(Self {
                config,
                tokenizer,
                weights,
                place: path.to_owned(),
                state: None,
                kept,
            });
        }
        let Saved { run, checkpoint, .. } = locate(path)?;
        let config = run.config()?;
        let config = if heads == Heads::All { config } else { config.next_token_alone() };
        let tokenizer = run.tokenizer(&config)?;
        let (weights, state) = checkpoints::load_weights(&checkpoint, &config)?;
        let kept = run.pretrained_files()?;
        Ok(Self { config, tokenizer, weights, place: checkpoint, state: Some(state), kept })
    }
}
