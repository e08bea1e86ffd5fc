//! Training and held-out text: no token is in both, and no window crosses between them.

use std::ops::Range;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::corpus::TokenCorpus;

/// The two parts of a corpus. They depend only on the corpus and the fraction, not on a run's seed, so that runs can be
/// compared on the held-out text.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The training text.
    pub train: Stream,
    /// The held-out text.
    pub held_out: Stream,
}

/// Ranges of a corpus, concatenated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    ranges: Vec<Range<usize>>,
    /// Number of tokens up to the end of each range.
    ends: Vec<usize>,
}

/// Consecutive tokens of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// The document of each token.
    pub documents: Vec<usize>,
}

impl Split {
    /// Holds out about `fraction` of the tokens, but not more.
    /// Whole documents are held out, in the order of their contents' SHA-256. The choice therefore does not depend on
    /// the order of documents, and equal documents stay together. If documents are too few or too long to reach half of
    /// the fraction in this way, the end of the corpus is held out instead: the end of the last document, then of the
    /// one before it, and of all documents equal to these.
    pub fn new(corpus: &TokenCorpus, fraction: f64) -> Self {
        let total = corpus.len();
        let budget = (fraction * total as f64).round() as usize;
        let order = if budget == 0 { Vec::new() } else { by_contents(corpus) };
        let held_out = choose(corpus, &order, budget);
        let tokens: usize = held_out.iter().map(|&index| corpus.document(index).len()).sum();
        // Start of each document's held-out part.
        let mut cuts: Vec<usize> =
            (0..corpus.documents()).map(|i| corpus.document(i).end).collect();
        if 2 * tokens < budget {
            cut_ends(corpus, &order, budget, &mut cuts);
        } else {
            held_out.into_iter().for_each(|index| cuts[index] = corpus.document(index).start);
        }
        let documents = || cuts.iter().enumerate().map(|(i, &cut)| (corpus.document(i), cut));
        Self {
            train: Stream::new(documents().map(|(document, cut)| document.start..cut)),
            held_out: Stream::new(documents().map(|(document, cut)| cut..document.end)),
        }
    }

    /// Holds out everything, for a corpus for evaluation only.
    pub fn held_out_only(corpus: &TokenCorpus) -> Self {
        let all = 0..corpus.len();
        Self { train: Stream::default(), held_out: Stream::new([all].into_iter()) }
    }
}

/// Documents in the order of the digests of their contents.
fn by_contents(corpus: &TokenCorpus) -> Vec<([u8; 32], usize)> {
    let mut order: Vec<([u8; 32], usize)> = (0..corpus.documents())
        .into_par_iter()
        .map(|index| {
            let document = corpus.tokens(corpus.document(index));
            (Sha256::digest(bytemuck::cast_slice(&document)).into(), index)
        })
        .collect();
    order.sort_unstable();
    order
}

/// Documents in this order, as long as they fit into `budget` tokens.
fn choose(corpus: &TokenCorpus, order: &[([u8; 32], usize)], budget: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut tokens = 0;
    for equal in order.chunk_by(|a, b| a.0 == b.0) {
        let len = equal.len() * corpus.document(equal[0].1).len();
        if tokens + len <= budget {
            tokens += len;
            chosen.extend(equal.iter().map(|&(_, index)| index));
        } else if 2 * tokens >= budget {
            break; // continuing would prefer short documents
        }
    }
    chosen
}

/// Moves `cuts` from the ends of documents until they hold out `budget` tokens, from the last document backwards. Equal
/// documents are cut at the same place; otherwise training would see the held-out end of one in the other.
fn cut_ends(corpus: &TokenCorpus, order: &[([u8; 32], usize)], budget: usize, cuts: &mut [usize]) {
    let mut equal: Vec<_> = order.chunk_by(|a, b| a.0 == b.0).collect();
    // By the last document of each group: equal documents are in the order of the corpus.
    let last = |equal: &[([u8; 32], usize)]| equal.last().map(|&(_, index)| index);
    equal.sort_unstable_by_key(|equal| std::cmp::Reverse(last(equal)));
    let mut left = budget;
    for equal in equal {
        let take = (left / equal.len()).min(corpus.document(equal[0].1).len());
        equal.iter().for_each(|&(_, index)| cuts[index] -= take);
        left -= take * equal.len();
    }
}

impl Stream {
    /// Joins ascending ranges; empty ones are dropped.
    fn new(ranges: impl Iterator<Item = Range<usize>>) -> Self {
        let mut stream = Self::default();
        for range in ranges.filter(|range| !range.is_empty()) {
            let end = stream.len() + range.len();
            match stream.ranges.last_mut() {
                Some(last) if last.end == range.start => {
                    last.end = range.end;
                    stream.ends.pop();
                }
                _ => stream.ranges.push(range),
            }
            stream.ends.push(end);
        }
        stream
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` tokens from `first` on.
    ///
    /// # Panics
    /// If the stream has fewer tokens.
    pub fn window(&self, corpus: &TokenCorpus, first: usize, len: usize) -> Window {
        assert!(first + len <= self.len(), "{first}+{len} leaves a stream of {}", self.len());
        let mut window = Window::default();
        let mut part = self.ends.partition_point(|&end| end <= first);
        while window.tokens.len() < len {
            let range = &self.ranges[part];
            let skipped = first + window.tokens.len() - (self.ends[part] - range.len());
            let from = range.start + skipped;
            let to = range.end.min(from + len - window.tokens.len());
            window.tokens.extend_from_slice(&corpus.tokens(from..to));
            let mut position = from;
            while position < to {
                let document = corpus.document_of(position);
                let end = corpus.document(document).end.min(to);
                window.documents.extend(std::iter::repeat_n(document, end - position));
                position = end;
            }
            part += 1;
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Documents of these lengths; each token is its own position, and its document's `marks`.
    fn corpus(lens: &[usize], token: impl Fn(usize, usize) -> u32) -> TokenCorpus {
        let mut builder = super::super::CorpusBuilder::new(None);
        for (i, &len) in lens.iter().enumerate() {
            builder.push(&(0..len).map(|j| token(i, j)).collect::<Vec<_>>());
        }
        TokenCorpus::new(builder.finish(), None, String::new())
    }

    fn all(stream: &Stream, corpus: &TokenCorpus) -> Window {
        stream.window(corpus, 0, stream.len())
    }

    #[test]
    fn whole_documents_are_on_one_side() {
        let lens: Vec<usize> = (0..400).map(|i| 5 + i * 7 % 40).collect();
        let corpus = corpus(&lens, |i, j| (i * 100 + j) as u32);
        let Split { train, held_out } = Split::new(&corpus, 0.1);
        assert_eq!(train.len() + held_out.len(), corpus.len());
        let share = held_out.len() as f64 / corpus.len() as f64;
        assert!((0.09..=0.1).contains(&share), "{share}");
        let documents = |stream: &Stream| -> HashSet<usize> {
            all(stream, &corpus).documents.into_iter().collect()
        };
        assert!(documents(&train).is_disjoint(&documents(&held_out)));
        // The held-out part is not contiguous.
        assert!(held_out.ranges.len() > 10);
    }

    #[test]
    fn equal_documents_stay_together() {
        let corpus = corpus(&[10; 300], |i, j| (i % 150 * 10 + j) as u32);
        let Split { train, held_out } = Split::new(&corpus, 0.2);
        let tokens =
            |stream: &Stream| -> HashSet<u32> { all(stream, &corpus).tokens.into_iter().collect() };
        assert!(tokens(&train).is_disjoint(&tokens(&held_out)));
        assert!(held_out.len() >= 500);
    }

    #[test]
    fn the_choice_depends_on_contents_alone() {
        let forward = corpus(&[10; 200], |i, j| (i * 10 + j) as u32);
        let backward = corpus(&[10; 200], |i, j| ((199 - i) * 10 + j) as u32);
        let tokens = |corpus: &TokenCorpus| {
            let mut tokens = all(&Split::new(corpus, 0.1).held_out, corpus).tokens;
            tokens.sort_unstable();
            tokens
        };
        assert_eq!(tokens(&forward), tokens(&backward));
    }

    #[test]
    fn few_long_documents_give_their_end() {
        for lens in [&[1000][..], &[500, 500], &[990, 5, 5]] {
            let corpus = corpus(lens, |i, j| (i * 1000 + j) as u32);
            let Split { train, held_out } = Split::new(&corpus, 0.1);
            assert_eq!((train.len(), held_out.len()), (900, 100));
            assert_eq!(all(&train, &corpus).tokens, *corpus.tokens(0..900));
            assert_eq!(all(&held_out, &corpus).tokens, *corpus.tokens(900..corpus.len()));
        }
    }

    /// For example, if one book is given under two names.
    #[test]
    fn the_ends_of_equal_documents_are_held_out_together() {
        for (lens, held_out) in
            [(&[1000, 1000][..], 200), (&[1000, 40, 1000], 204), (&[1000, 1000, 40], 204)]
        {
            // The long ones are equal.
            let corpus = corpus(lens, |i, j| if lens[i] == 40 { 9000 } else { j as u32 });
            let split = Split::new(&corpus, 0.1);
            assert_eq!(split.train.len() + split.held_out.len(), corpus.len());
            assert_eq!(split.held_out.len(), held_out);
            let tokens = |stream: &Stream| -> HashSet<u32> {
                all(stream, &corpus).tokens.into_iter().collect()
            };
            assert!(tokens(&split.train).is_disjoint(&tokens(&split.held_out)), "{lens:?}");
        }
    }

    #[test]
    fn nothing_is_held_out_for_a_fraction_of_zero() {
        let corpus = corpus(&[3, 4], |i, j| (i + j) as u32);
        let split = Split::new(&corpus, 0.0);
        assert_eq!((split.train.len(), split.held_out.len()), (7, 0));
        let split = Split::held_out_only(&corpus);
        assert_eq!((split.train.len(), split.held_out.len()), (0, 7));
    }

    #[test]
    fn windows_join_ranges_and_know_their_documents() {
        let corpus = corpus(&[3, 2, 4, 1], |i, j| (10 * i + j) as u32);
        // Documents 0, 2 and 3; the last two touch.
        let ranges = [0, 2, 3].map(|index| corpus.document(index));
        let stream = Stream::new(ranges.into_iter());
        assert_eq!((stream.ranges.len(), stream.len()), (2, 8));
        let window = stream.window(&corpus, 1, 7);
        assert_eq!(window.tokens, [1, 2, 20, 21, 22, 23, 30]);
        assert_eq!(window.documents, [0, 0, 2, 2, 2, 2, 3]);
        for first in 0..8 {
            for len in 1..=8 - first {
                let part = stream.window(&corpus, first, len);
                let whole = all(&stream, &corpus);
                assert_eq!(part.tokens, whole.tokens[first..first + len]);
                assert_eq!(part.documents, whole.documents[first..first + len]);
            }
        }
    }
}
