//! Internal states of a model for one row of tokens: its last hidden states, NITP's targets, and the routers'
//! probabilities.

use super::inputs::{self, LoadedPlan};
use crate::config::Config;
use crate::executor::{Executor, ExecutorError, MicroInputs, Reads};
use crate::model::{ProbeTensors, probe_plan};

/// The loaded probe plan.
#[derive(Clone, Debug)]
pub struct Prober {
    plan: LoadedPlan<ProbeTensors>,
    context: usize,
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
        let limits = executor.parameters().limits;
        let plan = inputs::load_plan(executor, config, probe_plan(config, limits))?;
        Ok(Self { plan, context: config.train.context_length })
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
        let plan = &self.plan;
        let ProbeTensors { hidden, target, router_probs } = &plan.tensors;
        let views = [*hidden, *target].into_iter().chain(router_probs.iter().map(|it| it.1));
        let reads: Vec<_> = views.map(|view| plan.source(view)).collect();
        let ints = vec![(plan.inputs.tokens.id, row)];
        let tickets = executor.run(plan.id, &[MicroInputs { reals: Vec::new(), ints }], &reads)?;
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
        let probs = self.plan.tensors.router_probs.iter();
        let mut next = || arrived.next().unwrap_or_default();
        Ok(Some(Probe {
            tokens: std::mem::take(&mut reads.tokens),
            hidden: next(),
            target: next(),
            router_probs: probs.map(|&(layer, _)| (layer, next())).collect(),
        }))
    }
}
