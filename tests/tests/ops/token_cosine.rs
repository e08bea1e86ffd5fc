use nitp_core::ops::scalars;
use nitp_core::ops::token_cosine::{TokenCosine, TokenCosineGradient};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

use super::accumulate_sum::{scalars_with, total};

/// Rows, context and width; 64 positions are one segment.
const SHAPES: [(usize, usize, usize); 5] =
    [(1, 1, 1), (3, 1, 12), (2, 5, 12), (3, 64, 65), (2, 130, 200)];

fn op(
    case: &mut OpCase,
    (rows, context, width): (usize, usize, usize),
    h: Vec<f64>,
    gradient: Option<(View, bool)>,
    scale: f64,
) -> TokenCosine {
    let partials = TokenCosine::partial_rows(rows, context);
    TokenCosine {
        h: case.reals("h", &[rows * context, width], h),
        loss: case.output("loss", &[rows]),
        gradient: gradient.map(|(dh, accumulate)| TokenCosineGradient {
            dh,
            accumulate,
            weight: 0.6,
            scalars: scalars_with(case, "scalars", scalars::NITP_SCALE, scale),
            index: scalars::NITP_SCALE,
        }),
        inverse: case.output("inverse", &[rows * context]),
        partial: case.output("partial", &[partials, width]),
        unit_sum: case.output("unit_sum", &[rows, width]),
        rows,
        context,
        width,
    }
}

fn states(case: &mut OpCase, (rows, context, width): (usize, usize, usize)) -> Vec<f64> {
    // Not centred, like real states.
    (0..rows * context * width).map(|_| 0.3 + case.uniform()).collect()
}

#[test]
fn loss_and_gradient_on_every_executor() {
    for shape in SHAPES {
        let extents = [shape.0 * shape.1, shape.2];
        for gradient in [None, Some(false), Some(true)] {
            let mut case = OpCase::new(1);
            let h = states(&mut case, shape);
            let gradient = gradient.map(|accumulate| {
                let dh = if accumulate {
                    case.random("dh", &extents)
                } else {
                    case.output("dh", &extents)
                };
                (dh, accumulate)
            });
            let op = op(&mut case, shape, h, gradient, 20.0);
            let mut outputs = vec![op.loss];
            outputs.extend(gradient.map(|(dh, _)| dh));
            case.check(&[&op], &outputs);
        }
    }
}

#[test]
fn loss_is_the_mean_over_ordered_pairs() {
    let shape = (2, 7, 5);
    let mut case = OpCase::exact(2);
    let h = states(&mut case, shape);
    let op = op(&mut case, shape, h.clone(), None, 0.0);
    let loss = case.twin(&[&op], &[op.loss]).remove(0);
    for row in 0..2 {
        let state = |t: usize| &h[(row * 7 + t) * 5..][..5];
        let dot = |i, j| state(i).iter().zip(state(j)).map(|(a, b)| a * b).sum::<f64>();
        let pairs = (0..7).flat_map(|i| (0..7).map(move |j| (i, j))).filter(|(i, j)| i != j);
        let sum: f64 = pairs.map(|(i, j)| dot(i, j) / (dot(i, i) * dot(j, j)).sqrt()).sum();
        assert!((loss[row] - sum / 42.0).abs() < 1e-12);
    }
}

#[test]
fn gradient_against_finite_differences() {
    let shape = (2, 4, 5);
    let mut case = OpCase::exact(3);
    let h = states(&mut case, shape);
    let forward = op(&mut case, shape, h.clone(), None, 0.0);
    let sum = total(&mut case, forward.loss, 0.6);
    case.check_gradient(&[&forward, &sum], &[forward.h], &[sum.metrics], |weights, _| {
        let mut case = OpCase::exact(4);
        let dh = case.output("dh", &[8, 5]);
        let op = op(&mut case, shape, h, Some((dh, false)), weights[0][0]);
        case.twin(&[&op], &[dh])
    });
}

#[test]
fn a_state_without_length_is_finite_and_gets_no_gradient() {
    let shape = (1, 3, 4);
    let mut case = OpCase::new(5);
    let mut h = states(&mut case, shape);
    h[4..8].fill(0.0);
    let dh = case.output("dh", &[3, 4]);
    let op = op(&mut case, shape, h, Some((dh, false)), 1.0);
    case.check(&[&op], &[op.loss, dh]);
    let results = case.twin(&[&op], &[op.loss, dh]);
    assert!(results.iter().flatten().all(|x| x.is_finite()));
    assert_eq!(results[1][4..8], [0.0; 4]);
}
