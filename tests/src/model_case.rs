//! A small model with its batches: one training step on any executor.

use nitp_core::config::{Config, load, preset};
use nitp_core::cpu::{CpuExecutor, Runs};
use nitp_core::data::Batch;
use nitp_core::executor::{Executor, MicroInputs, read_now, read_store};
use nitp_core::gpu::GpuExecutor;
use nitp_core::model::{Parameter, TrainTensors, initial_values, metric, parameters, train_plan};
use nitp_core::plan::{Limits, ParameterLayout, Space};
use nitp_core::train::{
    BatchSource, LoadedPlan, Scales, Tensors, load_plan, micro_inputs, pack, unpack,
};

/// The base of the test models: `nano` cut down to sizes that no tile divides.
const BASE: &[&str] = &[
    "model.vocab_size=257",
    "model.hidden_size=20",
    "model.num_hidden_layers=3",
    "model.num_attention_heads=4",
    "model.num_key_value_heads=2",
    "model.head_dim=6",
    "model.intermediate_size=27",
    "model.initializer_range=0.2",
    "nitp.target_layer=1",
    "train.batch_size=2",
    "train.context_length=13",
    "train.steps=10",
    "train.warmup_steps=2",
    "train.learning_rate=0.01",
];

/// Settings that make the base a mixture of experts.
pub const MOE: &[&str] = &[
    "model.moe.num_experts=5",
    "model.moe.num_experts_per_tok=2",
    "model.moe.moe_intermediate_size=11",
    "model.moe.shared_expert_intermediate_size=9",
    "model.moe.first_k_dense_replace=1",
    "model.moe.router_aux_loss_coef=0.1",
];

/// Settings that add every rival objective to NITP.
pub const RIVALS: &[&str] = &["mtp.enabled=true", "nextlat.enabled=true", "top.enabled=true"];

/// The base with these settings.
pub fn config(sets: &[&str]) -> Config {
    let sets: Vec<String> = BASE.iter().chain(sets).map(|set| set.to_string()).collect();
    load(preset("nano").expect("a preset"), None, &sets).expect("a valid configuration")
}

/// Random batches, as a function of step and micro-batch; some labels and pairs don't count.
pub struct RandomBatches {
    config: Config,
}

impl RandomBatches {
    /// Batches for this configuration.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone() }
    }

    fn batch(&self, seed: u64) -> Batch {
        let train = &self.config.train;
        let (rows, context) = (train.batch_size, train.context_length);
        let mut case = crate::op_case::OpCase::new(seed);
        let n = rows * context;
        // Few distinct tokens, so that the embedding's gradient sums several positions.
        let mut token = || case.below(self.config.model.vocab_size.min(40)) as u32;
        let input_ids: Vec<u32> = (0..n).map(|_| token()).collect();
        let labels: Vec<u32> =
            (0..n).map(|t| if t % 11 == 10 { u32::MAX } else { token() }).collect();
        let last = match self.config.nitp.shift {
            nitp_core::config::Shift::Next => 1,
            nitp_core::config::Shift::Current => 0,
        };
        let nitp_mask: Vec<u32> =
            (0..n).map(|t| u32::from(t % context + last < context && t % 7 != 3)).collect();
        Batch {
            label_count: labels.iter().filter(|&&label| label != u32::MAX).count(),
            pair_count: nitp_mask.iter().filter(|&&mask| mask == 1).count(),
            byte_count: n,
            unknown_count: 0,
            padding_rows: 0,
            input_ids,
            labels,
            nitp_mask,
            // Documents of five tokens.
            document_starts: (0..n).map(|t| (t % context / 5 * 5) as u32).collect(),
        }
    }
}

impl BatchSource for RandomBatches {
    fn train(&self, step: usize, micro: usize) -> Batch {
        self.batch(1 + (step * 100 + micro) as u64)
    }
    fn validation_batches(&self) -> usize {
        2
    }
    fn validation(&self, index: usize) -> Batch {
        self.batch(1_000_000 + index as u64)
    }
    fn fingerprint(&self) -> &str {
        "random"
    }
}

/// The layout of a model's parameters.
pub fn layout(parameters: &[Parameter]) -> ParameterLayout {
    ParameterLayout::new(parameters.iter().map(Parameter::packed), Limits::NONE).expect("no limit")
}

/// A CPU executor with fast paths for this model.
pub fn fast_executor(config: &Config) -> CpuExecutor<f32> {
    CpuExecutor::fast(layout(&parameters(config)))
}

/// A GPU executor for this model.
pub fn gpu_executor(config: &Config) -> GpuExecutor {
    GpuExecutor::new(crate::gpu(), layout(&parameters(config))).expect("a device")
}

/// The initial weights of a configuration, by file name.
pub fn initial_weights(config: &Config) -> Tensors {
    let parameters = parameters(config);
    let layout = layout(&parameters);
    let seed = config.train.seed;
    let chunks = pack(&parameters, &layout, |part| Some(initial_values(seed, part)));
    unpack(&parameters, &layout, &chunks)
}

/// The train plan on an executor with weights.
pub struct Steps<E> {
    /// The executor.
    pub executor: E,
    /// The plan.
    pub plan: LoadedPlan<TrainTensors>,
    config: Config,
    source: Box<dyn BatchSource>,
}

/// Numbers of one step, in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepNumbers {
    /// Weighted sum.
    pub loss: f64,
    /// Cross-entropy.
    pub ntp_loss: f64,
    /// NITP loss without its weight.
    pub nitp_loss: f64,
    /// Balance loss without its weight.
    pub balance_loss: f64,
    /// Losses of rivals without their weights: multi-token, next-latent (states, distributions), token order.
    pub rivals: [f64; 4],
    /// Gradient norm before clipping.
    pub grad_norm: f64,
}

impl<E: Executor> Steps<E> {
    /// Loads the plan and the weights.
    pub fn new(
        mut executor: E,
        config: &Config,
        weights: &Tensors,
        source: Box<dyn BatchSource>,
    ) -> Self {
        let plan = train_plan(config, executor.parameters());
        let plan = load_plan(&mut executor, config, plan).expect("the plan fits");
        let chunks = pack(&parameters(config), executor.parameters(), |part| {
            Some(weights[&part.name].data.clone())
        });
        for (chunk, data) in chunks.iter().enumerate() {
            executor.write_store(Space::Parameter, chunk, data).expect("weights fit");
        }
        Self { executor, plan, config: config.clone(), source }
    }

    /// The inputs of a step; `rate` overrides the schedule.
    pub fn inputs(&self, step: usize, rate: Option<f64>) -> Vec<MicroInputs> {
        let count = self.config.train.gradient_accumulation_steps;
        (0..count)
            .map(|micro| {
                let batch = self.source.train(step, micro);
                let mut scales = Scales::means(&self.config, &batch, step);
                scales.learning_rate = rate.unwrap_or(scales.learning_rate);
                micro_inputs(&self.config, &self.plan.inputs, &batch, scales)
            })
            .collect()
    }

    fn numbers(&self, metrics: &[f64]) -> StepNumbers {
        let coefficient =
            self.config.model.moe.as_ref().map_or(0.0, |moe| moe.router_aux_loss_coef);
        let [ntp_loss, nitp_loss, balance_loss] =
            [metric::NTP_LOSS, metric::NITP_LOSS, metric::BALANCE_LOSS].map(|i| metrics[i]);
        let places = [metric::MTP_LOSS, metric::NEXTLAT_LOSS, metric::NEXTLAT_KL, metric::TOP_LOSS];
        let rivals = places.map(|i| metrics[i]);
        let Config { mtp, nextlat, top, .. } = &self.config;
        let weights = [mtp.weight, nextlat.weight, nextlat.kl_weight, top.weight];
        let weighted: f64 = rivals.iter().zip(weights).map(|(loss, weight)| weight * loss).sum();
        StepNumbers {
            loss: ntp_loss
                + self.config.nitp.weight * nitp_loss
                + coefficient * balance_loss
                + weighted,
            ntp_loss,
            nitp_loss,
            balance_loss,
            rivals,
            grad_norm: metrics[metric::GRAD_NORM],
        }
    }

    /// Runs a step.
    pub fn step(&mut self, step: usize, rate: Option<f64>) -> StepNumbers {
        let inputs = self.inputs(step, rate);
        self.executor.run(self.plan.id, &inputs, &[]).expect("a step runs");
        let source = self.plan.source(self.plan.tensors.metrics);
        let metrics = read_now(&mut self.executor, source).expect("metrics");
        self.numbers(&metrics.iter().map(|&x| f64::from(x)).collect::<Vec<_>>())
    }

    /// A store space by file name.
    pub fn tensors(&mut self, space: Space) -> Tensors {
        let chunks = read_store(&mut self.executor, space).expect("a read-back");
        unpack(&parameters(&self.config), self.executor.parameters(), &chunks)
    }
}

impl<R: Runs> Steps<CpuExecutor<R>> {
    /// Runs a step and returns its numbers in full precision.
    pub fn exact_step(&mut self, step: usize, rate: Option<f64>) -> StepNumbers {
        let inputs = self.inputs(step, rate);
        let source = self.plan.source(self.plan.tensors.metrics);
        let tickets = self.executor.run(self.plan.id, &inputs, &[source]).expect("a step runs");
        let metrics = self.executor.take_real(tickets[0]).expect("the CPU is at once done");
        self.numbers(&metrics.iter().map(|x| x.f64()).collect::<Vec<_>>())
    }
}
