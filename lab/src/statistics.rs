//! Statistics over a few seeds: means with intervals, paired differences between arms, and a correction for several
//! comparisons. All intervals use Student's t: with five seeds, a normal interval would be far too narrow. Differences
//! are paired by seed, because two arms with the same seed share initial weights and batches, and pairing removes this
//! common variation.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::Error;
use crate::error::{finite, not_empty, same_length};

/// The default level of an [`Interval`]: two-sided 95 %.
pub const LEVEL: f64 = 0.95;

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean, in the unit of the values.
    pub mean: f64,
    /// The number of values.
    pub count: usize,
    /// Its interval; none for a single value, which has no spread.
    pub interval: Option<Interval>,
}

/// A two-sided interval of a mean, by Student's t.
/// If all values are equal, the interval is the mean itself. The p-value is then 1 for a mean of exactly 0, and 0
/// otherwise: the limits of the test for a spread of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The level, 0 to 1.
    pub level: f64,
    /// The lower end, in the unit of the values.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The sample's standard deviation (of `count - 1` degrees of freedom) over `√count`.
    pub standard_error: f64,
    /// The two-sided p-value: the probability of a mean at least as far from 0 if the true mean is 0.
    /// `scipy.stats.ttest_1samp(values, 0)`.
    pub p_value: f64,
}

/// The mean of `values`, one per seed, with its interval of `level`.
///
/// # Errors
/// [`Error::Empty`]; [`Error::NotFinite`], because an arm that diverged has no mean, and leaving a run out would bias
/// the comparison; [`Error::Setting`] for a level outside of 0 to 1; [`Error::Overflow`].
pub fn estimate(values: &[f64], level: f64) -> Result<Estimate, Error> {
    let what = "values";
    not_empty(values, what)?;
    finite(values, "value")?;
    of_finite(values, level, what)
}

/// The mean of `arm[seed] - baseline[seed]` with its interval of `level`; a paired t-test,
/// `scipy.stats.ttest_rel(arm, baseline)`.
///
/// # Errors
/// As [`estimate`], where [`Error::NotFinite`] names the arm; [`Error::Lengths`].
pub fn paired_difference(arm: &[f64], baseline: &[f64], level: f64) -> Result<Estimate, Error> {
    let [arms, baselines] = ["values of the arm", "values of the baseline"];
    same_length((arms, arm.len()), (baselines, baseline.len()))?;
    not_empty(arm, arms)?;
    finite(arm, "the arm's value")?;
    finite(baseline, "the baseline's value")?;
    let differences: Vec<f64> = arm.iter().zip(baseline).map(|(a, b)| a - b).collect();
    of_finite(&differences, level, "differences")
}

fn of_finite(values: &[f64], level: f64, what: &'static str) -> Result<Estimate, Error> {
    if !(level > 0.0 && level < 1.0) {
        let allowed = "above 0 and below 1";
        return Err(Error::Setting { setting: "the level", value: level, allowed });
    }
    let count = values.len();
    // Relative to the first value, so that equal values have exactly this mean and no spread.
    let first = values[0];
    let mean = first + values.iter().map(|value| value - first).sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if !squares.is_finite() {
        return Err(Error::Overflow { what });
    }
    let interval = (count > 1).then(|| {
        let freedom = (count - 1) as f64;
        let standard_error = (squares / freedom / count as f64).sqrt();
        let t = Student::new(freedom);
        let half_width = t.two_sided(level) * standard_error;
        let p_value = match (standard_error == 0.0, mean == 0.0) {
            (true, true) => 1.0,
            (true, false) => 0.0,
            (false, _) => t.p_value(mean / standard_error),
        };
        let (low, high) = (mean - half_width, mean + half_width);
        Interval { level, low, high, standard_error, p_value }
    });
    Ok(Estimate { mean, count, interval })
}

/// Student's t distribution.
struct Student(StudentsT);

impl Student {
    fn new(freedom: f64) -> Self {
        Self(StudentsT::new(0.0, 1.0, freedom).expect("there is a degree of freedom or more"))
    }

    /// The bound that `|t|` stays below with probability `level`.
    fn two_sided(&self, level: f64) -> f64 {
        -self.0.inverse_cdf((1.0 - level) / 2.0)
    }

    /// The probability of at least `|t|`.
    fn p_value(&self, t: f64) -> f64 {
        (2.0 * self.0.sf(t.abs())).min(1.0)
    }
}

/// Holm's adjusted p-values (Holm 1979, *A simple sequentially rejective multiple test procedure*),
/// in the order of `p_values`: rejecting all hypotheses with adjusted p-values of at most α gives a false rejection
/// with probability at most α, for any dependence between the tests.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Probability`], NaN included.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    not_empty(p_values, "p-values")?;
    if let Some(index) = p_values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::Probability { index, value: p_values[index] });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let hypotheses_left = (p_values.len() - rank) as f64;
        largest = largest.max((hypotheses_left * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    Ok(adjusted)
}
