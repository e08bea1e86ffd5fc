//! Scores of rankings: Spearman's correlation for pairs of texts, recall and nDCG for retrieval.

use std::collections::BTreeMap;

use crate::Error;
use crate::error::{finite, not_empty, same_length};

/// Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks.
///
/// For semantic similarity, `x` has the cosine of each pair of texts, and `y` people's ratings.
/// `scipy.stats.spearmanr(x, y).statistic`.
///
/// # Errors
/// [`Error::Lengths`]; [`Error::TooFew`] below two; [`Error::NotFinite`]; [`Error::Constant`],
/// where scipy warns and gives NaN.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, Error> {
    let [xs, ys] = ["values of x", "values of y"];
    same_length((xs, x.len()), (ys, y.len()))?;
    if x.len() < 2 {
        return Err(Error::TooFew { what: xs, found: x.len(), needed: 2 });
    }
    finite(x, "value of x")?;
    finite(y, "value of y")?;
    for (what, values) in [(xs, x), (ys, y)] {
        if values.iter().all(|&value| value == values[0]) {
            return Err(Error::Constant { what, value: values[0] });
        }
    }
    let (x, y) = (centered_ranks(x), centered_ranks(y));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Ok((dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()).clamp(-1.0, 1.0))
}

/// Ranks minus their mean; equal values have the mean of their ranks.
fn centered_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let middle = (values.len() - 1) as f64 / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    // Compared as numbers: 0 and -0 are equal, and adjacent in the order.
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let last = first + tied.len() - 1;
        for &index in tied {
            ranks[index] = (first + last) as f64 / 2.0 - middle;
        }
        first = last + 1;
    }
    ranks
}

/// The documents, by index, from the highest score to the lowest.
/// For equal scores the *greater* index comes first. trec_eval, and so pytrec_eval and MTEB, orders them by descending
/// document id; with ascending ids, the rankings are equal. A model with equal scores for all documents then gains
/// nothing if relevant documents are listed first.
///
/// # Errors
/// [`Error::Empty`]; [`Error::NotFinite`].
pub fn rank(scores: &[f64]) -> Result<Vec<usize>, Error> {
    not_empty(scores, "scores")?;
    finite(scores, "score")?;
    let mut order: Vec<usize> = (0..scores.len()).rev().collect();
    // The sort is stable, and 0 equals -0 by `partial_cmp`.
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).expect("finite scores"));
    Ok(order)
}

/// Judged relevance of a query's documents. Documents with 0, or without an entry, are not relevant.
pub type Judgements = BTreeMap<usize, u32>;

/// The share of all relevant documents (relevance 1 or more) among the first `k` of a ranking, 0 to
/// 1. A ranking may be shorter than `k`. `recall_k` of trec_eval, as MTEB reports it.
///
/// # Errors
/// [`Error::Setting`] for a `k` of 0; [`Error::RankedTwice`]; [`Error::NoRelevant`], where trec_eval
/// counts 0.
pub fn recall_at(ranking: &[usize], judgements: &Judgements, k: usize) -> Result<f64, Error> {
    check(ranking, judgements, k)?;
    let relevant = judgements.values().filter(|&&relevance| relevance > 0).count();
    let found = ranking.iter().take(k).filter(|&document| gain(judgements, document) > 0.0).count();
    Ok(found as f64 / relevant as f64)
}

/// The discounted gain of a ranking's first `k` documents over that of the best ranking, 0 to 1.
///
/// The gain is the relevance itself, the discount `log₂(rank + 1)` with ranks from 1 on, and the best
/// ranking has all judged documents, retrieved or not (Järvelin & Kekäläinen 2002). `ndcg_cut_k` of
/// trec_eval; MTEB's main score of retrieval is that at 10, averaged over queries.
///
/// # Errors
/// As [`recall_at`].
pub fn ndcg_at(ranking: &[usize], judgements: &Judgements, k: usize) -> Result<f64, Error> {
    check(ranking, judgements, k)?;
    let mut best: Vec<f64> = judgements.values().map(|&relevance| relevance.into()).collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let gains = ranking.iter().map(|document| gain(judgements, document));
    Ok(discounted(gains, k) / discounted(best.into_iter(), k))
}

fn gain(judgements: &Judgements, document: &usize) -> f64 {
    judgements.get(document).copied().unwrap_or(0).into()
}

fn discounted(gains: impl Iterator<Item = f64>, k: usize) -> f64 {
    gains.take(k).enumerate().map(|(place, gain)| gain / (place as f64 + 2.0).log2()).sum()
}

fn check(ranking: &[usize], judgements: &Judgements, k: usize) -> Result<(), Error> {
    if k == 0 {
        return Err(Error::Setting { setting: "k", value: 0.0, allowed: "1 or more" });
    }
    let mut places = BTreeMap::new();
    for (second, &document) in ranking.iter().enumerate() {
        if let Some(first) = places.insert(document, second) {
            return Err(Error::RankedTwice { document, first, second });
        }
    }
    if judgements.values().all(|&relevance| relevance == 0) {
        return Err(Error::NoRelevant { judged: judgements.len() });
    }
    Ok(())
}
