//! Scores of vectors: the paper's protocol (section 4.3) on frozen states, task by task.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use nitp_lab::bag_of_words::TfIdf;
use nitp_lab::classification::{accuracy, macro_f1};
use nitp_lab::clustering::{agreement, k_means};
use nitp_lab::labels::Labels;
use nitp_lab::logistic::{self, Settings};
use nitp_lab::ranking::{Judgements, ndcg_at, rank, recall_at, spearman};
use nitp_lab::split::{Split, by_group};
use nitp_lab::vectors::cosine;
use nitp_lab::{Features, centroid};
use serde::{Deserialize, Serialize};

use super::examples::{Document, Examples};
use super::vectors::LayerVectors;

/// Share of the documents for scoring.
const TEST_SHARE: f64 = 0.3;

/// Size of the vocabulary of the bag-of-words baseline.
const WORDS: usize = 20_000;

/// A score of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The task, such as `topic`.
    pub task: String,
    /// The measure, such as `accuracy`.
    pub measure: String,
    /// The value; more is better; at most 1.
    pub value: f64,
}

/// A classification task: documents, their classes, and the split.
pub struct Classification {
    /// The label.
    pub name: String,
    /// Indices of the documents with this label.
    documents: Vec<usize>,
    labels: Labels,
    split: Split,
    /// Classes that occur once, so they are on one side only.
    pub singletons: Vec<String>,
}

impl Classification {
    /// The task of this label. Paraphrases are never on both sides of the split.
    ///
    /// # Errors
    /// If there is only one class, or there are too few documents.
    pub fn new(examples: &Examples, name: &str, seed: u64) -> Result<Self> {
        let with = |(index, it): (usize, &Document)| Some((index, it.labels.get(name)?.clone()));
        let (documents, classes): (Vec<usize>, Vec<String>) =
            examples.documents.iter().enumerate().filter_map(with).unzip();
        let labels = Labels::new(&classes).with_context(|| format!("the label `{name}`"))?;
        let group = |&index: &usize| group(&examples.documents[index], index);
        let groups: Vec<(bool, u64)> = documents.iter().map(group).collect();
        let split = by_group(labels.ids(), &groups, TEST_SHARE, seed)
            .with_context(|| format!("the label `{name}`"))?;
        let singletons = labels.singletons().into_iter().map(str::to_owned).collect();
        Ok(Self { name: name.to_owned(), documents, labels, split, singletons })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.labels.classes().len()
    }

    /// Numbers of documents to fit on and to score on.
    pub fn sides(&self) -> [usize; 2] {
        [self.split.train.len(), self.split.test.len()]
    }

    fn ids(&self, side: &[usize]) -> Vec<usize> {
        side.iter().map(|&item| self.labels.ids()[item]).collect()
    }

    /// Accuracy of always answering with the most frequent class.
    pub fn majority(&self) -> f64 {
        let mut counts = vec![0; self.classes()];
        self.ids(&self.split.train).into_iter().for_each(|id| counts[id] += 1);
        let most = (0..counts.len()).max_by_key(|&id| (counts[id], usize::MAX - id)).unwrap_or(0);
        let test = self.ids(&self.split.test);
        test.iter().filter(|&&id| id == most).count() as f64 / test.len() as f64
    }

    /// Scores of a layer's vectors.
    ///
    /// # Errors
    /// If the vectors can't be scored.
    pub fn scores(&self, layer: &LayerVectors, width: usize, seed: u64) -> Result<Vec<Score>> {
        let rows: Vec<f64> = self
            .documents
            .iter()
            .flat_map(|&index| layer.texts[index * width..(index + 1) * width].iter().copied())
            .collect();
        let all = Features::dense(&rows, width)?;
        let [train, test] = [&self.split.train, &self.split.test];
        let (fit_on, score_on) = (all.select(train)?, all.select(test)?);
        let (classes, truth) = (self.ids(train), self.ids(test));
        let logistic = logistic::fit(&fit_on, &classes, Settings::default())?;
        let predicted = logistic.predict(&score_on)?;
        let nearest = centroid::fit(&fit_on, &classes)?.predict(&score_on)?;
        let clusters = k_means(&all, self.classes(), seed)?;
        let agreed = agreement(&clusters.assignments, self.labels.ids())?;
        let score = |measure: &str, value| Score {
            task: self.name.clone(),
            measure: measure.to_owned(),
            value,
        };
        Ok(vec![
            score(LOGISTIC, accuracy(&predicted, &truth)?),
            score("macro F1", macro_f1(&predicted, &truth)?),
            score("nearest centroid", accuracy(&nearest, &truth)?),
            score("k-means V-measure", agreed.v_measure),
        ])
    }

    /// Accuracy of logistic regression on word counts.
    ///
    /// # Errors
    /// If there are no words.
    pub fn bag_of_words(&self, examples: &Examples) -> Result<f64> {
        let texts = |side: &[usize]| -> Vec<&str> {
            let text = |&item: &usize| examples.documents[self.documents[item]].text.as_str();
            side.iter().map(text).collect()
        };
        let train = texts(&self.split.train);
        let words = TfIdf::fit(&train, WORDS)?;
        let classes = self.ids(&self.split.train);
        let model = logistic::fit(&words.rows(&train)?, &classes, Settings::default())?;
        let predicted = model.predict(&words.rows(&texts(&self.split.test))?)?;
        Ok(accuracy(&predicted, &self.ids(&self.split.test))?)
    }
}

/// The main measure of a classification.
pub const LOGISTIC: &str = "accuracy";

/// The main measure of retrieval, as in MTEB.
const NDCG: &str = "nDCG@10";

/// The measure of similarity.
const SPEARMAN: &str = "Spearman";

impl Score {
    /// Whether it is the main measure of its task.
    pub fn is_main(&self) -> bool {
        [LOGISTIC, NDCG, SPEARMAN].contains(&self.measure.as_str())
    }
}

fn group(document: &Document, index: usize) -> (bool, u64) {
    match document.pair {
        Some(pair) => (true, pair),
        None => (false, index as u64),
    }
}

/// Retrieval of the paraphrase among all documents, by cosine.
///
/// # Errors
/// If the vectors can't be scored.
pub fn retrieval(examples: &Examples, layer: &LayerVectors, width: usize) -> Result<Vec<Score>> {
    let mut pairs: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, document) in examples.documents.iter().enumerate() {
        if let Some(pair) = document.pair {
            pairs.entry(pair).or_default().push(index);
        }
    }
    let vector = |index: usize| &layer.texts[index * width..(index + 1) * width];
    let count = examples.documents.len();
    let (mut queries, mut sums) = (0, [0.0; 3]);
    for members in pairs.values().filter(|it| it.len() > 1) {
        for &query in members {
            // A query would find itself first, so it is left out.
            let others: Vec<usize> = (0..count).filter(|&it| it != query).collect();
            let cosines = others.iter().map(|&it| cosine(vector(query), vector(it)));
            let ranking = rank(&cosines.collect::<Result<Vec<_>, _>>()?)?;
            let relevant = |place: &usize| members.contains(&others[*place]);
            let judgements: Judgements =
                (0..others.len()).filter(relevant).map(|place| (place, 1)).collect();
            let found = [
                recall_at(&ranking, &judgements, 1)?,
                recall_at(&ranking, &judgements, 10)?,
                ndcg_at(&ranking, &judgements, 10)?,
            ];
            sums.iter_mut().zip(found).for_each(|(sum, it)| *sum += it);
            queries += 1;
        }
    }
    if queries == 0 {
        return Ok(Vec::new());
    }
    let measures = ["recall@1", "recall@10", NDCG];
    let score = |(measure, sum): (&'static str, f64)| Score {
        task: "retrieval of the same scene".to_owned(),
        measure: measure.to_owned(),
        value: sum / f64::from(queries),
    };
    Ok(measures.into_iter().zip(sums).map(score).collect())
}

/// Spearman's correlation of cosines with people's scores; `layer` holds the vectors of all pairs one after the other.
///
/// # Errors
/// Fewer than two pairs, or scores that are all equal.
pub fn similarity(examples: &Examples, layer: &LayerVectors, width: usize) -> Result<Vec<Score>> {
    if examples.similar.is_empty() {
        return Ok(Vec::new());
    }
    let first = examples.documents.len();
    let vector = |at: usize| &layer.texts[(first + at) * width..(first + at + 1) * width];
    let cosines =
        (0..examples.similar.len()).map(|pair| cosine(vector(2 * pair), vector(2 * pair + 1)));
    let scores: Vec<f64> = examples.similar.iter().map(|it| it.score).collect();
    let value = spearman(&cosines.collect::<Result<Vec<_>, _>>()?, &scores)
        .context("similarity of text_a and text_b")?;
    Ok(vec![Score { task: "similarity".to_owned(), measure: SPEARMAN.to_owned(), value }])
}

/// Classification of a word's sense from the state of its last token: one logistic regression per word, fitted and
/// scored on different documents. Gives its accuracy, and that of each word's most frequent sense.
///
/// # Errors
/// If the vectors can't be scored.
pub fn senses(
    examples: &Examples,
    layer: &LayerVectors,
    width: usize,
    seed: u64,
) -> Result<Option<(Score, f64)>> {
    #[derive(Default)]
    struct Word<'a> {
        senses: Vec<&'a str>,
        groups: Vec<(bool, u64)>,
        states: Vec<f64>,
    }
    let mut words: BTreeMap<&str, Word<'_>> = BTreeMap::new();
    for (index, document) in examples.documents.iter().enumerate() {
        for (sense, state) in document.senses.iter().zip(layer.marked[index].chunks(width)) {
            let word = words.entry(&sense.word).or_default();
            word.senses.push(&sense.sense);
            word.groups.push(group(document, index));
            word.states.extend_from_slice(state);
        }
    }
    let (mut right, mut majority, mut count) = (0.0, 0.0, 0);
    for word in words.values() {
        // A word with one sense, or in one document, gives no task.
        let Ok(labels) = Labels::new(&word.senses) else { continue };
        let Ok(split) = by_group(labels.ids(), &word.groups, TEST_SHARE, seed) else { continue };
        if !split.missing_from_train.is_empty() {
            continue;
        }
        let ids =
            |side: &[usize]| -> Vec<usize> { side.iter().map(|&it| labels.ids()[it]).collect() };
        let (classes, truth) = (ids(&split.train), ids(&split.test));
        let states = Features::dense(&word.states, width)?;
        let model = logistic::fit(&states.select(&split.train)?, &classes, Settings::default())?;
        let predicted = model.predict(&states.select(&split.test)?)?;
        right += accuracy(&predicted, &truth)? * truth.len() as f64;
        let often = |id: usize| classes.iter().filter(|&&it| it == id).count();
        let most = (0..labels.classes().len()).max_by_key(|&id| often(id)).unwrap_or(0);
        majority += truth.iter().filter(|&&it| it == most).count() as f64;
        count += truth.len();
    }
    if count == 0 {
        return Ok(None);
    }
    let score = Score {
        task: "sense of a word".to_owned(),
        measure: LOGISTIC.to_owned(),
        value: right / count as f64,
    };
    Ok(Some((score, majority / count as f64)))
}
