//! Evaluation of the held-out split, batch by batch, and the geometry of its hidden states.

use super::events::{EvaluationEvent, GeometryEvent, RivalLosses};
use super::inputs::{self, LoadedPlan, Scales, Terms, micro_inputs};
use crate::config::Config;
use crate::data::Batch;
use crate::executor::{Executor, ExecutorError, Reads, Ticket, take_now};
use crate::geometry::geometry;
use crate::model::{EvaluateTensors, evaluate_plan, metric};

/// The loaded evaluate plan.
#[derive(Clone, Debug)]
pub struct Evaluator {
    plan: LoadedPlan<EvaluateTensors>,
    config: Config,
}

/// Pending reads of one batch.
#[derive(Clone, Debug)]
pub(super) struct BatchReads {
    /// Metrics, then the loads of each MoE block.
    reads: Reads,
    terms: Terms,
    bytes: usize,
    unknown: usize,
}

impl BatchReads {
    /// The first read whose data have not arrived yet.
    pub(super) fn next(&self) -> Option<Ticket> {
        self.reads.next()
    }
}

/// Sums over the batches so far.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    batches: usize,
    terms: Terms,
    bytes: usize,
    unknown: usize,
    /// Sum of each loss, by its index in the metrics.
    losses: Vec<f64>,
    loads: Vec<Vec<f32>>,
}

impl Evaluator {
    /// Loads the evaluate plan of this configuration.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn new(executor: &mut dyn Executor, config: &Config) -> Result<Self, ExecutorError> {
        let limits = executor.parameters().limits;
        let plan = inputs::load_plan(executor, config, evaluate_plan(config, limits))?;
        Ok(Self { plan, config: config.clone() })
    }

    /// Starts one batch.
    pub(super) fn submit(
        &self,
        executor: &mut dyn Executor,
        batch: &Batch,
    ) -> Result<BatchReads, ExecutorError> {
        let plan = &self.plan;
        let mut reads = vec![plan.source(plan.tensors.metrics)];
        reads.extend(plan.tensors.expert_loads.iter().map(|&load| plan.source(load)));
        let inputs = micro_inputs(&self.config, &plan.inputs, batch, Scales::SUMS);
        let tickets = executor.run(plan.id, &[inputs], &reads)?;
        Ok(BatchReads {
            reads: Reads::new(tickets),
            terms: Terms::of(&self.config, batch),
            bytes: batch.byte_count,
            unknown: batch.unknown_count,
        })
    }

    /// Adds a batch to the sums if its reads have arrived; else returns `false`.
    pub(super) fn collect(
        &self,
        executor: &mut dyn Executor,
        reads: &mut BatchReads,
        sums: &mut Sums,
    ) -> Result<bool, ExecutorError> {
        let Some(mut loads) = reads.reads.take(executor)? else { return Ok(false) };
        let metrics = loads.remove(0);
        sums.batches += 1;
        sums.terms += reads.terms;
        sums.bytes += reads.bytes;
        sums.unknown += reads.unknown;
        sums.losses.resize(metric::LEN, 0.0);
        for (sum, &loss) in sums.losses.iter_mut().zip(&metrics) {
            *sum += f64::from(loss);
        }
        if sums.loads.is_empty() {
            sums.loads = loads;
        } else {
            for (sum, load) in sums.loads.iter_mut().flatten().zip(loads.iter().flatten()) {
                *sum += load;
            }
        }
        Ok(true)
    }

    /// Evaluates these batches and waits for each. For native apps.
    ///
    /// # Errors
    /// Errors of the executor.
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
    /// Errors of the executor.
    pub fn submit_hidden(
        &self,
        executor: &mut dyn Executor,
        batch: &Batch,
    ) -> Result<Ticket, ExecutorError> {
        let plan = &self.plan;
        let hidden = plan.source(plan.tensors.hidden);
        let inputs = micro_inputs(&self.config, &plan.inputs, batch, Scales::SUMS);
        Ok(executor.run(plan.id, &[inputs], &[hidden])?[0])
    }

    /// Like [`Evaluator::submit_hidden`], but waits for the states. For native apps.
    ///
    /// # Errors
    /// Errors of the executor.
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

    /// Number of elements of a batch's states, without those of padding rows.
    pub(super) fn state_elements(&self, batch: &Batch) -> usize {
        let train = &self.config.train;
        let rows = train.batch_size - batch.padding_rows;
        rows * train.context_length * self.config.model.hidden_size
    }

    /// Number of held-out batches, of `available` ones, for a measurement of geometry: enough for four times as many
    /// states as there are dimensions of the covariance.
    pub fn geometry_batches(&self, available: usize) -> usize {
        let tokens = self.config.train.batch_size * self.config.train.context_length;
        (4 * self.config.model.hidden_size).div_ceil(tokens).min(available)
    }
}

/// Share of unknown tokens above which bits per byte are meaningless.
const MOST_UNKNOWN: f64 = 1e-3;

impl Sums {
    /// Bits per byte: the cross-entropy of all labels, divided by the bytes of all labels except unknown tokens, whose
    /// texts have unknown lengths. The result is too large by about the share of unknown tokens. None if this share
    /// exceeds [`MOST_UNKNOWN`], or if there are no bytes.
    fn bits_per_byte(&self) -> Option<f64> {
        let known = self.unknown as f64 <= MOST_UNKNOWN * self.terms.labels as f64;
        let bits = self.loss(metric::NTP_LOSS) / std::f64::consts::LN_2;
        (known && self.bytes > 0).then(|| bits / self.bytes as f64)
    }

    /// The sum of a loss, by its index in the metrics.
    fn loss(&self, metric: usize) -> f64 {
        self.losses.get(metric).copied().unwrap_or(0.0)
    }

    /// The means as an event.
    pub fn event(&self, config: &Config, step: usize, tokens: u64) -> EvaluationEvent {
        let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
        let of = |metric: usize, count: usize| mean(self.loss(metric), count);
        let Terms { labels, nitp, mtp, nextlat } = self.terms;
        let val_loss = of(metric::NTP_LOSS, labels);
        let rivals = RivalLosses::new(config, |loss| match loss {
            metric::MTP_LOSS => of(loss, mtp),
            metric::TOP_LOSS => of(loss, labels),
            metric::NEXTLAT_LOSS | metric::NEXTLAT_KL => of(loss, nextlat),
            other => unreachable!("the metric {other} is no rival's"),
        });
        let mut expert_load = self.loads.clone();
        expert_load.iter_mut().flatten().for_each(|load| *load /= self.batches as f32);
        EvaluationEvent {
            step,
            tokens,
            val_loss,
            perplexity: val_loss.exp(),
            bits_per_byte: self.bits_per_byte(),
            unknown_share: mean(self.unknown as f64, labels),
            nitp_loss: of(metric::NITP_LOSS, nitp),
            balance_loss: of(metric::BALANCE_LOSS, self.batches),
            rivals,
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
        let terms = Terms { labels: 2000, ..Terms::default() };
        let sums = Sums { terms, bytes: 4000, losses: vec![4000.0], ..Sums::default() };
        let event = |sums: Sums| sums.event(&Config::default(), 0, 0);
        let bits = event(sums.clone()).bits_per_byte.unwrap();
        assert!((bits - 1.0 / std::f64::consts::LN_2).abs() < 1e-12);
        let few = event(Sums { unknown: 2, ..sums.clone() });
        assert_eq!((few.bits_per_byte, few.unknown_share), (Some(bits), 1e-3));
        assert_eq!(event(Sums { unknown: 3, ..sums.clone() }).bits_per_byte, None);
        assert_eq!(event(Sums { bytes: 0, ..sums }).bits_per_byte, None);
    }
}
