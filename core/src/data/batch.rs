//! One micro-batch: inputs, labels, and the mask of pairs of positions.

use super::split::Window;
use crate::config::Shift;

/// The label of a position without a next-token loss.
pub const IGNORED_LABEL: u32 = u32::MAX;

/// Rows of tokens with labels and masks for the losses; all vectors are `[rows * context]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids.
    pub input_ids: Vec<u32>,
    /// The next token, or [`IGNORED_LABEL`] if it begins another document without an end-of-text token in between. With
    /// an end-of-text token, its position learns how texts begin.
    pub labels: Vec<u32>,
    /// 1 if the pair of this position and its target counts for NITP, else 0: both must be in one document and one row.
    /// With the shift "current" a position is its own target, and all pairs count.
    pub nitp_mask: Vec<u32>,
    /// Position in its row of the first token of each position's document.
    pub document_starts: Vec<u32>,
    /// Number of labels that are not ignored.
    pub label_count: usize,
    /// Number of ones in the mask.
    pub pair_count: usize,
    /// Bytes of text of the labels that are not ignored.
    pub byte_count: usize,
    /// Number of labels that are the unknown token, whose bytes are unknown.
    pub unknown_count: usize,
    /// Padding rows at the end, in which no position counts.
    pub padding_rows: usize,
}

impl Batch {
    /// A row of `len - 1` positions for each window of `len` tokens; positions from the given one on count.
    ///
    /// `token_bytes` is [`Tokenizer::token_bytes`](super::Tokenizer::token_bytes), and `unknown`
    /// [`Tokenizer::unknown`](super::Tokenizer::unknown).
    pub fn new(
        windows: impl Iterator<Item = (Window, usize)>,
        end_of_text: Option<u32>,
        shift: Shift,
        token_bytes: &[u32],
        unknown: Option<u32>,
    ) -> Self {
        let mut batch = Self::default();
        for (Window { tokens, documents }, from) in windows {
            let context = tokens.len() - 1;
            batch.padding_rows += usize::from(from >= context);
            let mut start = 0;
            for t in 0..context {
                let (same, counts) = (documents[t] == documents[t + 1], t >= from);
                let label = if counts && (same || Some(tokens[t]) == end_of_text) {
                    batch.label_count += 1;
                    batch.byte_count += token_bytes[tokens[t + 1] as usize] as usize;
                    batch.unknown_count += usize::from(Some(tokens[t + 1]) == unknown);
                    tokens[t + 1]
                } else {
                    IGNORED_LABEL
                };
                let pair = match shift {
                    Shift::Next => counts && same && t + 1 < context,
                    Shift::Current => counts,
                };
                if t > 0 && documents[t] != documents[t - 1] {
                    start = t as u32;
                }
                batch.pair_count += usize::from(pair);
                batch.document_starts.push(start);
                batch.input_ids.push(tokens[t]);
                batch.labels.push(label);
                batch.nitp_mask.push(u32::from(pair));
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u32; 10] = [1, 1, 1, 5, 1, 1, 1, 1, 1, 0];

    fn batch(end_of_text: Option<u32>, shift: Shift) -> Batch {
        let windows = [
            Window { tokens: vec![1, 9, 2, 3, 4], documents: vec![0, 0, 1, 1, 2] },
            Window { tokens: vec![5, 6, 7, 8, 3], documents: vec![3; 5] },
        ];
        Batch::new(windows.into_iter().map(|it| (it, 0)), end_of_text, shift, &BYTES, Some(3))
    }

    #[test]
    fn a_boundary_without_separator_has_no_label() {
        let batch = batch(None, Shift::Next);
        let none = IGNORED_LABEL;
        assert_eq!(batch.input_ids, [1, 9, 2, 3, 5, 6, 7, 8]);
        assert_eq!(batch.labels, [9, none, 3, none, 6, 7, 8, 3]);
        assert_eq!(batch.nitp_mask, [1, 0, 1, 0, 1, 1, 1, 0]);
        assert_eq!(batch.document_starts, [0, 0, 2, 2, 0, 0, 0, 0]);
        assert_eq!((batch.label_count, batch.pair_count), (6, 5));
        assert_eq!(batch.byte_count, 5 + 1 + 1 + 1 + 5);
        assert_eq!(batch.unknown_count, 2);
    }

    #[test]
    fn the_separator_announces_the_next_text() {
        let batch = batch(Some(9), Shift::Next);
        assert_eq!(batch.labels, [9, 2, 3, IGNORED_LABEL, 6, 7, 8, 3]);
        assert_eq!(batch.nitp_mask, [1, 0, 1, 0, 1, 1, 1, 0]);
        assert_eq!((batch.label_count, batch.pair_count), (7, 5));
    }

    #[test]
    fn every_position_is_its_own_target_without_a_shift() {
        let batch = batch(None, Shift::Current);
        assert_eq!(batch.nitp_mask, [1; 8]);
        assert_eq!((batch.label_count, batch.pair_count), (6, 8));
    }

    #[test]
    fn positions_that_were_seen_before_do_not_count() {
        let window = || Window { tokens: vec![1, 2, 3, 4, 5], documents: vec![0; 5] };
        let rows = [(window(), 2), (window(), 4)];
        let batch = Batch::new(rows.into_iter(), None, Shift::Next, &BYTES, None);
        let none = IGNORED_LABEL;
        assert_eq!(batch.labels, [none, none, 4, 5, none, none, none, none]);
        assert_eq!(batch.nitp_mask, [0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!((batch.label_count, batch.pair_count, batch.padding_rows), (2, 1, 1));
    }
}
