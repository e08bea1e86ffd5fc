use nitp_core::ops::cross_entropy::CrossEntropyGradient;
use nitp_core::ops::scalars;
use nitp_core::ops::token_order::TokenOrder;
use nitp_tests::op_case::OpCase;

use super::accumulate_sum::{scalars_with, total};

/// Rows of a chunk, where it starts, positions of a sequence, entries, most tokens ahead: one of each, several
/// sequences with a rest, a chunk in the middle, few entries that repeat, the paper's vocabulary.
const SHAPES: [[usize; 5]; 6] = [
    [1, 0, 1, 1, 1],
    [66, 0, 22, 31, 5],
    [64, 64, 48, 257, 16],
    [40, 0, 40, 3, 64],
    [3, 0, 3, 5003, 64],
    [2, 0, 2, 152_064, 16],
];

/// Labels, one in nine of which is ignored.
fn labels(case: &mut OpCase, tokens: usize, vocab: usize) -> Vec<u32> {
    (0..tokens).map(|t| if t % 9 == 7 { u32::MAX } else { case.below(vocab) as u32 }).collect()
}

fn gradient(case: &mut OpCase, scale: f64) -> CrossEntropyGradient {
    CrossEntropyGradient {
        scalars: scalars_with(case, "scalars", scalars::NTP_SCALE, scale),
        index: scalars::NTP_SCALE,
        weight: 0.5,
    }
}

#[test]
fn loss_and_gradient_on_every_executor() {
    for [rows, first, context, vocab, window] in SHAPES {
        // Flat logits, and logits for which most exponentials vanish.
        for spread in [1.0, 300.0] {
            for with_gradient in [false, true] {
                let mut case = OpCase::new(vocab as u64);
                let logits = (0..rows * vocab).map(|_| 100.0 + spread * case.uniform()).collect();
                let tokens = (first + rows).next_multiple_of(context);
                let labels = labels(&mut case, tokens, vocab);
                let op = TokenOrder {
                    logits: case.reals("logits", &[rows, vocab], logits),
                    labels: case.ints("labels", &[tokens], labels),
                    loss: case.output("loss", &[rows]),
                    gradient: with_gradient.then(|| gradient(&mut case, 0.75)),
                    rows,
                    first,
                    vocab,
                    context,
                    window,
                };
                // Without a gradient, the logits must not change.
                case.check(&[&op], &[op.loss, op.logits]);
            }
        }
    }
}

/// By hand: one sequence of 4 positions and another of 4, tokens 2, 0, 2, 1 ahead of the first.
#[test]
fn shares_follow_from_the_distance_of_the_first_time() {
    let labels = vec![2, 0, 2, 1, u32::MAX, 3, u32::MAX, 4];
    let mut case = OpCase::new(1);
    let op = TokenOrder {
        logits: case.reals("logits", &[8, 5], vec![4.0; 40]),
        labels: case.ints("labels", &[8], labels),
        loss: case.output("loss", &[8]),
        gradient: Some(gradient(&mut case, 2.0)),
        rows: 8,
        first: 0,
        vocab: 5,
        context: 4,
        window: 3,
    };
    let results = case.twin(&[&op], &[op.loss, op.logits]);
    let e = std::f64::consts::E;
    // The second 2 doesn't count, the 1 is beyond the window of the first position.
    let shares = [
        vec![(2, 1.0), (0, 1.0 / e)],
        vec![(0, 1.0), (2, 1.0 / e), (1, 1.0 / e.powi(2))],
        vec![(2, 1.0), (1, 1.0 / e)],
        vec![(1, 1.0)],
        vec![],
        vec![(3, 1.0)],
        vec![],
        vec![(4, 1.0)],
    ];
    for (row, shares) in shares.iter().enumerate() {
        let total: f64 = shares.iter().map(|(_, share)| share).sum();
        let loss = if shares.is_empty() { 0.0 } else { 5f64.ln() };
        assert!((results[0][row] - loss).abs() < 1e-12, "row {row}");
        for token in 0..5 {
            let share = shares.iter().find(|it| it.0 == token).map_or(0.0, |it| it.1 / total);
            let slope = if shares.is_empty() { 0.0 } else { 0.2 - share };
            let found = results[1][row * 5 + token];
            assert!((found - slope).abs() < 1e-12, "row {row}, token {token}: {found}");
        }
    }
}

#[test]
fn gradient_against_finite_differences() {
    let (rows, vocab) = (6, 5);
    let of = |mut case: OpCase, logits: Vec<f64>, scale: Option<f64>| {
        let op = TokenOrder {
            logits: case.reals("logits", &[rows, vocab], logits),
            labels: case.ints("labels", &[rows], vec![0, 4, u32::MAX, 2, 2, 1]),
            loss: case.output("loss", &[rows]),
            // Compensates the weight of 0.5.
            gradient: scale.map(|scale| gradient(&mut case, 2.0 * scale)),
            rows,
            first: 0,
            vocab,
            context: 6,
            window: 4,
        };
        (case, op)
    };
    let mut random = OpCase::new(3);
    let logits: Vec<f64> = (0..rows * vocab).map(|_| 2.0 * random.uniform()).collect();
    let (mut case, forward) = of(OpCase::exact(3), logits.clone(), None);
    let sum = total(&mut case, forward.loss, 1.0);
    case.check_gradient(&[&forward, &sum], &[forward.logits], &[sum.metrics], |weights, _| {
        let (case, backward) = of(OpCase::exact(3), logits, Some(weights[0][0]));
        case.twin(&[&backward], &[backward.logits])
    });
}
