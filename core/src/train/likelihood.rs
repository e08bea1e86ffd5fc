//! How likely a model finds given tokens after others: what tasks are scored by.

use super::generate::Generator;
use super::inputs::{self, find};
use crate::config::Config;
use crate::data::IGNORED_LABEL;
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Source, take_now};
use crate::model::token_losses_plan;

/// Tokens of which the last are to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// What comes first, and the continuation after it: at most one more than the context has.
    pub tokens: Vec<u32>,
    /// How many of them come first: at least one, and not all.
    pub first: usize,
}

/// Of more than half, rounding included, no other token has as much.
const CERTAIN: f32 = -0.69;

impl Continuation {
    /// Whether each of its tokens is the likeliest after those before it, given its
    /// [log-probabilities](LikelihoodReader::read_now). Of equals the lowest id counts, as in a generation at
    /// temperature 0. It waits: native apps.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn is_greedy(
        &self,
        executor: &mut dyn Executor,
        generator: &mut Generator,
        log_probabilities: &[f32],
    ) -> Result<bool, ExecutorError> {
        for (at, &log_probability) in (self.first..).zip(log_probabilities) {
            if log_probability > CERTAIN {
                continue;
            }
            let logits = generator.logits(executor, &self.tokens[..at])?;
            let token = self.tokens[at] as usize;
            let is_less = |(other, logit): (usize, &f32)| match other < token {
                true => *logit < logits[token],
                false => *logit <= logits[token],
            };
            if !logits.iter().enumerate().all(is_less) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The loaded plan of single tokens' losses.
#[derive(Clone, Debug)]
pub struct LikelihoodReader {
    plan: PlanId,
    rows: usize,
    context: usize,
}

impl LikelihoodReader {
    /// Loads the plan: rows of up to `train.context_length` tokens, `train.batch_size` at a time.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn new(executor: &mut dyn Executor, config: &Config) -> Result<Self, ExecutorError> {
        let plan = inputs::load_plan(executor, config, token_losses_plan(config))?;
        Ok(Self { plan, rows: config.train.batch_size, context: config.train.context_length })
    }

    /// Continuations that one call reads at most.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The log-probability in nats of each token of each continuation, given all tokens before it. It waits: native
    /// apps.
    ///
    /// # Errors
    /// What the executor reports.
    ///
    /// # Panics
    /// If there are more of them, or longer ones, than fit, or one has nothing before it or is empty.
    pub fn read_now(
        &self,
        executor: &mut dyn Executor,
        continuations: &[Continuation],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        let context = self.context;
        assert!(continuations.len() <= self.rows);
        let mut tokens = vec![0; self.rows * context];
        // Neither what comes first nor what only fills a row has a label.
        let mut labels = vec![IGNORED_LABEL; self.rows * context];
        let rows = tokens.chunks_mut(context).zip(labels.chunks_mut(context));
        for ((tokens, labels), it) in rows.zip(continuations) {
            let count = it.tokens.len() - 1;
            assert!((1..=count).contains(&it.first) && count <= context);
            // The last token is asked for, and followed by none.
            tokens[..count].copy_from_slice(&it.tokens[..count]);
            labels[it.first - 1..count].copy_from_slice(&it.tokens[it.first..]);
        }
        let (plan, _) = executor.plan(self.plan);
        let ints = vec![(find(plan, "tokens").id, tokens), (find(plan, "labels").id, labels)];
        let losses = Source::Tensor { plan: self.plan, view: find(plan, "token_losses") };
        let micro = MicroInputs { reals: Vec::new(), ints };
        let tickets = executor.run(self.plan, &[micro], &[losses])?;
        let losses = take_now(executor, tickets[0])?;
        let of_row = |(losses, it): (&[f32], &Continuation)| {
            losses[it.first - 1..it.tokens.len() - 1].iter().map(|loss| -loss).collect()
        };
        Ok(losses.chunks(context).zip(continuations).map(of_row).collect())
    }
}
