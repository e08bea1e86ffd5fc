//! Weighted word counts, the baseline for learned representations.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::not_empty;
use crate::{Error, Features};

/// A vocabulary and the weight of each of its words, learned from the training texts only.
///
/// As scikit-learn's `TfidfVectorizer()`: texts are lower-cased, a word is a longest run of two or
/// more letters, digits and underscores, its count is multiplied by `ln((1 + texts) / (1 + texts with it)) + 1`, and a
/// row is then scaled to a Euclidean length of 1. Letters are those of Unicode's `Alphabetic`, which includes vowel
/// signs; Python's `\w` excludes them and splits words of Indic scripts there.
#[derive(Clone, Debug, PartialEq)]
pub struct TfIdf {
    /// In sorted order; a word's column is its index.
    words: Vec<String>,
    /// The inverse document frequency by column.
    weights: Vec<f64>,
}

impl TfIdf {
    /// Learns the `max_features` most frequent words of `texts`; ties by sorted order.
    /// A row has one entry for each distinct word of its text, and a fit on the rows one weight for each class and
    /// feature. `max_features` therefore bounds the memory of both.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::NoWords`]; [`Error::Setting`] for a `max_features` of 0.
    pub fn fit<T: AsRef<str>>(texts: &[T], max_features: usize) -> Result<Self, Error> {
        not_empty(texts, "texts")?;
        if max_features == 0 {
            let (setting, allowed) = ("max_features", "1 or more");
            return Err(Error::Setting { setting, value: 0.0, allowed });
        }
        #[derive(Default)]
        struct Occurrences {
            all: usize,
            texts: usize,
        }
        let mut occurrences: HashMap<String, Occurrences> = HashMap::new();
        for text in texts {
            let text = text.as_ref().to_lowercase();
            let mut seen = HashSet::new();
            for word in words(&text) {
                let first = seen.insert(word);
                // A word is copied only if it is new.
                match occurrences.get_mut(word) {
                    Some(it) => {
                        it.all += 1;
                        it.texts += usize::from(first);
                    }
                    None => {
                        occurrences.insert(word.to_owned(), Occurrences { all: 1, texts: 1 });
                    }
                }
            }
        }
        if occurrences.is_empty() {
            return Err(Error::NoWords { texts: texts.len() });
        }
        let mut kept: Vec<(String, Occurrences)> = occurrences.into_iter().collect();
        kept.sort_unstable_by(|(a, x), (b, y)| y.all.cmp(&x.all).then_with(|| a.cmp(b)));
        kept.truncate(max_features);
        kept.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let count = texts.len() as f64;
        let weight = |it: &Occurrences| ((1.0 + count) / (1.0 + it.texts as f64)).ln() + 1.0;
        Ok(Self {
            weights: kept.iter().map(|(_, it)| weight(it)).collect(),
            words: kept.into_iter().map(|(word, _)| word).collect(),
        })
    }

    /// The words, sorted by code points; a word's column is its index.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The rows of texts, sparse `[texts, words]`. Words outside of the vocabulary don't count; a text with only such
    /// words has a row of zeros.
    ///
    /// # Errors
    /// [`Error::Empty`].
    pub fn rows<T: AsRef<str>>(&self, texts: &[T]) -> Result<Features, Error> {
        not_empty(texts, "texts")?;
        Features::sparse(texts.iter().map(|text| self.row(text.as_ref())), self.words.len())
    }

    fn row(&self, text: &str) -> BTreeMap<usize, f64> {
        let mut row: BTreeMap<usize, f64> = BTreeMap::new();
        for word in words(&text.to_lowercase()) {
            if let Ok(column) = self.words.binary_search_by(|it| it.as_str().cmp(word)) {
                *row.entry(column).or_default() += 1.0;
            }
        }
        for (&column, value) in &mut row {
            *value *= self.weights[column];
        }
        let length = row.values().map(|value| value * value).sum::<f64>().sqrt();
        row.values_mut().for_each(|value| *value /= length);
        row
    }
}

/// The longest runs of two or more letters, digits and underscores; scikit-learn's `\b\w\w+\b`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let runs = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    runs.filter(|word| word.chars().nth(1).is_some())
}
