//! Conversion of batches of tokens to inputs of a plan.

use std::ops::AddAssign;

use super::checkpoint::LossScale;
use super::schedule::learning_rate;
use crate::config::{Config, Regularizer};
use crate::data::{Batch, Dataset, IGNORED_LABEL};
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Source};
use crate::model::{Ahead, Inputs, Planned};
use crate::ops::attention::document_bounds;
use crate::ops::{embedding, rope, scalars};
use crate::tensor::{TensorId, View};

/// A source of batches, which depend only on the seed and the data.
pub trait BatchSource {
    /// Micro-batch `micro` of step `step` (from 0).
    fn train(&self, step: usize, micro: usize) -> Batch;
    /// Number of held-out batches; 0 for no held-out split.
    fn validation_batches(&self) -> usize;
    /// A held-out batch, the same every time.
    fn validation(&self, index: usize) -> Batch;
    /// SHA-256 of the data.
    fn fingerprint(&self) -> &str;
}

impl BatchSource for Dataset {
    fn train(&self, step: usize, micro: usize) -> Batch {
        self.train_batch(step, micro)
    }
    fn validation_batches(&self) -> usize {
        self.validation_batches()
    }
    fn validation(&self, index: usize) -> Batch {
        self.validation_batch(index)
    }
    fn fingerprint(&self) -> &str {
        self.fingerprint()
    }
}

/// Runs in parallel share their data.
impl<T: BatchSource> BatchSource for std::sync::Arc<T> {
    fn train(&self, step: usize, micro: usize) -> Batch {
        self.as_ref().train(step, micro)
    }
    fn validation_batches(&self) -> usize {
        self.as_ref().validation_batches()
    }
    fn validation(&self, index: usize) -> Batch {
        self.as_ref().validation(index)
    }
    fn fingerprint(&self) -> &str {
        self.as_ref().fingerprint()
    }
}

/// Weights of one micro-batch in the means of a step, and the optimizer's scalars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Factor on the sum of token losses.
    pub ntp: f64,
    /// Factor on the sum of pair losses; 0 if NITP is off.
    pub nitp: f64,
    /// Factor on the sum of multi-token prediction's losses.
    pub mtp: f64,
    /// Factor on the sums of next-latent prediction's losses.
    pub nextlat: f64,
    /// Factor on per-micro-batch means.
    pub micro: f64,
    /// Learning rate of the step; 0 leaves the parameters unchanged.
    pub learning_rate: f64,
    /// `1 - beta^t` of both moments, t from 1.
    pub bias_corrections: [f64; 2],
}

impl Scales {
    /// Sums instead of means, for evaluation: the host averages the batches.
    pub const SUMS: Scales = Scales {
        ntp: 1.0,
        nitp: 1.0,
        mtp: 1.0,
        nextlat: 1.0,
        micro: 1.0,
        learning_rate: 0.0,
        bias_corrections: [1.0, 1.0],
    };

    /// Scales of a training step's micro-batch: each loss is a mean over the micro-batch, averaged over the step's
    /// micro-batches. Steps are counted from 0.
    pub fn means(config: &Config, batch: &Batch, step: usize) -> Self {
        let (train, nitp) = (&config.train, &config.nitp);
        let count = train.gradient_accumulation_steps;
        let terms = Terms::of(config, batch);
        let nitp_on = nitp.enabled && step >= nitp.start_step;
        let t = (step + 1) as i32;
        Self {
            ntp: mean_scale(terms.labels, count),
            nitp: if nitp_on { mean_scale(terms.nitp, count) } else { 0.0 },
            mtp: mean_scale(terms.mtp, count),
            nextlat: mean_scale(terms.nextlat, count),
            micro: 1.0 / count as f64,
            learning_rate: learning_rate(train, step),
            bias_corrections: [1.0 - train.beta1.powi(t), 1.0 - train.beta2.powi(t)],
        }
    }

    fn to_input(self) -> Vec<f32> {
        let mut values = vec![0.0; scalars::LEN];
        values[scalars::LEARNING_RATE] = self.learning_rate as f32;
        values[scalars::BIAS_CORRECTION1] = self.bias_corrections[0] as f32;
        values[scalars::BIAS_CORRECTION2] = self.bias_corrections[1] as f32;
        values[scalars::NTP_SCALE] = self.ntp as f32;
        values[scalars::NITP_SCALE] = self.nitp as f32;
        values[scalars::MICRO_SCALE] = self.micro as f32;
        values[scalars::MTP_SCALE] = self.mtp as f32;
        values[scalars::NEXTLAT_SCALE] = self.nextlat as f32;
        values
    }
}

/// Number of terms in the mean of each loss of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Terms of next-token prediction and of token order prediction: labels.
    pub labels: usize,
    /// Terms of NITP: pairs, or rows for the regulariser.
    pub nitp: usize,
    /// Terms of multi-token prediction: labels of the token after the next.
    pub mtp: usize,
    /// Terms of next-latent prediction: positions whose next state counts.
    pub nextlat: usize,
}

impl Terms {
    /// The numbers of terms of a batch.
    pub fn of(config: &Config, batch: &Batch) -> Self {
        let context = config.train.context_length;
        let nitp = match config.nitp.regularizer {
            Regularizer::None => batch.pair_count,
            Regularizer::TokenCosine => config.train.batch_size,
        };
        if !config.mtp.is_on() && !config.nextlat.is_on() {
            return Self { labels: batch.label_count, nitp, ..Self::default() };
        }
        let positions = 0..batch.labels.len();
        let mtp = positions.clone().filter(|&t| second_label(batch, context, t) != IGNORED_LABEL);
        let nextlat = positions.filter(|&t| has_next_state(batch, context, t));
        Self { labels: batch.label_count, nitp, mtp: mtp.count(), nextlat: nextlat.count() }
    }
}

impl AddAssign for Terms {
    fn add_assign(&mut self, other: Self) {
        self.labels += other.labels;
        self.nitp += other.nitp;
        self.mtp += other.mtp;
        self.nextlat += other.nextlat;
    }
}

/// Whether position `t` has a next position in the same row, and a label.
fn has_next_state(batch: &Batch, context: usize, t: usize) -> bool {
    !(t + 1).is_multiple_of(context) && batch.labels[t] != IGNORED_LABEL
}

/// The token after the next, or [`IGNORED_LABEL`] if either of the two has no label or the next one is in another row.
fn second_label(batch: &Batch, context: usize, t: usize) -> u32 {
    if has_next_state(batch, context, t) { batch.labels[t + 1] } else { IGNORED_LABEL }
}

/// `1 / (terms * micro_batches)`, or 0 for no terms.
fn mean_scale(terms: usize, micro_batches: usize) -> f64 {
    if terms == 0 { 0.0 } else { 1.0 / (terms * micro_batches) as f64 }
}

/// A plan that an executor has loaded, and its tensors.
#[derive(Clone, Debug)]
pub struct LoadedPlan<T> {
    /// The plan.
    pub id: PlanId,
    /// Tensors that the host writes.
    pub inputs: Inputs,
    /// Further tensors of this kind of plan.
    pub tensors: T,
}

impl<T> LoadedPlan<T> {
    /// A tensor of the plan, to be read.
    pub fn source(&self, view: View) -> Source {
        Source::Tensor { plan: self.id, view }
    }
}

/// Loads a plan and writes its constants and, with loss scaling, the first scale.
///
/// # Errors
/// Errors of the executor.
pub fn load_plan<T>(
    executor: &mut dyn Executor,
    config: &Config,
    planned: Planned<T>,
) -> Result<LoadedPlan<T>, ExecutorError> {
    load_plan_sharing(executor, config, planned, None)
}

/// Like [`load_plan`]; the plan may share the [kept](crate::tensor::Role::Kept) tensors of another plan.
pub(super) fn load_plan_sharing<T>(
    executor: &mut dyn Executor,
    config: &Config,
    planned: Planned<T>,
    kept_by: Option<PlanId>,
) -> Result<LoadedPlan<T>, ExecutorError> {
    let Planned { plan, inputs, tensors } = planned;
    let id = executor.load_sharing(plan, kept_by)?;
    let model = &config.model;
    let scaling = model.rope_scaling();
    let values =
        rope::table(config.train.context_length, model.head_dim, model.rope_theta, scaling);
    executor.write_constant(id, inputs.rope_table, &values)?;
    if let Some(view) = inputs.ones {
        executor.write_constant(id, view, &vec![1.0; view.len])?;
    }
    if let Some(view) = inputs.loss_scale {
        executor.write_constant(id, view, &LossScale::after(0, &config.train).to_tensor())?;
    }
    Ok(LoadedPlan { id, inputs, tensors })
}

/// The inputs of a train or evaluate plan.
pub fn micro_inputs(
    config: &Config,
    inputs: &Inputs,
    batch: &Batch,
    scales: Scales,
) -> MicroInputs {
    let (sorted_positions, segment_starts) = embedding::sort_tokens(&batch.input_ids);
    let mut ints = vec![
        (inputs.tokens.id, batch.input_ids.clone()),
        (inputs.labels.id, batch.labels.clone()),
        (inputs.nitp_mask.id, batch.nitp_mask.clone()),
        (inputs.sorted_positions.id, sorted_positions),
        (inputs.segment_starts.id, segment_starts),
    ];
    if let Some(documents) = inputs.documents {
        let bounds = document_bounds(&batch.document_starts, config.train.context_length);
        ints.push((documents.id, bounds));
    }
    if let Some(ahead) = &inputs.ahead {
        ints.extend(ahead_inputs(ahead, batch, config.train.context_length));
    }
    MicroInputs { reals: vec![(inputs.scalars.id, scales.to_input())], ints }
}

/// Inputs of heads that read the next token.
fn ahead_inputs(ahead: &Ahead, batch: &Batch, context: usize) -> [(TensorId, Vec<u32>); 6] {
    let positions = || 0..batch.labels.len();
    let next = |t: usize| if (t + 1).is_multiple_of(context) { t } else { t + 1 };
    let tokens: Vec<u32> = positions().map(|t| batch.input_ids[next(t)]).collect();
    let (sorted_positions, segment_starts) = embedding::sort_tokens(&tokens);
    let labels = positions().map(|t| second_label(batch, context, t)).collect();
    let mask = positions().map(|t| u32::from(has_next_state(batch, context, t))).collect();
    [
        (ahead.tokens.id, tokens),
        (ahead.labels.id, labels),
        (ahead.positions.id, positions().map(|t| next(t) as u32).collect()),
        (ahead.mask.id, mask),
        (ahead.sorted_positions.id, sorted_positions),
        (ahead.segment_starts.id, segment_starts),
    ]
}

/// The inputs of every micro-batch of training step `step` (from 0).
pub fn step_inputs(
    config: &Config,
    inputs: &Inputs,
    source: &dyn BatchSource,
    step: usize,
) -> Vec<MicroInputs> {
    (0..config.train.gradient_accumulation_steps)
        .map(|micro| {
            let batch = source.train(step, micro);
            micro_inputs(config, inputs, &batch, Scales::means(config, &batch, step))
        })
        .collect()
}
