//! Checkpoints as bytes, which an app stores wherever it keeps files.
//!
//! `model.safetensors` holds the weights under Hugging Face's names, `optimizer.safetensors` the
//! moments as `moment1/<name>` and `moment2/<name>`, `trainer.json` the position in the run, the model that the weights
//! belong to, and digests of all three. Digests are checked whenever a file is read, because a flipped bit, a block of
//! zeros or two swapped tensors leave all shapes valid and would go unnoticed.

mod error;
mod manifest;
mod meaning;
mod state;
mod tensors;

use crate::config::{Config, ModelConfig};
use crate::model::{Part, initial_values, parameters};
use crate::train::store::{Tensor, Tensors};

pub use error::CheckpointError;
pub use manifest::Manifest;
pub use meaning::{Difference, Differences, same_meaning};
pub use state::{LossScale, TrainerState};
pub(crate) use tensors::Archive;
pub use tensors::{read_weights, serialize};

use manifest::{FileDigest, FileDigests};

/// A whole checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Weights by file name.
    pub weights: Tensors,
    /// First moments by file name.
    pub moment1: Tensors,
    /// Second moments by file name.
    pub moment2: Tensors,
    /// Position of the run.
    pub state: TrainerState,
    /// The model that the weights belong to.
    pub model: ModelConfig,
}

impl Checkpoint {
    /// The beginning of a run from `weights`, at step 0: missing weights are initialised from the seed, and surplus ones
    /// left out. `data_fingerprint` is that of the run's text.
    pub fn at_start(config: &Config, weights: &Tensors, data_fingerprint: String) -> Self {
        let parameters = parameters(config);
        let parts = || parameters.iter().flat_map(|parameter| &parameter.parts);
        let own = |part: &Part| match weights.get(&part.name) {
            Some(tensor) => tensor.clone(),
            None => {
                let data = initial_values(config.train.seed, part);
                Tensor { shape: part.shape.clone(), data }
            }
        };
        let zeros = |part: &Part| {
            let data = vec![0.0; part.len()];
            (part.name.clone(), Tensor { shape: part.shape.clone(), data })
        };
        Self {
            weights: parts().map(|part| (part.name.clone(), own(part))).collect(),
            moment1: parts().map(zeros).collect(),
            moment2: parts().map(zeros).collect(),
            state: TrainerState::new(data_fingerprint),
            model: config.model.clone(),
        }
    }
}

/// Names of a checkpoint's folder and files.
pub mod file {
    /// Weights.
    pub const MODEL: &str = "model.safetensors";
    /// Moments.
    pub const OPTIMIZER: &str = "optimizer.safetensors";
    /// Step, model and digests.
    pub const TRAINER: &str = "trainer.json";
    /// All files, in the order of writing.
    pub const ALL: [&str; 3] = [MODEL, OPTIMIZER, TRAINER];

    /// The checkpoint's folder within a run's `checkpoints`.
    pub fn folder(step: usize) -> String {
        format!("step-{step:08}")
    }

    /// The step in a folder's name; none for a name that is not of [`folder`]'s form.
    pub fn step(name: &str) -> Option<usize> {
        let step = name.strip_prefix("step-")?.parse().ok()?;
        (folder(step) == name).then_some(step)
    }
}

/// The origin of a checkpoint's files.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The folder, for messages.
    pub path: &'a str,
    /// The step in its name, if any.
    pub step: Option<usize>,
}

impl Origin<'_> {
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Reads `trainer.json`, and checks its step and the meaning of its model.
    fn manifest(&self, model: &ModelConfig, bytes: &[u8]) -> Result<Manifest, CheckpointError> {
        let trainer = self.file(file::TRAINER);
        let manifest = Manifest::read(&trainer, bytes)?;
        if let Some(step) = self.step {
            manifest.check_step(&trainer, step)?;
        }
        manifest.check_model(&self.file(file::MODEL), model)?;
        Ok(manifest)
    }
}

impl Checkpoint {
    /// The files, in the order in which they should be written. Each is serialised only when the iterator reaches it,
    /// so that memory holds one at a time. Digests are computed along the way.
    pub fn to_files(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> + '_ {
        let mut digests = Vec::new();
        file::ALL.into_iter().map(move |name| {
            let bytes = match name {
                file::MODEL => tensors::of_weights(&self.weights),
                file::OPTIMIZER => tensors::of_moments(&self.moment1, &self.moment2),
                _ => {
                    let optimizer = digests.pop().expect("the second file came before");
                    let model = digests.pop().expect("the first file came before");
                    Manifest::write(&self.state, &self.model, FileDigests { model, optimizer })
                }
            };
            if name != file::TRAINER {
                digests.push(FileDigest::of(&bytes));
            }
            (name, bytes)
        })
    }

    /// Reads the files of a checkpoint of this model.
    ///
    /// # Errors
    /// [`CheckpointError`] names the file and the problem: changed bytes, another step than the folder's, other
    /// settings of `[model]`, or tensors that are missing, of other shapes, or unknown to the model.
    pub fn from_files(
        origin: Origin<'_>,
        config: &Config,
        model: &[u8],
        optimizer: &[u8],
        trainer: &[u8],
    ) -> Result<Self, CheckpointError> {
        let manifest = origin.manifest(&config.model, trainer)?;
        manifest.check_bytes(origin.path, file::MODEL, model)?;
        manifest.check_bytes(origin.path, file::OPTIMIZER, optimizer)?;
        let parameters = parameters(config);
        let weights = Archive::open(origin.file(file::MODEL), model)?;
        let moments = Archive::open(origin.file(file::OPTIMIZER), optimizer)?;
        moments.check_surplus(&parameters, &["moment1/", "moment2/"])?;
        Ok(Self {
            weights: weights.weights(&parameters, |_| true)?,
            moment1: moments.read(&parameters, "moment1/", |_| true)?,
            moment2: moments.read(&parameters, "moment2/", |_| true)?,
            state: manifest.state,
            model: config.model.clone(),
        })
    }

    /// Reads the weights and `trainer.json` only, for evaluation, generation and new runs. Heads that only training
    /// uses may be absent.
    ///
    /// # Errors
    /// As [`Checkpoint::from_files`].
    pub fn weights_from_files(
        origin: Origin<'_>,
        config: &Config,
        model: &[u8],
        trainer: &[u8],
    ) -> Result<(Tensors, Manifest), CheckpointError> {
        let manifest = origin.manifest(&config.model, trainer)?;
        manifest.check_bytes(origin.path, file::MODEL, model)?;
        Ok((read_weights(&origin.file(file::MODEL), config, model)?, manifest))
    }
}
