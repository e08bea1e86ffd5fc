//! Likelihood of continuations under a model, for the scores of tasks.

use super::generate::Generator;
use super::inputs::{self, LoadedPlan};
use crate::config::Config;
use crate::data::IGNORED_LABEL;
use crate::executor::{Executor, ExecutorError, MicroInputs, take_now};
use crate::model::{TokenLossesTensors, token_losses_plan};

/// A question and its continuation, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The tokens of the question, then those of the continuation: at most one more than the context.
    pub tokens: Vec<u32>,
    /// Number of tokens of the question: at least one, and not all.
    pub first: usize,
}

/// A log-probability above this is that of the likeliest token: its probability exceeds one half, with a margin for
/// rounding.
const CERTAIN: f32 = -0.69;

impl Continuation {
    /// Whether each token of the continuation is the likeliest one after the tokens before it, given their
    /// [log-probabilities](LikelihoodReader::read_now). Among equal tokens the lowest id wins, as in generation at
    /// temperature 0. Blocks, so it is for native apps.
    ///
    /// # Errors
    /// Errors of the executor.
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
    plan: LoadedPlan<TokenLossesTensors>,
    rows: usize,
    context: usize,
}

impl LikelihoodReader {
    /// Loads the plan: rows of up to `train.context_length` tokens, `train.batch_size` at a time.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn new(executor: &mut dyn Executor, config: &Config) -> Result<Self, ExecutorError> {
        let limits = executor.parameters().limits;
        let plan = inputs::load_plan(executor, config, token_losses_plan(config, limits))?;
        Ok(Self { plan, rows: config.train.batch_size, context: config.train.context_length })
    }

    /// Largest number of continuations in one call.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The log-probability in nats of each token of each continuation, given all tokens before it. Blocks, so it is for
    /// native apps.
    ///
    /// # Errors
    /// Errors of the executor.
    ///
    /// # Panics
    /// If there are too many continuations, or one is too long or empty, or has no question.
    pub fn read_now(
        &self,
        executor: &mut dyn Executor,
        continuations: &[Continuation],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        let context = self.context;
        assert!(continuations.len() <= self.rows);
        let mut tokens = vec![0; self.rows * context];
        // Tokens of the question and padding have no label.
        let mut labels = vec![IGNORED_LABEL; self.rows * context];
        let rows = tokens.chunks_mut(context).zip(labels.chunks_mut(context));
        for ((tokens, labels), it) in rows.zip(continuations) {
            let count = it.tokens.len() - 1;
            assert!((1..=count).contains(&it.first) && count <= context);
            // The last token is only a label: no token follows it.
            tokens[..count].copy_from_slice(&it.tokens[..count]);
            labels[it.first - 1..count].copy_from_slice(&it.tokens[it.first..]);
        }
        let plan = &self.plan;
        let ints = vec![(plan.inputs.tokens.id, tokens), (plan.inputs.labels.id, labels)];
        let losses = plan.source(plan.tensors.losses);
        let micro = MicroInputs { reals: Vec::new(), ints };
        let tickets = executor.run(plan.id, &[micro], &[losses])?;
        let losses = take_now(executor, tickets[0])?;
        let of_row = |(losses, it): (&[f32], &Continuation)| {
            losses[it.first - 1..it.tokens.len() - 1].iter().map(|loss| -loss).collect()
        };
        Ok(losses.chunks(context).zip(continuations).map(of_row).collect())
    }
}
