//! Checkpoints as bytes: what a run is made of, to be kept wherever the app keeps files.
//!
//! `model.safetensors` holds the weights under Hugging Face's names, `optimizer.safetensors` the
//! moments as `moment1/<name>` and `moment2/<name>`, `trainer.json` the position in the run.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::store::{Tensor, Tensors};
use crate::config::TrainConfig;
use crate::model::Parameter;
use crate::ops::loss_scale::{self, state};

/// Version of the trainer's state; another one is refused.
const VERSION: u32 = 1;

/// Where a run stands. Sampling and initialisation follow from the seed and the step, so that the
/// step is the position in the data and the state of the random numbers as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    /// Version of this format.
    pub version: u32,
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Held-out loss in nats a token, where this very step was evaluated.
    pub val_loss: Option<f64>,
    /// The lowest held-out loss so far and its step.
    pub best: Option<(f64, usize)>,
    /// SHA-256 of the tokenised data that the run trains on.
    pub data_fingerprint: String,
    /// In mixed precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// What a run in mixed precision carries from step to step beside weights and moments: see
/// [`state`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// What the losses of the next step are multiplied by.
    pub scale: f32,
    /// Steps since it changed.
    pub good_steps: f32,
    /// `1 - beta1^t`, of the steps that were not skipped.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
}

impl LossScale {
    /// After so many steps of which none was skipped.
    pub fn after(steps: usize, train: &TrainConfig) -> Self {
        let correction = |beta: f64| (1.0 - beta.powi(steps as i32)) as f32;
        Self {
            scale: loss_scale::FIRST,
            good_steps: 0.0,
            correction1: correction(train.beta1),
            correction2: correction(train.beta2),
        }
    }

    /// As the plan's tensor holds it.
    pub fn to_tensor(self) -> [f32; state::LEN] {
        let mut tensor = [0.0; state::LEN];
        tensor[state::SCALE] = self.scale;
        tensor[state::GOOD_STEPS] = self.good_steps;
        tensor[state::CORRECTION1] = self.correction1;
        tensor[state::CORRECTION2] = self.correction2;
        tensor
    }

    /// From the plan's tensor.
    pub fn from_tensor(tensor: &[f32]) -> Self {
        Self {
            scale: tensor[state::SCALE],
            good_steps: tensor[state::GOOD_STEPS],
            correction1: tensor[state::CORRECTION1],
            correction2: tensor[state::CORRECTION2],
        }
    }
}

impl TrainerState {
    /// The state before the first step.
    pub fn new(data_fingerprint: String) -> Self {
        Self {
            version: VERSION,
            step: 0,
            tokens: 0,
            val_loss: None,
            best: None,
            data_fingerprint,
            loss_scale: None,
        }
    }
}

/// A whole checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Weights by file name.
    pub weights: Tensors,
    /// First moments by file name.
    pub moment1: Tensors,
    /// Second moments by file name.
    pub moment2: Tensors,
    /// Where the run stands.
    pub state: TrainerState,
}

/// Names of a checkpoint's folder and files.
pub mod file {
    /// Weights.
    pub const MODEL: &str = "model.safetensors";
    /// Moments.
    pub const OPTIMIZER: &str = "optimizer.safetensors";
    /// Step and data.
    pub const TRAINER: &str = "trainer.json";

    /// The checkpoint's folder within a run's `checkpoints`.
    pub fn folder(step: usize) -> String {
        format!("step-{step:08}")
    }
}

/// A checkpoint that can't be read.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CheckpointError {
    /// Not a safetensors file, or cut short.
    #[error(
        "{file} is no whole safetensors file ({reason}). It may be truncated or of another kind; use another checkpoint"
    )]
    Broken {
        /// Which file.
        file: String,
        /// What the reader said.
        reason: String,
    },
    /// A tensor that the model needs is not there.
    #[error(
        "{file} has no tensor `{name}` {shape:?}, which this configuration needs. Is it the \
         checkpoint of another model? It holds {found} tensors, such as `{example}`"
    )]
    Missing {
        /// Which file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many tensors there are.
        found: usize,
        /// One of them.
        example: String,
    },
    /// A tensor has another shape.
    #[error(
        "{file}: `{name}` is {found:?}, this configuration needs {expected:?}. Use the configuration that the checkpoint was trained with"
    )]
    Shape {
        /// Which file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
    /// A tensor has an element type that is not read.
    #[error(
        "{file}: `{name}` has elements of type {dtype}; F32, F16 and BF16 are read. Convert it to one of them"
    )]
    Type {
        /// Which file.
        file: String,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// The trainer's state is broken or of another version.
    #[error("{file}: {reason}. Use another checkpoint of the run, or start anew with `--init`")]
    State {
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl Checkpoint {
    /// The files, in the order in which they should be written; each is made when it is asked
    /// for, so that they are never in memory together.
    pub fn to_files(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> + '_ {
        let metadata = || HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let model = move || {
            let weights: Vec<_> = self.weights.iter().map(|(n, t)| (n.clone(), t)).collect();
            serialize(&weights, metadata())
        };
        let optimizer = move || {
            let moments = [("moment1", &self.moment1), ("moment2", &self.moment2)];
            let named = moments.iter().flat_map(|(prefix, tensors)| {
                tensors.iter().map(move |(name, tensor)| (format!("{prefix}/{name}"), tensor))
            });
            serialize(&named.collect::<Vec<_>>(), metadata())
        };
        let trainer = || serde_json::to_vec_pretty(&self.state).expect("plain data serialises");
        [file::MODEL, file::OPTIMIZER, file::TRAINER].into_iter().map(move |name| {
            let bytes = match name {
                file::MODEL => model(),
                file::OPTIMIZER => optimizer(),
                _ => trainer(),
            };
            (name, bytes)
        })
    }

    /// Reads the files of a checkpoint of this model.
    ///
    /// # Errors
    /// [`CheckpointError`] names the file and what does not fit; `origin` says where it lies.
    pub fn from_files(
        origin: &str,
        parameters: &[Parameter],
        model: &[u8],
        optimizer: &[u8],
        trainer: &[u8],
    ) -> Result<Self, CheckpointError> {
        let name = |file: &str| format!("{origin}/{file}");
        let state: TrainerState = serde_json::from_slice(trainer).map_err(|error| {
            CheckpointError::State { file: name(file::TRAINER), reason: error.to_string() }
        })?;
        if state.version != VERSION {
            return Err(CheckpointError::State {
                file: name(file::TRAINER),
                reason: format!("version {} is not {VERSION}", state.version),
            });
        }
        let file = name(file::OPTIMIZER);
        Ok(Self {
            weights: read_weights(&name(file::MODEL), parameters, model, |_| true)?,
            moment1: read(&file, parameters, optimizer, "moment1/", |_| true)?,
            moment2: read(&file, parameters, optimizer, "moment2/", |_| true)?,
            state,
        })
    }
}

/// Reads weights by file name; parts for which `needed` is false may be absent.
///
/// # Errors
/// [`CheckpointError`] names the file and what does not fit.
pub fn read_weights(
    file: &str,
    parameters: &[Parameter],
    bytes: &[u8],
    needed: impl Fn(&str) -> bool,
) -> Result<Tensors, CheckpointError> {
    read(file, parameters, bytes, "", needed)
}

fn read(
    file: &str,
    parameters: &[Parameter],
    bytes: &[u8],
    prefix: &str,
    needed: impl Fn(&str) -> bool,
) -> Result<Tensors, CheckpointError> {
    let archive = SafeTensors::deserialize(bytes).map_err(|error| CheckpointError::Broken {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    let mut tensors = Tensors::new();
    for part in parameters.iter().flat_map(|parameter| &parameter.parts) {
        let name = format!("{prefix}{}", part.name);
        let Ok(view) = archive.tensor(&name) else {
            if !needed(&part.name) {
                continue;
            }
            return Err(CheckpointError::Missing {
                file: file.to_owned(),
                name,
                shape: part.shape.clone(),
                found: archive.len(),
                example: archive.names().first().map_or("none", |name| name).to_string(),
            });
        };
        if view.shape() != part.shape {
            return Err(CheckpointError::Shape {
                file: file.to_owned(),
                name,
                found: view.shape().to_vec(),
                expected: part.shape.clone(),
            });
        }
        let data = to_f32(&view).ok_or_else(|| CheckpointError::Type {
            file: file.to_owned(),
            name,
            dtype: format!("{:?}", view.dtype()),
        })?;
        tensors.insert(part.name.clone(), Tensor { shape: part.shape.clone(), data });
    }
    Ok(tensors)
}

fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let halves = || view.data().chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    match view.dtype() {
        Dtype::F32 => Some(bytemuck::pod_collect_to_vec(view.data())),
        Dtype::BF16 => {
            Some(halves().map(|pair| half::bf16::from_le_bytes(pair).to_f32()).collect())
        }
        Dtype::F16 => Some(halves().map(|pair| half::f16::from_le_bytes(pair).to_f32()).collect()),
        _ => None,
    }
}

/// A safetensors file of f32 tensors.
pub fn serialize(tensors: &[(String, &Tensor)], metadata: HashMap<String, String>) -> Vec<u8> {
    let views = tensors.iter().map(|(name, tensor)| {
        let bytes = bytemuck::cast_slice(&tensor.data);
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        (name, view.expect("a tensor's shape matches its data"))
    });
    safetensors::serialize(views, Some(metadata)).expect("views of f32 serialise")
}
