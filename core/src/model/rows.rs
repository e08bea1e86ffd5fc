//! Parts of the rows of activations that would exceed the largest binding of an adapter.

use super::context::Context;
use crate::tensor::{DType, View};

/// A range of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub first: usize,
    pub len: usize,
}

impl Rows {
    /// These rows of a tensor with so many columns.
    pub fn of(self, x: View, columns: usize) -> View {
        x.slice(self.first * columns, self.len * columns)
    }
}

impl Context<'_> {
    /// The tokens of a run, divided into as few parts as possible, so that tensors of type `working` with so many
    /// columns fit a binding. Parts begin where views of any number of columns may begin.
    ///
    /// If even the smallest part exceeds a binding, there is one part, and the layout names the tensor.
    pub fn parts(&self, tokens: usize, columns: usize) -> Vec<Rows> {
        parts(tokens, 1, self.limits.tensor_of(self.working) / columns, 1)
    }

    /// As [`Context::parts`], for attention: texts stay whole. Parts begin where views of as many columns as a hidden
    /// state has may begin, and views of documents.
    pub fn parts_of_texts(&self, columns: usize) -> Vec<Rows> {
        let cut = if self.inputs.documents.is_some() { gcd(self.width(), 2) } else { self.width() };
        parts(self.rows, self.context, self.limits.tensor_of(self.working) / columns, cut)
    }
}

/// Parts of at most `most` rows, of which units of `unit` rows stay whole. They begin where views of any multiple of
/// `cut` columns may begin.
fn parts(units: usize, unit: usize, most: usize, cut: usize) -> Vec<Rows> {
    // The largest of all types.
    const ALIGNMENT: usize = DType::Half.alignment();
    let step = ALIGNMENT / gcd(ALIGNMENT, unit * cut);
    let fitting = most / unit / step * step;
    if units <= most / unit || fitting == 0 {
        return vec![Rows { first: 0, len: units * unit }];
    }
    let count = units.div_ceil(fitting);
    let each = units.div_ceil(count).next_multiple_of(step);
    let parts = (0..units).step_by(each);
    parts.map(|first| Rows { first: first * unit, len: each.min(units - first) * unit }).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(units: usize, unit: usize, most: usize) -> Vec<usize> {
        lengths_of(units, unit, most, 1)
    }

    fn lengths_of(units: usize, unit: usize, most: usize, cut: usize) -> Vec<usize> {
        let parts = parts(units, unit, most, cut);
        let mut next = 0;
        for part in &parts {
            assert_eq!((part.first, part.first * cut % 128), (next, 0));
            assert!(part.len <= most || parts.len() == 1);
            next += part.len;
        }
        assert_eq!(next, units * unit);
        parts.iter().map(|part| part.len).collect()
    }

    #[test]
    fn parts_are_few_and_even_and_begin_where_views_may() {
        assert_eq!(lengths(1000, 1, 1000), [1000]);
        assert_eq!(lengths(1000, 1, usize::MAX), [1000]);
        assert_eq!(lengths(1000, 1, 999), [512, 488]);
        assert_eq!(lengths(1000, 1, 300), [256, 256, 256, 232]);
        // Whole texts: two of 64 tokens, four of 32, 128 of an odd number.
        assert_eq!(lengths(7, 64, 300), [256, 192]);
        assert_eq!(lengths(8, 96, 500), [384, 384]);
        assert_eq!(lengths(300, 5, 700), [640, 640, 220]);
        assert_eq!(lengths(4, 8192, 20_000), [16_384, 16_384]);
        // With more columns, more texts may begin a part.
        assert_eq!(lengths_of(7, 5, 15, 128), [15, 15, 5]);
        assert_eq!(lengths_of(7, 5, 15, 64), [10, 10, 10, 5]);
    }

    #[test]
    fn rows_that_no_part_can_hold_stay_whole() {
        assert_eq!(lengths(1000, 1, 100), [1000]);
        assert_eq!(lengths(3, 96, 200), [288]);
        assert_eq!(lengths(4, 8192, 8000), [32_768]);
    }
}
