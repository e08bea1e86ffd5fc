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
    /// The rows of this many units, divided into as few parts as possible, so that tensors of type `working` with so
    /// many columns fit a binding. A unit of `unit` rows stays whole: a text for attention, a token for other layers.
    /// Parts begin where views may begin.
    ///
    /// If even the smallest part exceeds a binding, there is one part, and the layout names the tensor.
    pub fn parts(&self, units: usize, unit: usize, columns: usize) -> Vec<Rows> {
        parts(units, unit, self.limits.tensor_of(self.working) / columns)
    }
}

/// Parts of at most `most` rows.
fn parts(units: usize, unit: usize, most: usize) -> Vec<Rows> {
    // A multiple of the largest alignment remains one with any number of columns.
    const ALIGNMENT: usize = DType::Half.alignment();
    let step = ALIGNMENT / gcd(ALIGNMENT, unit);
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
        let parts = parts(units, unit, most);
        let mut next = 0;
        for part in &parts {
            assert_eq!((part.first, part.first % 128), (next, 0));
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
    }

    #[test]
    fn rows_that_no_part_can_hold_stay_whole() {
        assert_eq!(lengths(1000, 1, 100), [1000]);
        assert_eq!(lengths(3, 96, 200), [288]);
        assert_eq!(lengths(4, 8192, 8000), [32_768]);
    }
}
