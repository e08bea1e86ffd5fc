//! Scores from log-likelihoods, computed by `nitp_lab`.

use anyhow::{Context, Result};
use nitp_lab::{choice, cloze};
use serde::{Deserialize, Serialize};

use super::items::Task;

/// A model's results for an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Sum of the log-probabilities of each continuation's tokens.
    pub log_likelihoods: Vec<f64>,
    /// For a cloze: whether greedy generation would give the continuation.
    pub is_greedy: bool,
    /// Whether the question was truncated to the model's context.
    pub is_cut: bool,
}

/// The scores of a task; `nitp eval --task --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScores {
    /// Its name.
    pub task: String,
    /// Number of items.
    pub items: usize,
    /// Number of items that were truncated on the left.
    pub cut: usize,
    /// The scores, with the names of the harness.
    #[serde(flatten)]
    pub scores: Scores,
}

/// Scores by kind of task. Accuracies are shares, with the standard errors of their means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Scores {
    /// Multiple choice.
    Choice {
        /// Accuracy by log-likelihood.
        acc: f64,
        /// None for a single item.
        acc_stderr: Option<f64>,
        /// Accuracy by log-likelihood per character.
        acc_norm: f64,
        /// None for a single item.
        acc_norm_stderr: Option<f64>,
        /// Accuracy by log-likelihood per byte.
        acc_bytes: f64,
        /// None for a single item.
        acc_bytes_stderr: Option<f64>,
        /// Accuracy of a random guess.
        chance: f64,
        /// Accuracy of always taking the most frequent position of the answer.
        majority: f64,
    },
    /// Cloze: one continuation.
    Cloze {
        /// Share of continuations that greedy generation would give.
        acc: f64,
        /// None for a single item.
        acc_stderr: Option<f64>,
        /// Perplexity per continuation; none if it is infinite.
        perplexity: Option<f64>,
    },
}

impl TaskScores {
    /// Scores of a task from the results for each item.
    ///
    /// # Errors
    /// If a log-likelihood is NaN.
    pub fn new(task: &Task, judged: &[Judged]) -> Result<Self> {
        let scores = if task.is_cloze() { of_cloze(judged) } else { of_choice(task, judged) };
        let scores = scores.with_context(|| {
            format!(
                "the task `{}` can't be scored. A NaN means that the model's activations overflow: use \
                an earlier checkpoint",
                task.name
            )
        })?;
        let cut = judged.iter().filter(|it| it.is_cut).count();
        Ok(Self { task: task.name.clone(), items: task.items.len(), cut, scores })
    }

    /// Accuracy by log-likelihood; for a cloze, by greedy generation.
    pub fn acc(&self) -> f64 {
        match self.scores {
            Scores::Choice { acc, .. } | Scores::Cloze { acc, .. } => acc,
        }
    }
}

fn of_choice(task: &Task, judged: &[Judged]) -> Result<Scores> {
    let items: Vec<choice::Item<'_>> = task
        .items
        .iter()
        .zip(judged)
        .map(|(item, judged)| {
            let choices = item.continuations.iter().zip(&judged.log_likelihoods);
            choice::Item {
                choices: choices
                    .map(|(text, &log_likelihood)| choice::Choice { text, log_likelihood })
                    .collect(),
                answer: item.answer.unwrap_or_default(),
            }
        })
        .collect();
    let scores = choice::score(&items)?;
    Ok(Scores::Choice {
        acc: scores.by_sum.mean,
        acc_stderr: scores.by_sum.standard_error,
        acc_norm: scores.by_character.mean,
        acc_norm_stderr: scores.by_character.standard_error,
        acc_bytes: scores.by_byte.mean,
        acc_bytes_stderr: scores.by_byte.standard_error,
        chance: scores.chance,
        majority: scores.majority,
    })
}

fn of_cloze(judged: &[Judged]) -> Result<Scores> {
    let items: Vec<cloze::Item> = judged
        .iter()
        .map(|it| cloze::Item {
            log_likelihood: it.log_likelihoods.iter().sum(),
            is_greedy: it.is_greedy,
        })
        .collect();
    let scores = cloze::score(&items)?;
    Ok(Scores::Cloze {
        acc: scores.accuracy,
        acc_stderr: scores.standard_error,
        perplexity: Some(scores.perplexity).filter(|it| it.is_finite()),
    })
}
