//! Training and evaluation batches by number.

mod error;
mod mixture;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use super::batch::Batch;
use super::corpus::TokenCorpus;
use super::documents::hexadecimal;
use super::sampler::WindowSampler;
use super::split::{Split, Stream, Window};
use super::tokenizer::Tokenizer;
use crate::config::{Config, Shift};
use mixture::{Mixture, shares};

pub use error::DataError;

/// A row of evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Its first token in the held-out text.
    start: usize,
    /// The first position that counts. Earlier ones count in another row.
    from: usize,
}

/// One of the texts of a dataset.
#[derive(Debug)]
pub struct Source {
    /// The text.
    pub corpus: TokenCorpus,
    /// Its two parts.
    pub split: Split,
    /// The order of its windows; none if the text is for evaluation only.
    sampler: Option<WindowSampler>,
}

impl Source {
    fn new(config: &Config, corpus: TokenCorpus) -> Result<Self, DataError> {
        let split = Split::new(&corpus, config.data.validation_fraction);
        let (tokens, needed) = (split.train.len(), config.train.context_length + 1);
        if tokens < needed {
            let total = corpus.len();
            return Err(DataError::TrainingTooShort { tokens, total, needed });
        }
        let sampler = WindowSampler::new(config.train.seed, tokens, config.train.context_length);
        let held_out = split.held_out.len();
        if config.data.validation_fraction > 0.0 && held_out < needed {
            let total = corpus.len();
            return Err(DataError::HeldOutTooShort { tokens: held_out, total, needed });
        }
        Ok(Self { corpus, split, sampler: Some(sampler) })
    }

    /// Windows of an epoch of this text; 0 if it is for evaluation only.
    pub fn rows_per_epoch(&self) -> usize {
        self.sampler.map_or(0, |sampler| sampler.windows_per_epoch())
    }
}

/// Texts, split and divided into batches. Batches depend on the texts, the seed and the sizes of `[train]`, but not on
/// the model, the executor or the rest of the configuration, except `nitp.shift` for the mask.
#[derive(Debug)]
pub struct Dataset {
    sources: Vec<Source>,
    mixture: Mixture,
    /// Rows of evaluation, each with its source.
    validation_rows: Vec<(usize, Row)>,
    fingerprint: String,
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
        let source = Source::new(config, corpus)?;
        Ok(Self::with_sources(config, tokenizer, vec![source], &[1.0]))
    }

    /// A mixture of corpora to train on: each row is from one of them, by the weights in `data.weights`. Of each corpus,
    /// `data.validation_fraction` is held out, and evaluations mix the held-out texts by the same weights.
    ///
    /// # Errors
    /// As [`new`](Self::new), for one of the corpora.
    ///
    /// # Panics
    /// If there is not one weight for each corpus.
    pub fn mixed(
        config: &Config,
        tokenizer: &Tokenizer,
        corpora: Vec<TokenCorpus>,
    ) -> Result<Self, DataError> {
        let weights = &config.data.weights;
        assert_eq!(weights.len(), corpora.len(), "each corpus has a weight");
        let source = |(index, corpus)| {
            Source::new(config, corpus)
                .map_err(|error| DataError::Source { number: index + 1, error: Box::new(error) })
        };
        let sources = corpora.into_iter().enumerate().map(source).collect::<Result<_, _>>()?;
        Ok(Self::with_sources(config, tokenizer, sources, weights))
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
        let source = Source { corpus, split, sampler: None };
        Ok(Self::with_sources(config, tokenizer, vec![source], &[1.0]))
    }

    fn with_sources(
        config: &Config,
        tokenizer: &Tokenizer,
        sources: Vec<Source>,
        weights: &[f64],
    ) -> Self {
        let train = &config.train;
        let rows = train.batch_size;
        let wanted = shares(weights, train.eval_batches.saturating_mul(rows));
        let of_source = |(index, source): (usize, &Source)| {
            let tokens = source.split.held_out.len();
            let rows = validation_rows(tokens, train.context_length, wanted[index]);
            let count = rows.len() as f64;
            let place = move |i: usize| (i as f64 + 0.5) / count;
            rows.into_iter().enumerate().map(move |(i, row)| (place(i), (index, row)))
        };
        let mut placed: Vec<_> = sources.iter().enumerate().flat_map(of_source).collect();
        // Geometry is measured on the first rows, which are to be a mixture as all rows are.
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut validation_rows: Vec<_> = placed.into_iter().map(|(_, row)| row).collect();
        let padding = Row { start: 0, from: train.context_length };
        validation_rows.resize(validation_rows.len().next_multiple_of(rows), (0, padding));
        Self {
            mixture: Mixture::new(train.seed, weights),
            fingerprint: fingerprint_of(sources.iter().map(|source| &source.corpus), weights),
            sources,
            validation_rows,
            token_bytes: tokenizer.token_bytes(),
            unknown: tokenizer.unknown(),
            shift: config.nitp.shift,
            rows,
            context_length: train.context_length,
            accumulation: train.gradient_accumulation_steps,
        }
    }

    /// Micro-batch `micro` of step `step`, both from 0.
    ///
    /// # Panics
    /// If the corpus is for evaluation only.
    pub fn train_batch(&self, step: usize, micro: usize) -> Batch {
        let first = (step as u64 * self.accumulation as u64 + micro as u64) * self.rows as u64;
        let row = |index| {
            let (source, index) = self.mixture.place(index);
            let sampler = self.sources[source].sampler.expect("a dataset with training text");
            let split = &self.sources[source].split;
            (self.window(source, &split.train, sampler.start(index)), 0)
        };
        self.batch((first..first + self.rows as u64).map(row))
    }

    /// Number of evaluation batches: `train.eval_batches`, or fewer if the held-out text is shorter; 0 if nothing is
    /// held out.
    pub fn validation_batches(&self) -> usize {
        self.validation_rows.len() / self.rows
    }

    fn validation_row(&self, index: usize) -> &[(usize, Row)] {
        &self.validation_rows[index * self.rows..][..self.rows]
    }

    fn held_out_window(&self, (source, row): (usize, Row)) -> Window {
        self.window(source, &self.sources[source].split.held_out, row.start)
    }

    /// Evaluation batch `index`, the same every time.
    pub fn validation_batch(&self, index: usize) -> Batch {
        let rows = self.validation_row(index).iter();
        self.batch(rows.map(|&row| (self.held_out_window(row), row.1.from)))
    }

    /// The text of evaluation batch `index`: a window of context_length + 1 tokens for each row that is not padding.
    pub fn validation_windows(&self, index: usize) -> Vec<Window> {
        let rows = self.validation_row(index).iter();
        let rows = rows.filter(|(_, row)| row.from < self.context_length);
        rows.map(|&row| self.held_out_window(row)).collect()
    }

    fn window(&self, source: usize, stream: &Stream, start: usize) -> Window {
        stream.window(&self.sources[source].corpus, start, self.context_length + 1)
    }

    fn batch(&self, windows: impl Iterator<Item = (Window, usize)>) -> Batch {
        let end_of_text = self.sources[0].corpus.end_of_text();
        Batch::new(windows, end_of_text, self.shift, &self.token_bytes, self.unknown)
    }

    /// The texts.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The share of each text in the rows of a run.
    pub fn shares(&self) -> Vec<f64> {
        self.mixture.shares().collect()
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.sources.iter().map(|source| source.corpus.len()).sum()
    }

    /// Documents of all texts.
    pub fn documents(&self) -> usize {
        self.sources.iter().map(|source| source.corpus.documents()).sum()
    }

    /// Held-out tokens of all texts.
    pub fn held_out_tokens(&self) -> usize {
        self.sources.iter().map(|source| source.split.held_out.len()).sum()
    }

    /// Digest by which a run recognises its data: that of the corpus, or of all corpora and their weights.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Digest by which a run recognises its data: that of the corpus, or of all corpora and their weights.
pub fn fingerprint_of<'a>(
    corpora: impl Iterator<Item = &'a TokenCorpus>,
    weights: &[f64],
) -> String {
    let prints: Vec<&str> = corpora.map(TokenCorpus::fingerprint).collect();
    if let [print] = prints[..] {
        return print.to_owned();
    }
    let mut sha256 = Sha256::new_with_prefix(b"mixture");
    for (print, weight) in prints.into_iter().zip(weights) {
        sha256.update(weight.to_le_bytes());
        sha256.update(print);
    }
    hexadecimal(&sha256.finalize())
}

/// Rows of evaluation. If the stream has more rows than wanted, they are spread evenly over it; otherwise every token is
/// used once.
fn validation_rows(tokens: usize, context: usize, wanted: usize) -> Vec<Row> {
    let labels = tokens.saturating_sub(1);
    let (windows, rest) = (labels / context, labels % context);
    if windows == 0 {
        return Vec::new(); // nothing is held out
    }
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
    all
}
