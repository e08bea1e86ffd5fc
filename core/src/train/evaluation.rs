//! Evaluation of the held-out split, batch by batch, and the geometry of its hidden states.

use super::events::{EvaluationEvent, GeometryEvent};
use super::inputs::{self, Scales, find, micro_inputs, nitp_terms};
use crate::config::Config;
use crate::data::Batch;
use crate::executor::{Executor, ExecutorError, PlanId, Reads, Source, Ticket, take_now};
use crate::geometry::geometry;
use crate::model::{evaluate_plan, metric};

/// The loaded evaluate plan.
#[derive(Clone, Debug)]
pub struct Evaluator {
    plan: PlanId,
    config: Config,
    moe_layers: Vec<usize>,
}

/// Reads of one batch that are under way.
#[derive(Clone, Debug)]
pub(super) struct BatchReads {
    /// Metrics, then the loads of each MoE block.
    reads: Reads,
    labels: usize,
    bytes: usize,
    unknown: usize,
    nitp_terms: usize,
}

impl BatchReads {
    /// The first read that was not seen to arrive.
    pub(super) fn next(&self) -> Option<Ticket> {
        self.reads.next()
    }
}

/// Sums over the batches so far.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    batches: usize,
    labels: usize,
    bytes: usize,
    unknown: usize,
    nitp_terms: usize,
    ntp: f64,
    nitp: f64,
    balance: f64,
    loads: Vec<Vec<f32>>,
}

impl Evaluator {
    /// Loads the evaluate plan of this configuration.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn new(executor: &mut dyn Executor, config: &Config) -> Result<Self, ExecutorError> {
        let plan = inputs::load_plan(executor, config, evaluate_plan(config))?;
        let layers = 0..config.model.num_hidden_layers;
        let moe_layers = layers.filter(|&i| config.model.moe_of(i).is_some()).collect();
        Ok(Self { plan, config: config.clone(), moe_layers })
    }

    /// Starts one batch.
    pub(super) fn submit(
        &self,
        executor: &mut dyn Executor,
        batch: &Batch,
    ) -> Result<BatchReads, ExecutorError> {
        let (plan, _) = executor.plan(self.plan);
        let source = |name: &str| Source::Tensor { plan: self.plan, view: find(plan, name) };
        let mut reads = vec![source("metrics")];
        reads.extend(self.moe_layers.iter().map(|i| source(&format!("layers.{i}.expert_load"))));
        let inputs = micro_inputs(plan, batch, Scales::SUMS);
        let tickets = executor.run(self.plan, &[inputs], &reads)?;
        Ok(BatchReads {
            reads: Reads::new(tickets),
            labels: batch.label_count,
            bytes: batch.byte_count,
            unknown: batch.unknown_count,
            nitp_terms: nitp_terms(&self.config, batch),
        })
    }

    /// Adds a batch to the sums once its reads arrived; `false` while they have not.
    pub(super) fn collect(
        &self,
        executor: &mut dyn Executor,
        reads: &mut BatchReads,
        sums: &mut Sums,
    ) -> Result<bool, ExecutorError> {
        let Some(mut loads) = reads.reads.take(executor)? else { return Ok(false) };
        let metrics = loads.remove(0);
        sums.batches += 1;
        sums.labels += reads.labels;
        sums.bytes += reads.bytes;
        sums.unknown += reads.unknown;
        sums.nitp_terms += reads.nitp_terms;
        sums.ntp += f64::from(metrics[metric::NTP_LOSS]);
        sums.nitp += f64::from(metrics[metric::NITP_LOSS]);
        sums.balance += f64::from(metrics[metric::BALANCE_LOSS]);
        if sums.loads.is_empty() {
            sums.loads = loads;
        } else {
            for (sum, load) in sums.loads.iter_mut().flatten().zip(loads.iter().flatten()) {
                *sum += load;
            }
        }
        Ok(true)
    }

    /// Evaluates these batches and waits for each: native apps.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn evaluate_now(
        &self,
        executor: &mut dyn Executor,
        batches: impl Iterator<Item = Batch>,
    ) -> Result<Sums, ExecutorError> {
        let mut sums = Sums::default();
        for batch in batches {
            let mut reads = self.submit(executor, &batch)?;
            executor.wait()?;
            self.collect(executor, &mut reads, &mut sums)?;
        }
        Ok(sums)
    }

    /// Starts one batch for its last hidden states `[rows * context, hidden_size]`.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn submit_hidden(
        &self,
        executor: &mut dyn Executor,
        batch: &Batch,
    ) -> Result<Ticket, ExecutorError> {
        let (plan, _) = executor.plan(self.plan);
        let hidden = Source::Tensor { plan: self.plan, view: find(plan, "hidden") };
        let inputs = micro_inputs(plan, batch, Scales::SUMS);
        Ok(executor.run(self.plan, &[inputs], &[hidden])?[0])
    }

    /// As [`Evaluator::submit_hidden`], waiting for the states: native apps.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn hidden_now(
        &self,
        executor: &mut dyn Executor,
        batch: &Batch,
    ) -> Result<Vec<f32>, ExecutorError> {
        let ticket = self.submit_hidden(executor, batch)?;
        let mut states = take_now(executor, ticket)?;
        states.truncate(self.state_elements(batch));
        Ok(states)
    }

    /// Elements of the states of a batch's rows that are not padding.
    pub(super) fn state_elements(&self, batch: &Batch) -> usize {
        let train = &self.config.train;
        let rows = train.batch_size - batch.padding_rows;
        rows * train.context_length * self.config.model.hidden_size
    }

    /// How many of `available` held-out batches give the states of a geometry: enough that the
    /// covariance of hidden_size directions has four times as many states.
    pub fn geometry_batches(&self, available: usize) -> usize {
        let tokens = self.config.train.batch_size * self.config.train.context_length;
        (4 * self.config.model.hidden_size).div_ceil(tokens).min(available)
    }
}

/// Share of unknown tokens above which bits per byte say nothing.
const MOST_UNKNOWN: f64 = 1e-3;

impl Sums {
    /// Bits a byte: the cross-entropy of all labels by the bytes of all but the unknown ones, for
    /// which text of an unknown length stands. A few of them make the number too large by about
    /// their share; none where they are more than [`MOST_UNKNOWN`], or there is no byte.
    fn bits_per_byte(&self) -> Option<f64> {
        let known = self.unknown as f64 <= MOST_UNKNOWN * self.labels as f64;
        (known && self.bytes > 0).then(|| self.ntp / self.bytes as f64 / std::f64::consts::LN_2)
    }

    /// The means as an event.
    pub fn event(&self, step: usize, tokens: u64) -> EvaluationEvent {
        let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
        let val_loss = mean(self.ntp, self.labels);
        let mut expert_load = self.loads.clone();
        expert_load.iter_mut().flatten().for_each(|load| *load /= self.batches as f32);
        EvaluationEvent {
            step,
            tokens,
            val_loss,
            perplexity: val_loss.exp(),
            bits_per_byte: self.bits_per_byte(),
            unknown_share: mean(self.unknown as f64, self.labels),
            nitp_loss: mean(self.nitp, self.nitp_terms),
            balance_loss: mean(self.balance, self.batches),
            expert_load,
        }
    }
}

/// Geometry of hidden states `[n, width]` as an event.
pub fn geometry_event(step: usize, tokens: u64, states: Vec<f32>, width: usize) -> GeometryEvent {
    let found = geometry(&states, width);
    GeometryEvent {
        step,
        tokens,
        effective_rank: found.effective_rank,
        mean_cosine: found.mean_cosine,
        spectrum: found.spectrum.iter().map(|&x| x as f32).collect(),
        projected: found.projected,
        states,
        unembedding: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_per_byte_need_the_bytes() {
        let sums = Sums { labels: 2000, bytes: 4000, ntp: 4000.0, ..Sums::default() };
        let bits = sums.event(0, 0).bits_per_byte.unwrap();
        assert!((bits - 1.0 / std::f64::consts::LN_2).abs() < 1e-12);
        let few = Sums { unknown: 2, ..sums.clone() }.event(0, 0);
        assert_eq!((few.bits_per_byte, few.unknown_share), (Some(bits), 1e-3));
        assert_eq!(Sums { unknown: 3, ..sums.clone() }.event(0, 0).bits_per_byte, None);
        assert_eq!(Sums { bytes: 0, ..sums }.event(0, 0).bits_per_byte, None);
    }
}
