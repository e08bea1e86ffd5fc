use nitp_lab::Error;
use nitp_lab::statistics::{Estimate, LEVEL, estimate, holm, paired_difference};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use serde::Deserialize;

use crate::{close, load};

#[derive(Deserialize)]
struct Vectors {
    comparisons: Vec<Comparison>,
    p_values: Vec<f64>,
    holm: Vec<f64>,
}

#[derive(Deserialize)]
struct Comparison {
    arm: Vec<f64>,
    baseline: Vec<f64>,
    of_arm: Expected,
    of_difference: Expected,
}

#[derive(Deserialize)]
struct Expected {
    mean: f64,
    p: f64,
    /// Level, low, high.
    intervals: Vec<[f64; 3]>,
}

impl Expected {
    fn check(&self, estimate_at: impl Fn(f64) -> Result<Estimate, Error>) {
        for &[level, low, high] in &self.intervals {
            let estimate = estimate_at(level).expect("finite values");
            let interval = estimate.interval.expect("two seeds or more");
            close(estimate.mean, self.mean, 1e-12);
            close(interval.low, low, 1e-9);
            close(interval.high, high, 1e-9);
            // Relative to the p-value, even for one of 1e-12.
            assert!((interval.p_value / self.p - 1.0).abs() < 1e-9, "{interval:?}, {}", self.p);
            assert_eq!(interval.level, level);
        }
    }
}

#[test]
fn intervals_and_p_values_are_scipys() {
    let vectors: Vectors = load("statistics");
    for it in &vectors.comparisons {
        it.of_arm.check(|level| estimate(&it.arm, level));
        it.of_difference.check(|level| paired_difference(&it.arm, &it.baseline, level));
    }
}

#[test]
fn holms_p_values_follow_the_definition() {
    let vectors: Vectors = load("statistics");
    for (found, expected) in holm(&vectors.p_values).expect("p-values").iter().zip(&vectors.holm) {
        close(*found, *expected, 1e-12);
    }
    assert_eq!(holm(&[0.01, 0.04, 0.03]), Ok(vec![0.03, 0.06, 0.06]));
    assert_eq!(holm(&[0.7, 1.0]), Ok(vec![1.0, 1.0]));
    assert_eq!(holm(&[0.02]), Ok(vec![0.02]));
}

/// 200 comparisons of two arms with five seeds that differ only by noise: about one in twenty has a p-value below 0.05,
/// and exactly these have intervals without 0.
#[test]
fn one_in_twenty_comparisons_without_effect_is_significant() {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut noise = |scale: f64| -> f64 {
        let drawn: f64 = StandardNormal.sample(&mut random);
        scale * drawn
    };
    let mut significant = 0;
    for _ in 0..200 {
        // The common variation of both arms by seed is large, and must cancel.
        let shared: [f64; 5] = std::array::from_fn(|_| 1.3 + noise(1.0));
        let [arm, baseline] = [(); 2].map(|()| shared.map(|shared| shared + noise(0.02)));
        let estimate = paired_difference(&arm, &baseline, LEVEL).expect("finite values");
        let interval = estimate.interval.expect("five seeds");
        let is_significant = interval.p_value < 0.05;
        assert_eq!(is_significant, interval.low > 0.0 || interval.high < 0.0, "{interval:?}");
        significant += usize::from(is_significant);
    }
    println!("{significant} of 200");
    assert!((6..=14).contains(&significant), "{significant} of 200");
}

#[test]
fn a_single_seed_has_a_mean_and_no_interval() {
    let expected = Estimate { mean: 1.3, count: 1, interval: None };
    assert_eq!(estimate(&[1.3], LEVEL), Ok(expected));
    let difference = paired_difference(&[1.5], &[1.0], LEVEL).expect("a difference");
    assert_eq!((difference.mean, difference.interval), (0.5, None));
}

#[test]
fn equal_values_are_certain() {
    for (value, p_value) in [(0.0, 1.0), (0.1, 0.0), (-1e-9, 0.0)] {
        for count in [2, 3, 7] {
            let estimate = estimate(&vec![value; count], LEVEL).expect("finite values");
            let interval = estimate.interval.expect("two seeds or more");
            assert_eq!((interval.low, estimate.mean, interval.high), (value, value, value));
            assert_eq!((interval.p_value, interval.standard_error), (p_value, 0.0));
        }
    }
}

#[test]
fn what_can_not_be_judged_is_told_with_its_place() {
    assert_eq!(estimate(&[], LEVEL), Err(Error::Empty { what: "values" }));
    assert_eq!(
        paired_difference(&[1.0, f64::INFINITY], &[1.0, 2.0], LEVEL),
        Err(Error::NotFinite { what: "the arm's value", index: 1, value: f64::INFINITY })
    );
    let diverged = paired_difference(&[1.0, 2.0], &[f64::NAN, 2.0], LEVEL).expect_err("a NaN");
    assert_eq!(diverged.to_string(), "the baseline's value 0 is NaN; it must be finite");
    let lengths = paired_difference(&[1.0, 2.0], &[1.0], LEVEL).expect_err("two lengths");
    assert_eq!(
        lengths.to_string(),
        "there are 2 values of the arm and 1 values of the baseline; the numbers must be equal"
    );
    for level in [0.0, 1.0, 95.0, f64::NAN] {
        assert!(matches!(estimate(&[1.0, 2.0], level), Err(Error::Setting { .. })), "{level}");
    }
    let large = Err(Error::Overflow { what: "values" });
    assert_eq!(estimate(&[1e200, -1e200], LEVEL), large);
    assert_eq!(estimate(&[f64::MAX, f64::MIN], LEVEL), large);
    assert_eq!(holm(&[]), Err(Error::Empty { what: "p-values" }));
    assert_eq!(holm(&[0.1, 1.1]), Err(Error::Probability { index: 1, value: 1.1 }));
    assert!(matches!(holm(&[f64::NAN]), Err(Error::Probability { index: 0, .. })));
}

fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
    proptest::collection::vec((-10.0..10.0, -10.0..10.0), 2..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shift_of_both_arms_changes_nothing(pairs in pairs(), shift in -100.0..100.0) {
        let (arm, baseline): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let shifted = |values: &[f64]| values.iter().map(|it| it + shift).collect::<Vec<_>>();
        let plain = paired_difference(&arm, &baseline, LEVEL).expect("finite values");
        let moved = paired_difference(&shifted(&arm), &shifted(&baseline), LEVEL).expect("finite");
        prop_assert!((plain.mean - moved.mean).abs() < 1e-10);
        let (plain, moved) = (plain.interval.expect("two"), moved.interval.expect("two"));
        prop_assert!((plain.low - moved.low).abs() < 1e-8 * (1.0 + plain.low.abs()));
        prop_assert!((plain.p_value - moved.p_value).abs() < 1e-8);
    }

    #[test]
    fn swapped_arms_mirror_the_interval(pairs in pairs()) {
        let (arm, baseline): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let one = paired_difference(&arm, &baseline, LEVEL).expect("finite values");
        let other = paired_difference(&baseline, &arm, LEVEL).expect("finite values");
        prop_assert_eq!(one.mean, -other.mean);
        let (one, other) = (one.interval.expect("two"), other.interval.expect("two"));
        prop_assert_eq!((one.low, one.high), (-other.high, -other.low));
        prop_assert_eq!(one.p_value, other.p_value);
        prop_assert!(one.low <= one.high && (0.0..=1.0).contains(&one.p_value));
    }

    #[test]
    fn a_higher_level_is_a_wider_interval(values in proptest::collection::vec(-1.0..1.0, 2..9)) {
        let width = |level| {
            let interval = estimate(&values, level).expect("finite").interval.expect("two");
            interval.high - interval.low
        };
        prop_assert!(width(0.5) <= width(0.95) && width(0.95) <= width(0.999));
    }

    #[test]
    fn holm_keeps_the_order_and_only_raises(p in proptest::collection::vec(0.0..=1.0, 1..9)) {
        let adjusted = holm(&p).expect("p-values");
        for i in 0..p.len() {
            prop_assert!(adjusted[i] >= p[i] && adjusted[i] <= (p[i] * p.len() as f64).min(1.0));
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
            }
        }
    }
}
