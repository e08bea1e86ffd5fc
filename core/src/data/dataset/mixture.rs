//! The share of each text in the rows of a run.

use super::super::sampler::{mix, permute};

/// Rows in which the shares are exact, and so the most texts of a mixture.
const PERIOD: u64 = 1000;

/// Which of several texts each row of a run is from. Each period of 1000 rows has as many rows of a text as its weight
/// asks for, in an order of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    seed: u64,
    /// Rows of a period before those of each text, and the end.
    bounds: Vec<u64>,
}

impl Mixture {
    /// A mixture of texts with these weights, all above 0.
    pub fn new(seed: u64, weights: &[f64]) -> Self {
        let rows = shares(weights, PERIOD as usize);
        let mut bounds = vec![0];
        for count in rows {
            bounds.push(bounds[bounds.len() - 1] + count as u64);
        }
        Self { seed, bounds }
    }

    /// The share of the rows that each text has.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        self.bounds.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / PERIOD as f64)
    }

    /// The text that row `index` of a run is from, and the number of earlier rows from this text.
    pub fn place(&self, index: u64) -> (usize, u64) {
        if self.bounds.len() == 2 {
            return (0, index);
        }
        let (period, index) = (index / PERIOD, index % PERIOD);
        // Another order than that of the windows of a text.
        let place = permute(mix(mix(!self.seed) ^ period), index, PERIOD);
        let text = self.bounds.partition_point(|&bound| bound <= place) - 1;
        let (first, end) = (self.bounds[text], self.bounds[text + 1]);
        (text, period * (end - first) + place - first)
    }
}

/// `total` rows divided by weight (largest remainders), at least one for each.
pub fn shares(weights: &[f64], total: usize) -> Vec<usize> {
    // By the largest first, so that the sum is finite.
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let sum: f64 = weights.iter().map(|weight| weight / largest).sum();
    let exact: Vec<f64> =
        weights.iter().map(|weight| weight / largest / sum * total as f64).collect();
    let mut rows: Vec<usize> = exact.iter().map(|&rows| (rows as usize).max(1)).collect();
    let rest = |rows: &[usize], i: usize| exact[i] - rows[i] as f64;
    loop {
        let given: usize = rows.iter().sum();
        let all = 0..rows.len();
        let next = match given.cmp(&total) {
            std::cmp::Ordering::Equal => return rows,
            std::cmp::Ordering::Less => {
                all.max_by(|&a, &b| rest(&rows, a).total_cmp(&rest(&rows, b)))
            }
            std::cmp::Ordering::Greater => all
                .filter(|&i| rows[i] > 1)
                .min_by(|&a, &b| rest(&rows, a).total_cmp(&rest(&rows, b))),
        };
        // With fewer rows than texts, each has one.
        let Some(next) = next else { return rows };
        if given < total { rows[next] += 1 } else { rows[next] -= 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_in_each_period_and_no_row_of_a_text_is_left_out() {
        let mixture = Mixture::new(7, &[0.7, 1e-9, 2.0]);
        let mut next = [0; 3];
        let mut orders = Vec::new();
        for period in 1..=3 {
            let mut order = Vec::new();
            let mut rows: Vec<(usize, u64)> = Vec::new();
            for index in (period - 1) * PERIOD..period * PERIOD {
                let (text, row) = mixture.place(index);
                order.push(text);
                rows.push((text, row));
            }
            rows.sort_unstable();
            for (text, row) in rows {
                assert_eq!(row, next[text]);
                next[text] += 1;
            }
            assert_eq!(next.map(|count| count / period), [259, 1, 740]);
            orders.push(order);
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
        assert!(orders[0][..100].iter().filter(|&&text| text == 0).count().abs_diff(26) < 15);
        assert_ne!(mixture, Mixture::new(8, &[0.7, 1e-9, 2.0]));
        assert_eq!(mixture.shares().collect::<Vec<_>>(), [0.259, 0.001, 0.74]);
        assert_eq!(Mixture::new(7, &[0.2]).place(12_345), (0, 12_345));
    }

    #[test]
    fn shares_are_whole_rows() {
        assert_eq!(shares(&[1.0, 1.0, 1.0], 10).iter().sum::<usize>(), 10);
        assert_eq!(shares(&[0.5, 0.3, 0.2], 10), [5, 3, 2]);
        assert_eq!(shares(&[1.0, 1e-6], 10), [9, 1]);
        assert_eq!(shares(&[1.0, 2.0, 3.0], 2), [1, 1, 1]);
    }
}
