//! Multiple choice by the log-likelihood of each continuation, with the scores of EleutherAI's lm-evaluation-harness.
//!
//! As in its version 0.4.13, `process_results` of `lm_eval/api/task.py`: `acc` takes the largest
//! log-likelihood, `acc_norm` the largest per *character* (Python's `len` of the choice's text),
//! `acc_bytes` the largest per byte of its UTF-8. The text is the choice as the task lists it,
//! without the space that is put before it.

use std::collections::BTreeMap;

use crate::Error;
use crate::classification::argmax;
use crate::error::not_empty;

/// A continuation that may be the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice<'a> {
    /// Its text, without the delimiter before it.
    pub text: &'a str,
    /// The sum of its tokens' log-probabilities after the question, in nats; -∞ for a probability
    /// of 0.
    pub log_likelihood: f64,
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// The choices.
    pub choices: Vec<Choice<'a>>,
    /// The index of the right choice.
    pub answer: usize,
}

/// The accuracy of one way of choosing.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The choice taken for each item; ties by the first, as in numpy's `argmax`.
    pub chosen: Vec<usize>,
    /// The share of items whose chosen choice is the answer, 0 to 1.
    pub mean: f64,
    /// The standard error of that mean over items: the sample's standard deviation (of `items - 1`
    /// degrees of freedom) over `√items`. None for a single item, for which the harness says N/A.
    pub standard_error: Option<f64>,
}

/// The scores of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// `acc`: by log-likelihood.
    pub by_sum: Accuracy,
    /// `acc_norm`: by log-likelihood per character.
    pub by_character: Accuracy,
    /// `acc_bytes`: by log-likelihood per byte.
    pub by_byte: Accuracy,
    /// The accuracy of guessing: the mean over items of one over the number of choices.
    pub chance: f64,
    /// The accuracy of always taking the most frequent index of the answer.
    pub majority: f64,
}

/// Scores the items of a task.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Answer`], an item without choices included; [`Error::EmptyChoice`];
/// [`Error::LogLikelihood`].
pub fn score(items: &[Item<'_>]) -> Result<Scores, Error> {
    not_empty(items, "items")?;
    for (index, item) in items.iter().enumerate() {
        check(index, item)?;
    }
    let accuracy = |length: fn(&str) -> f64| {
        let chosen = items.iter().map(|item| {
            let per_length = item.choices.iter().map(|it| it.log_likelihood / length(it.text));
            argmax(&per_length.collect::<Vec<f64>>())
        });
        Accuracy::of(items, chosen.collect())
    };
    let count = items.len() as f64;
    let mut answers: BTreeMap<usize, usize> = BTreeMap::new();
    for item in items {
        *answers.entry(item.answer).or_default() += 1;
    }
    let commonest = answers.into_values().max().unwrap_or(0);
    Ok(Scores {
        by_sum: accuracy(|_| 1.0),
        by_character: accuracy(|text| text.chars().count() as f64),
        by_byte: accuracy(|text| text.len() as f64),
        chance: items.iter().map(|item| 1.0 / item.choices.len() as f64).sum::<f64>() / count,
        majority: commonest as f64 / count,
    })
}

fn check(index: usize, item: &Item<'_>) -> Result<(), Error> {
    let choices = item.choices.len();
    if item.answer >= choices {
        return Err(Error::Answer { item: index, answer: item.answer, choices });
    }
    for (choice, &Choice { text, log_likelihood: value }) in item.choices.iter().enumerate() {
        if text.is_empty() {
            return Err(Error::EmptyChoice { item: index, choice });
        }
        if value.is_nan() || value == f64::INFINITY {
            return Err(Error::LogLikelihood { item: index, choice, value });
        }
    }
    Ok(())
}

impl Accuracy {
    fn of(items: &[Item<'_>], chosen: Vec<usize>) -> Self {
        let count = items.len() as f64;
        let right = items.iter().zip(&chosen).filter(|(item, chosen)| item.answer == **chosen);
        let mean = right.count() as f64 / count;
        Self { chosen, mean, standard_error: standard_error(mean, items.len()) }
    }
}

/// The standard error of the mean of `count` zeros and ones.
pub(crate) fn standard_error(mean: f64, count: usize) -> Option<f64> {
    let items = count as f64;
    // The variance, with `count - 1` degrees of freedom.
    let variance = items * mean * (1.0 - mean) / (items - 1.0);
    (count > 1).then(|| (variance / items).sqrt())
}
