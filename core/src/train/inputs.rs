//! From batches of tokens to the inputs of a plan.

use super::checkpoint::LossScale;
use super::schedule::learning_rate;
use crate::config::{Config, Regularizer};
use crate::data::{Batch, Dataset};
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId};
use crate::ops::{embedding, rope, scalars};
use crate::plan::{Plan, View};

/// Where batches come from. They depend on seed and data alone.
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
        self.corpus().fingerprint()
    }
}

/// Runs that go side by side share their data.
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

/// What one micro-batch weighs in the means of a step, and the optimizer's scalars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Factor on the sum of token losses.
    pub ntp: f64,
    /// Factor on the sum of pair losses; 0 where NITP is off.
    pub nitp: f64,
    /// Factor on per-micro-batch means.
    pub micro: f64,
    /// Learning rate of the step; 0 leaves the parameters as they are.
    pub learning_rate: f64,
    /// `1 - beta^t` of both moments, t from 1.
    pub bias_corrections: [f64; 2],
}

impl Scales {
    /// Sums instead of means: evaluation, whose batches are averaged by the host.
    pub const SUMS: Scales = Scales {
        ntp: 1.0,
        nitp: 1.0,
        micro: 1.0,
        learning_rate: 0.0,
        bias_corrections: [1.0, 1.0],
    };

    fn to_input(self) -> Vec<f32> {
        let mut values = vec![0.0; scalars::LEN];
        values[scalars::LEARNING_RATE] = self.learning_rate as f32;
        values[scalars::BIAS_CORRECTION1] = self.bias_corrections[0] as f32;
        values[scalars::BIAS_CORRECTION2] = self.bias_corrections[1] as f32;
        values[scalars::NTP_SCALE] = self.ntp as f32;
        values[scalars::NITP_SCALE] = self.nitp as f32;
        values[scalars::MICRO_SCALE] = self.micro as f32;
        values
    }
}

/// How many terms the NITP loss of a batch is the mean of: pairs, or rows for the regulariser.
pub fn nitp_terms(config: &Config, batch: &Batch) -> usize {
    match config.nitp.regularizer {
        Regularizer::None => batch.pair_count,
        Regularizer::TokenCosine => config.train.batch_size,
    }
}

/// `1 / (terms * micro_batches)`, or 0 for no terms.
pub fn mean_scale(terms: usize, micro_batches: usize) -> f64 {
    if terms == 0 { 0.0 } else { 1.0 / (terms * micro_batches) as f64 }
}

/// Loads a plan and writes its constants, and the first loss scale where there is one.
///
/// # Errors
/// What the executor reports.
pub fn load_plan(
    executor: &mut dyn Executor,
    config: &Config,
    plan: Plan,
) -> Result<PlanId, ExecutorError> {
    let table = plan.find("rope_table").expect("every model plan has it");
    let loss_scale = plan.find("loss_scale");
    let id = executor.load(plan)?;
    let model = &config.model;
    let values = rope::table(config.train.context_length, model.head_dim, model.rope_theta);
    executor.write_constant(id, table, &values)?;
    if let Some(view) = loss_scale {
        executor.write_constant(id, view, &LossScale::after(0, &config.train).to_tensor())?;
    }
    Ok(id)
}

/// The inputs of a train or evaluate plan.
pub fn micro_inputs(plan: &Plan, batch: &Batch, scales: Scales) -> MicroInputs {
    let id = |name: &str| find(plan, name).id;
    let (sorted_positions, segment_starts) = embedding::sort_tokens(&batch.input_ids);
    MicroInputs {
        reals: vec![(id("scalars"), scales.to_input())],
        ints: vec![
            (id("tokens"), batch.input_ids.clone()),
            (id("labels"), batch.labels.clone()),
            (id("nitp_mask"), batch.nitp_mask.clone()),
            (id("sorted_positions"), sorted_positions),
            (id("segment_starts"), segment_starts),
        ],
    }
}

/// The inputs of every micro-batch of training step `step` (from 0): the scales make each loss the
/// mean over the step's micro-batches of their means over tokens or pairs.
pub fn step_inputs(
    config: &Config,
    plan: &Plan,
    source: &dyn BatchSource,
    step: usize,
) -> Vec<MicroInputs> {
    let (train, nitp) = (&config.train, &config.nitp);
    let count = train.gradient_accumulation_steps;
    let nitp_on = nitp.enabled && step >= nitp.start_step;
    let t = (step + 1) as i32;
    (0..count)
        .map(|micro| {
            let batch = source.train(step, micro);
            let terms = if nitp_on { nitp_terms(config, &batch) } else { 0 };
            let scales = Scales {
                ntp: mean_scale(batch.label_count, count),
                nitp: mean_scale(terms, count),
                micro: 1.0 / count as f64,
                learning_rate: learning_rate(train, step),
                bias_corrections: [1.0 - train.beta1.powi(t), 1.0 - train.beta2.powi(t)],
            };
            micro_inputs(plan, &batch, scales)
        })
        .collect()
}

/// A tensor that every model plan has.
///
/// # Panics
/// If it has none of this name.
pub fn find(plan: &Plan, name: &str) -> View {
    plan.find(name).unwrap_or_else(|| panic!("the plan `{}` has no `{name}`", plan.name))
}
