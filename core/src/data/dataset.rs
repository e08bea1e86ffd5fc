//! Training and evaluation batches by number.

use thiserror::Error;

use super::batch::Batch;
use super::corpus::TokenCorpus;
use super::sampler::WindowSampler;
use super::split::{Split, Stream, Window};
use super::tokenizer::Tokenizer;
use crate::config::{Config, Shift};

/// A text that is too short for a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// The training text is shorter than a row.
    #[error(
        "the training text has {tokens} of {total} tokens, but a row needs train.context_length + 1 = \
         {needed}: {}",
        advice(*total, *needed, "set a smaller data.validation_fraction")
    )]
    TrainingTooShort {
        /// Tokens of the training text.
        tokens: usize,
        /// Tokens of the corpus.
        total: usize,
        /// Tokens of a row and its last label.
        needed: usize,
    },
    /// The held-out text is shorter than a row.
    #[error(
        "the held-out text has {tokens} of {total} tokens, but a row needs train.context_length + \
         1 = {needed}: {}",
        advice(*total, *needed, "set a larger data.validation_fraction")
    )]
    HeldOutTooShort {
        /// Tokens of the held-out text.
        tokens: usize,
        /// Tokens of the corpus.
        total: usize,
        /// Tokens of a row and its last label.
        needed: usize,
    },
    /// A text given for evaluation is shorter than a row.
    #[error(
        "the text to evaluate on has {tokens} tokens, but a row of this model needs \
         train.context_length + 1 = {needed}: give more text"
    )]
    EvaluationTooShort {
        /// Tokens of the text.
        tokens: usize,
        /// Tokens of a row and its last label.
        needed: usize,
    },
}

/// Advice about a text of `total` tokens, a part of which is shorter than a row of `needed` tokens. Another division
/// (`divide`) helps only if the text has a row for each part; holding nothing out helps only if it has one row.
fn advice(total: usize, needed: usize, divide: &str) -> String {
    let whole = "set data.validation_fraction=0 to train without evaluations";
    let mut ways = vec!["give more text"];
    ways.extend((total >= 2 * needed).then_some(divide));
    ways.extend((total >= needed).then_some(whole));
    format!("{}, or set a smaller train.context_length", ways.join(", "))
}

/// A row of evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Its first token in the held-out text.
    start: usize,
    /// The first position that counts. Earlier ones count in another row.
    from: usize,
}

/// A corpus, split and divided into batches. Batches depend on the corpus, the seed and the sizes of `[train]`, but not
/// on the model, the executor or the rest of the configuration, except `nitp.shift` for the mask.
#[derive(Debug)]
pub struct Dataset {
    corpus: TokenCorpus,
    split: Split,
    sampler: Option<WindowSampler>,
    validation_rows: Vec<Row>,
    token_bytes: Vec<u32>,
    unknown: Option<u32>,
    shift: Shift,
    rows: usize,
    context_length: usize,
    accumulation: usize,
}

impl Dataset {
    /// A corpus to train on, with `data.validation_fraction` of it held out.
    ///
    /// # Errors
    /// If the training text, or the held-out text, if any, is too short for one row.
    pub fn new(
        config: &Config,
        tokenizer: &Tokenizer,
        corpus: TokenCorpus,
    ) -> Result<Self, DataError> {
        let split = Split::new(&corpus, config.data.validation_fraction);
        let (tokens, needed) = (split.train.len(), config.train.context_length + 1);
        if tokens < needed {
            let total = corpus.len();
            return Err(DataError::TrainingTooShort { tokens, total, needed });
        }
        let evaluates = config.data.validation_fraction > 0.0;
        let sampler = WindowSampler::new(config.train.seed, tokens, config.train.context_length);
        Self::with_split(config, tokenizer, corpus, split, Some(sampler), evaluates)
    }

    /// A corpus for evaluation only.
    ///
    /// # Errors
    /// If the corpus is too short for one row.
    pub fn held_out_only(
        config: &Config,
        tokenizer: &Tokenizer,
        corpus: TokenCorpus,
    ) -> Result<Self, DataError> {
        let split = Split::held_out_only(&corpus);
        let (tokens, needed) = (split.held_out.len(), config.train.context_length + 1);
        if tokens < needed {
            return Err(DataError::EvaluationTooShort { tokens, needed });
        }
        Self::with_split(config, tokenizer, corpus, split, None, true)
    }

    fn with_split(
        config: &Config,
        tokenizer: &Tokenizer,
        corpus: TokenCorpus,
        split: Split,
        sampler: Option<WindowSampler>,
        evaluates: bool,
    ) -> Result<Self, DataError> {
        let train = &config.train;
        let (tokens, needed) = (split.held_out.len(), train.context_length + 1);
        if evaluates && tokens < needed {
            let total = corpus.len();
            return Err(DataError::HeldOutTooShort { tokens, total, needed });
        }
        let validation_rows = if evaluates {
            validation_rows(tokens, train.context_length, train.batch_size, train.eval_batches)
        } else {
            Vec::new()
        };
        Ok(Self {
            corpus,
            split,
            sampler,
            validation_rows,
            token_bytes: tokenizer.token_bytes(),
            unknown: tokenizer.unknown(),
            shift: config.nitp.shift,
            rows: train.batch_size,
            context_length: train.context_length,
            accumulation: train.gradient_accumulation_steps,
        })
    }

    /// Micro-batch `micro` of step `step`, both from 0.
    ///
    /// # Panics
    /// If the corpus is for evaluation only.
    pub fn train_batch(&self, step: usize, micro: usize) -> Batch {
        let sampler = self.sampler.expect("a dataset with training text");
        let first = (step as u64 * self.accumulation as u64 + micro as u64) * self.rows as u64;
        let indices = first..first + self.rows as u64;
        let rows = indices.map(|index| Row { start: sampler.start(index), from: 0 });
        self.batch(&self.split.train, rows)
    }

    /// Number of evaluation batches: `train.eval_batches`, or fewer if the held-out text is shorter; 0 if nothing is
    /// held out.
    pub fn validation_batches(&self) -> usize {
        self.validation_rows.len() / self.rows
    }

    fn validation_row(&self, index: usize) -> &[Row] {
        &self.validation_rows[index * self.rows..][..self.rows]
    }

    /// Evaluation batch `index`, the same every time.
    pub fn validation_batch(&self, index: usize) -> Batch {
        self.batch(&self.split.held_out, self.validation_row(index).iter().copied())
    }

    /// The text of evaluation batch `index`: a window of context_length + 1 tokens for each row that is not padding.
    pub fn validation_windows(&self, index: usize) -> Vec<Window> {
        let rows = self.validation_row(index).iter().filter(|row| row.from < self.context_length);
        rows.map(|row| self.window(&self.split.held_out, row.start)).collect()
    }

    fn window(&self, stream: &Stream, start: usize) -> Window {
        stream.window(&self.corpus, start, self.context_length + 1)
    }

    fn batch(&self, stream: &Stream, rows: impl Iterator<Item = Row>) -> Batch {
        let windows = rows.map(|row| (self.window(stream, row.start), row.from));
        Batch::new(windows, self.corpus.end_of_text(), self.shift, &self.token_bytes, self.unknown)
    }

    /// The corpus.
    pub fn corpus(&self) -> &TokenCorpus {
        &self.corpus
    }

    /// Its two parts.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Rows of an epoch; 0 if the corpus is for evaluation only.
    pub fn rows_per_epoch(&self) -> usize {
        self.sampler.map_or(0, |sampler| sampler.windows_per_epoch())
    }
}

/// Rows of evaluation, in whole batches. If the stream has more rows than wanted, they are spread evenly over it;
/// otherwise every token is used once, and padding fills the last batch.
fn validation_rows(tokens: usize, context: usize, rows: usize, batches: usize) -> Vec<Row> {
    let labels = tokens - 1;
    let (windows, rest) = (labels / context, labels % context);
    let wanted = batches.saturating_mul(rows);
    if windows + usize::from(rest > 0) > wanted {
        // The stream has at least as many windows as wanted, so all are different.
        return (0..wanted)
            .map(|i| Row { start: i * windows / wanted * context, from: 0 })
            .collect();
    }
    let mut all: Vec<Row> = (0..windows).map(|i| Row { start: i * context, from: 0 }).collect();
    if rest > 0 {
        all.push(Row { start: labels - context, from: context - rest });
    }
    all.resize(all.len().next_multiple_of(rows), Row { start: 0, from: context });
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn config(context_length: usize, fraction: f64) -> Config {
        let mut config = Config::default();
        config.model.vocab_size = 257;
        config.train.context_length = context_length;
        config.train.batch_size = 4;
        config.train.gradient_accumulation_steps = 2;
        config.train.eval_batches = 3;
        config.data.validation_fraction = fraction;
        config
    }

    fn dataset(config: &Config, texts: &[String]) -> Result<Dataset, DataError> {
        let tokenizer = Tokenizer::new("byte", config.model.vocab_size).unwrap();
        let corpus = TokenCorpus::from_texts(&tokenizer, texts.iter().map(String::as_str)).unwrap();
        Dataset::new(config, &tokenizer, corpus)
    }

    /// Documents of ten ascending numbers, in which no two windows of eight bytes are equal.
    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|i| (10 * i..10 * i + 10).map(|n| format!("{n:06},")).collect()).collect()
    }

    #[test]
    fn an_epoch_of_steps_has_every_row_once() {
        let config = config(16, 0.1);
        let dataset = dataset(&config, &texts(200)).unwrap();
        let steps = dataset.rows_per_epoch() / 8;
        let mut rows = HashSet::new();
        for step in 0..steps {
            for micro in 0..2 {
                let batch = dataset.train_batch(step, micro);
                assert_eq!(batch, dataset.train_batch(step, micro));
                for (inputs, labels) in batch.input_ids.chunks(16).zip(batch.labels.chunks(16)) {
                    assert_eq!(inputs[1..], labels[..15]);
                    rows.insert((inputs.to_vec(), labels.to_vec()));
                }
            }
        }
        assert!(steps > 20);
        assert_eq!(rows.len(), steps * 8);
    }

    #[test]
    fn held_out_text_is_never_trained_on() {
        const CONTEXT: usize = 8;
        let config = config(CONTEXT, 0.2);
        // Of many documents, whole ones are held out; of a single one, its end.
        for texts in [texts(100), vec![texts(100).concat()]] {
            let dataset = dataset(&config, &texts).unwrap();
            let stream = &dataset.split().held_out;
            let held_out = stream.window(dataset.corpus(), 0, stream.len()).tokens;
            let held_out: HashSet<&[u32]> =
                held_out.windows(CONTEXT).filter(|row| !row.contains(&256)).collect();
            let mut trained = 0;
            for step in 0..3 * dataset.rows_per_epoch() / 8 {
                for micro in 0..2 {
                    let batch = dataset.train_batch(step, micro);
                    for tokens in [&batch.input_ids, &batch.labels] {
                        assert!(tokens.chunks(CONTEXT).all(|row| !held_out.contains(row)));
                        trained += tokens.len();
                    }
                }
            }
            assert!(trained > 2 * 2 * 5000 && held_out.len() > 1000);
            assert_eq!(dataset.validation_batches(), 3);
            for index in 0..3 {
                let batch = dataset.validation_batch(index);
                let mut rows = batch.input_ids.chunks(CONTEXT).filter(|row| !row.contains(&256));
                assert!(rows.all(|row| held_out.contains(row)));
            }
        }
    }

    #[test]
    fn evaluation_rows_spread_over_the_text_without_overlap() {
        let starts = |tokens, rows, batches| -> Vec<usize> {
            validation_rows(tokens, 10, rows, batches).iter().map(|row| row.start).collect()
        };
        assert_eq!(starts(1001, 4, 2), [0, 120, 250, 370, 500, 620, 750, 870]);
        for (tokens, batches) in [(89, 2), (100, 2), (999, 20)] {
            let starts = starts(tokens, 4, batches);
            assert_eq!(starts.len(), 4 * batches);
            assert!(starts.windows(2).all(|pair| pair[1] >= pair[0] + 10));
            assert!(starts.last().unwrap() + 11 <= tokens);
        }
    }

    #[test]
    fn a_short_text_is_evaluated_whole_and_once() {
        for tokens in [11, 20, 21, 41, 45, 158] {
            let rows = validation_rows(tokens, 10, 4, 1000);
            assert!(rows.len().is_multiple_of(4));
            let counted = rows.iter().flat_map(|row| (row.from..10).map(|t| row.start + t));
            assert_eq!(counted.collect::<Vec<_>>(), (0..tokens - 1).collect::<Vec<_>>());
            assert!(rows.iter().all(|row| row.start + 11 <= tokens));
        }
    }

    #[test]
    fn text_that_is_too_short_says_how_much_is_missing() {
        let text = vec!["x".repeat(100)]; // and an end of text
        let error = dataset(&config(101, 0.0), &text).unwrap_err();
        assert_eq!(error, DataError::TrainingTooShort { tokens: 101, total: 101, needed: 102 });
        assert!(
            error
                .to_string()
                .ends_with("102: give more text, or set a smaller train.context_length")
        );
        assert!(dataset(&config(100, 0.0), &text).is_ok());
        let error = dataset(&config(20, 0.1), &text).unwrap_err();
        assert_eq!(error, DataError::HeldOutTooShort { tokens: 10, total: 101, needed: 21 });
        assert!(
            error
                .to_string()
                .contains("set a larger data.validation_fraction, set data.validation_fraction=0")
        );
        // No fraction leaves a row for each part.
        for (fraction, part) in [(0.1, "held-out text has 10"), (0.9, "training text has 10")] {
            let error = dataset(&config(60, fraction), &text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(
                error.contains("more text, set data.validation_fraction=0 to train"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_corpus_can_be_evaluated_on_alone() {
        let config = config(16, 0.5);
        let tokenizer = Tokenizer::new("byte", 257).unwrap();
        let corpus = TokenCorpus::from_texts(&tokenizer, ["short"]).unwrap();
        let error = Dataset::held_out_only(&config, &tokenizer, corpus).unwrap_err();
        assert_eq!(error, DataError::EvaluationTooShort { tokens: 6, needed: 17 });
        assert!(!error.to_string().contains("validation_fraction"), "{error}");
        let text = "y".repeat(16 * 4 * 3);
        let corpus = TokenCorpus::from_texts(&tokenizer, [text.as_str()]).unwrap();
        let dataset = Dataset::held_out_only(&config, &tokenizer, corpus).unwrap();
        assert_eq!((dataset.validation_batches(), dataset.rows_per_epoch()), (3, 0));
        let labels: usize = (0..3).map(|i| dataset.validation_batch(i).label_count).sum();
        assert_eq!(labels, 16 * 4 * 3);
        // All bytes except the first, which is no label; the end-of-text token has no bytes.
        let bytes: usize = (0..3).map(|i| dataset.validation_batch(i).byte_count).sum();
        assert_eq!(bytes, 16 * 4 * 3 - 1);
    }
}
