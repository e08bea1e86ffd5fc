//! Training steps on made-up tokens, timed whole and op by op: what a benchmark runs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use web_time::Instant;

use super::inputs::{self, BatchSource, find, step_inputs};
use super::store::{self, Tensors};
use crate::config::Config;
use crate::data::Batch;
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Source};
use crate::model::{parameters, train_plan};
use crate::ops::{copy::Copy, multiply_add::MultiplyAdd};
use crate::plan::{DType, Plan, PlanBuilder, Role};

/// A model's training step on an executor.
pub struct Rehearsal {
    executor: Box<dyn Executor>,
    plan: PlanId,
    micro: Vec<MicroInputs>,
}

/// What a machine can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Floating-point operations a second, of multiply-adds in registers.
    pub flops: f64,
    /// Bytes a second, of a large copy: read and written.
    pub bytes: f64,
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
        let micro = step_inputs(config, executor.plan(plan).0, &source, 0);
        Ok(Self { executor, plan, micro })
    }

    /// The train plan.
    pub fn plan(&self) -> &Plan {
        self.executor.plan(self.plan).0
    }

    /// How each node of the plan is done: see [`Executor::way`].
    pub fn ways(&self) -> Vec<String> {
        let nodes = self.plan().nodes().count();
        (0..nodes).map(|node| self.executor.way(self.plan, node)).collect()
    }

    /// Does a whole step and waits for its metrics: its seconds.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn step(&mut self) -> Result<f64, ExecutorError> {
        let metrics = Source::Tensor { plan: self.plan, view: find(self.plan(), "metrics") };
        let begin = Instant::now();
        let tickets = self.executor.run(self.plan, &self.micro, &[metrics])?;
        self.executor.wait_for(tickets[0])?;
        self.executor.take(tickets[0])?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// The seconds of each node of the plan, in a step with one micro-batch.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn profile(&mut self) -> Result<Vec<f64>, ExecutorError> {
        self.executor.profile(self.plan, &self.micro[0])
    }

    /// Measures what the machine can do at most: the best of `repeats`.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn ceilings(&mut self, repeats: usize) -> Result<Ceilings, ExecutorError> {
        /// Enough for every core, and beyond every cache.
        const LEN: usize = 1 << 24;
        /// Seconds that a measurement takes at least: clocks are coarse, and have to rise first.
        const LEAST: f64 = 0.02;
        let copy = pair(LEN, |x, y| Copy { x, y });
        let bytes = 8.0 * LEN as f64 / best(self.executor.as_mut(), copy, repeats)?;
        let mut rounds = 16;
        loop {
            let plan = pair(LEN / 16, |x, y| MultiplyAdd { x, y, rounds });
            let flops = plan.cost().flops;
            let seconds = best(self.executor.as_mut(), plan, repeats)?;
            if seconds >= LEAST {
                return Ok(Ceilings { flops: flops / seconds, bytes });
            }
            rounds *= 4;
        }
    }
}

/// The least seconds of a plan without inputs.
fn best(executor: &mut dyn Executor, plan: Plan, repeats: usize) -> Result<f64, ExecutorError> {
    let id = executor.load(plan)?;
    let mut best = f64::INFINITY;
    for _ in 0..repeats.max(1) {
        let times = executor.profile(id, &MicroInputs::default())?;
        best = best.min(times.iter().sum());
    }
    Ok(best)
}

/// A plan of one op from one vector to another.
fn pair<T: crate::ops::Op + 'static>(
    len: usize,
    op: impl FnOnce(crate::plan::View, crate::plan::View) -> T,
) -> Plan {
    let mut builder = PlanBuilder::new("ceiling");
    let x = builder.shared("x", &[len], DType::Real, Role::State);
    let y = builder.shared("y", &[len], DType::Real, Role::State);
    builder.push(op(x, y));
    builder.finish()
}

/// Random tokens: each batch is the same.
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
