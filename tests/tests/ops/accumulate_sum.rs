use nitp_core::ops::accumulate_sum::AccumulateSum;
use nitp_core::ops::scalars;
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

/// An op that adds `scale * Σ x` to the single element of `metrics`, which starts at 0. Gradient checks use it to sum
/// an op's losses of rows, because the gradient is that of the sum.
pub fn total(case: &mut OpCase, x: View, scale: f64) -> AccumulateSum {
    AccumulateSum {
        x,
        scalars: scalars_with(case, "metric_scalars", scalars::MICRO_SCALE, scale),
        index: scalars::MICRO_SCALE,
        metrics: case.reals("metrics", &[1], vec![0.0]),
        metric: 0,
        partial: case.output("sum_partial", &[AccumulateSum::partials(x.len)]),
    }
}

/// The step's scalars. Use of a wrong one would be visible in the results.
pub fn scalars_with(case: &mut OpCase, name: &str, index: usize, value: f64) -> View {
    let mut data = vec![-99.0; scalars::LEN];
    data[index] = value;
    case.reals(name, &[scalars::LEN], data)
}

#[test]
fn adds_the_scaled_sum_to_one_metric() {
    // Up to 4096 elements are one block, 4097 are two, the last is over 64 blocks.
    for len in [1, 65, 4096, 4097, 300_007] {
        let mut case = OpCase::new(len as u64);
        let op = AccumulateSum {
            x: case.random("x", &[len]),
            scalars: scalars_with(&mut case, "scalars", scalars::NTP_SCALE, 3.0 / len as f64),
            index: scalars::NTP_SCALE,
            metrics: case.random("metrics", &[64]),
            metric: 5,
            partial: case.output("partial", &[AccumulateSum::partials(len)]),
        };
        case.check(&[&op], &[op.metrics]);
        // Twice, as for two micro-batches.
        case.check(&[&op, &op], &[op.metrics]);
    }
}

#[test]
fn the_sum_is_the_sum() {
    let mut case = OpCase::new(1);
    let x = case.reals("x", &[100], (1..=100).map(f64::from).collect());
    let op = total(&mut case, x, 0.5);
    assert_eq!(case.twin(&[&op], &[op.metrics]), [[2525.0]]);
}
