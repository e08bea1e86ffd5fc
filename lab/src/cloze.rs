//! Cloze: one right continuation without alternatives, with the scores of EleutherAI's lm-evaluation-harness for tasks
//! such as LAMBADA. As in its version 0.4.13: `acc` is the share of items whose continuation equals the model's greedy
//! generation; `perplexity` (`lm_eval/api/metrics.py`) is of whole continuations, not of their tokens.

use crate::Error;
use crate::choice::standard_error;
use crate::error::not_empty;

/// A continuation to predict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// The sum of its tokens' log-probabilities, in nats; -∞ for a probability of 0.
    pub log_likelihood: f64,
    /// Whether each of its tokens is the likeliest after those before it.
    pub is_greedy: bool,
}

/// The scores of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// `acc`: the share of greedy continuations, 0 to 1.
    pub accuracy: f64,
    /// The standard error of that mean over items; none for a single item.
    pub standard_error: Option<f64>,
    /// The exponential of minus the mean log-likelihood of a continuation; infinite if one has a
    /// probability of 0.
    pub perplexity: f64,
}

/// Scores the items of a task.
///
/// # Errors
/// [`Error::Empty`]; [`Error::LogLikelihood`].
pub fn score(items: &[Item]) -> Result<Scores, Error> {
    not_empty(items, "items")?;
    for (item, &Item { log_likelihood: value, .. }) in items.iter().enumerate() {
        if value.is_nan() || value == f64::INFINITY {
            return Err(Error::LogLikelihood { item, choice: 0, value });
        }
    }
    let count = items.len() as f64;
    let accuracy = items.iter().filter(|item| item.is_greedy).count() as f64 / count;
    let mean = items.iter().map(|item| item.log_likelihood).sum::<f64>() / count;
    Ok(Scores {
        accuracy,
        standard_error: standard_error(accuracy, items.len()),
        perplexity: (-mean).exp(),
    })
}
