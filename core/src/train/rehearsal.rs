//! Training steps on random tokens, timed as a whole and op by op, for benchmarks.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use web_time::Instant;

use super::ceilings::Ceilings;
use super::inputs::{self, BatchSource, LoadedPlan, step_inputs};
use super::store::{self, Tensors};
use crate::config::Config;
use crate::data::Batch;
use crate::executor::{Executor, ExecutorError, MicroInputs};
use crate::model::{TrainTensors, parameters, train_plan};
use crate::plan::Plan;

/// A model's training step on an executor.
pub struct Rehearsal {
    executor: Box<dyn Executor>,
    plan: LoadedPlan<TrainTensors>,
    micro: Vec<MicroInputs>,
}

impl Rehearsal {
    /// Initialises the model from its seed and loads its train plan.
    ///
    /// # Errors
    /// If the executor can't hold it.
    pub fn new(config: &Config, mut executor: Box<dyn Executor>) -> Result<Self, ExecutorError> {
        let executor_ref = executor.as_mut();
        let seed = config.train.seed;
        store::initialize(executor_ref, &parameters(config), seed, &Tensors::new())?;
        let plan = train_plan(config, executor_ref.parameters());
        let plan = inputs::load_plan(executor_ref, config, plan)?;
        let source = MadeUp { config: config.clone() };
        let micro = step_inputs(config, &plan.inputs, &source, 0);
        Ok(Self { executor, plan, micro })
    }

    /// The train plan.
    pub fn plan(&self) -> &Plan {
        self.executor.plan(self.plan.id).0
    }

    /// The kernels of each node of the plan: see [`Executor::way`].
    pub fn ways(&self) -> Vec<String> {
        let nodes = self.plan().nodes().count();
        (0..nodes).map(|node| self.executor.way(self.plan.id, node)).collect()
    }

    /// Runs a whole step, waits for its metrics, and returns its seconds.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn step(&mut self) -> Result<f64, ExecutorError> {
        let metrics = self.plan.source(self.plan.tensors.metrics);
        let begin = Instant::now();
        let tickets = self.executor.run(self.plan.id, &self.micro, &[metrics])?;
        self.executor.wait_for(tickets[0])?;
        self.executor.take(tickets[0])?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Seconds of each node of the plan, in a step with one micro-batch.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn profile(&mut self) -> Result<Vec<f64>, ExecutorError> {
        self.executor.profile(self.plan.id, &self.micro[0])
    }

    /// Measures the machine's peak rates: the best of `repeats` measurements.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn ceilings(&mut self, repeats: usize) -> Result<Ceilings, ExecutorError> {
        Ceilings::measure(self.executor.as_mut(), repeats)
    }
}

/// Random tokens; all batches are equal.
pub(super) struct MadeUp {
    pub config: Config,
}

impl BatchSource for MadeUp {
    fn train(&self, _: usize, micro: usize) -> Batch {
        let (train, vocabulary) = (&self.config.train, self.config.model.vocab_size as u32);
        let tokens = train.batch_size * train.context_length;
        let mut random = ChaCha8Rng::seed_from_u64(micro as u64);
        let mut draw = || (0..tokens).map(|_| random.random_range(0..vocabulary)).collect();
        let (input_ids, labels) = (draw(), draw());
        // The last position of a row has no successor in it.
        let last = |at: usize| (at + 1).is_multiple_of(train.context_length);
        let nitp_mask: Vec<u32> = (0..tokens).map(|at| u32::from(!last(at))).collect();
        let pair_count = nitp_mask.iter().sum::<u32>() as usize;
        Batch {
            input_ids,
            labels,
            nitp_mask,
            document_starts: vec![0; tokens],
            label_count: tokens,
            pair_count,
            byte_count: tokens,
            unknown_count: 0,
            padding_rows: 0,
        }
    }

    fn validation_batches(&self) -> usize {
        0
    }

    fn validation(&self, _: usize) -> Batch {
        unreachable!("there are none")
    }

    fn fingerprint(&self) -> &str {
        "made up"
    }
}
