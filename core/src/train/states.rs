//! Frozen hidden states of many rows of tokens, from any block, for probes and embeddings.

use super::inputs::{self, LoadedPlan};
use crate::config::Config;
use crate::executor::{Executor, ExecutorError, MicroInputs, Reads};
use crate::model::{StateLayer, StatesTensors, states_plan};

/// The loaded states plan.
#[derive(Clone, Debug)]
pub struct StateReader {
    plan: LoadedPlan<StatesTensors>,
    rows: usize,
    context: usize,
    width: usize,
}

impl StateReader {
    /// Loads the states plan: rows of up to `train.context_length` tokens, `train.batch_size` at a time.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn new(
        executor: &mut dyn Executor,
        config: &Config,
        layers: &[StateLayer],
    ) -> Result<Self, ExecutorError> {
        let limits = executor.parameters().limits;
        let plan = inputs::load_plan(executor, config, states_plan(config, limits, layers))?;
        Ok(Self {
            plan,
            rows: config.train.batch_size,
            context: config.train.context_length,
            width: config.model.hidden_size,
        })
    }

    /// Largest number of rows in one call.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Largest number of tokens in a row.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The states of each row by layer: `[layers][rows]`, each `[tokens of the row, hidden_size]`. Blocks, so it is for
    /// native apps.
    ///
    /// # Errors
    /// Errors of the executor.
    ///
    /// # Panics
    /// If there are too many rows, or a row is too long.
    pub fn read_now(
        &self,
        executor: &mut dyn Executor,
        rows: &[&[u32]],
    ) -> Result<Vec<Vec<Vec<f32>>>, ExecutorError> {
        assert!(rows.len() <= self.rows && rows.iter().all(|row| row.len() <= self.context));
        let mut tokens = vec![0; self.rows * self.context];
        for (row, to) in rows.iter().zip(tokens.chunks_mut(self.context)) {
            to[..row.len()].copy_from_slice(row);
        }
        let plan = &self.plan;
        let reads: Vec<_> = plan.tensors.states.iter().map(|&view| plan.source(view)).collect();
        let ints = vec![(plan.inputs.tokens.id, tokens)];
        let micro = MicroInputs { reals: Vec::new(), ints };
        let mut reads = Reads::new(executor.run(plan.id, &[micro], &reads)?);
        let arrived = loop {
            executor.wait()?;
            if let Some(arrived) = reads.take(executor)? {
                break arrived;
            }
        };
        let cut = |states: &Vec<f32>| -> Vec<Vec<f32>> {
            let of_rows = states.chunks(self.context * self.width).zip(rows);
            of_rows.map(|(states, row)| states[..row.len() * self.width].to_vec()).collect()
        };
        Ok(arrived.iter().map(cut).collect())
    }
}
