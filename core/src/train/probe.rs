//! Internal states of a model for one row of tokens: its last hidden states, NITP's targets, and the routers'
//! probabilities.

use super::inputs::{self, find};
use crate::config::Config;
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Reads, Source};
use crate::model::probe_plan;

/// The loaded probe plan.
#[derive(Clone, Debug)]
pub struct Prober {
    plan: PlanId,
    context: usize,
    moe_layers: Vec<usize>,
}

/// A pending probe.
#[derive(Clone, Debug)]
pub struct ProbeReads {
    tokens: Vec<u32>,
    reads: Reads,
}

/// The result of a probe with `n` tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The tokens, `[n]`.
    pub tokens: Vec<u32>,
    /// Last hidden states, `[n, hidden_size]`.
    pub hidden: Vec<f32>,
    /// The residual stream after block `nitp.target_layer`, `[n, hidden_size]`.
    pub target: Vec<f32>,
    /// Router probabilities `[n, num_experts]` of each MoE block, with its index.
    pub router_probs: Vec<(usize, Vec<f32>)>,
}

impl Prober {
    /// Loads the probe plan: a row of `train.context_length` tokens.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn new(executor: &mut dyn Executor, config: &Config) -> Result<Self, ExecutorError> {
        let plan = inputs::load_plan(executor, config, probe_plan(config))?;
        let layers = 0..config.model.num_hidden_layers;
        let moe_layers = layers.filter(|&i| config.model.moe_of(i).is_some()).collect();
        Ok(Self { plan, context: config.train.context_length, moe_layers })
    }

    /// Starts a probe of `tokens`; only the last context_length tokens are used.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn submit(
        &self,
        executor: &mut dyn Executor,
        tokens: &[u32],
    ) -> Result<ProbeReads, ExecutorError> {
        let tokens = tokens[tokens.len().saturating_sub(self.context)..].to_vec();
        let mut row = tokens.clone();
        row.resize(self.context, 0);
        let (plan, _) = executor.plan(self.plan);
        let routers = self.moe_layers.iter().map(|i| format!("layers.{i}.router_probs"));
        let reads: Vec<Source> = ["hidden".to_owned(), "target".to_owned()]
            .into_iter()
            .chain(routers)
            .map(|name| Source::Tensor { plan: self.plan, view: find(plan, &name) })
            .collect();
        let ints = vec![(find(plan, "tokens").id, row)];
        let tickets =
            executor.run(self.plan, &[MicroInputs { reals: Vec::new(), ints }], &reads)?;
        Ok(ProbeReads { tokens, reads: Reads::new(tickets) })
    }

    /// The result, or none while it is pending.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn collect(
        &self,
        executor: &mut dyn Executor,
        reads: &mut ProbeReads,
    ) -> Result<Option<Probe>, ExecutorError> {
        let Some(arrived) = reads.reads.take(executor)? else { return Ok(None) };
        let n = reads.tokens.len();
        let mut arrived = arrived.into_iter().map(|mut data| {
            data.truncate(data.len() / self.context * n);
            data
        });
        let mut next = || arrived.next().unwrap_or_default();
        Ok(Some(Probe {
            tokens: std::mem::take(&mut reads.tokens),
            hidden: next(),
            target: next(),
            router_probs: self.moe_layers.iter().map(|&layer| (layer, next())).collect(),
        }))
    }
}
