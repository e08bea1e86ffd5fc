use nitp_core::ops::cross_entropy::{CrossEntropy, CrossEntropyGradient};
use nitp_core::ops::scalars;
use nitp_tests::op_case::OpCase;

use super::accumulate_sum::{scalars_with, total};

/// Vocabularies: one entry, primes, whole tiles, a partial tile, the paper's.
const SHAPES: [(usize, usize); 6] =
    [(1, 1), (70, 7), (33, 257), (5, 4096), (3, 5003), (2, 152_064)];

fn labels(case: &mut OpCase, rows: usize, vocab: usize) -> Vec<u32> {
    (0..rows).map(|i| if i % 5 == 4 { u32::MAX } else { case.below(vocab) as u32 }).collect()
}

fn op(case: &mut OpCase, rows: usize, vocab: usize, spread: f64, gradient: bool) -> CrossEntropy {
    // A common offset must not matter.
    let logits = (0..rows * vocab).map(|_| 100.0 + spread * case.uniform()).collect();
    let labels = labels(case, rows, vocab);
    CrossEntropy {
        logits: case.reals("logits", &[rows, vocab], logits),
        labels: case.ints("labels", &[rows], labels),
        loss: case.output("loss", &[rows]),
        gradient: gradient.then(|| CrossEntropyGradient {
            scalars: scalars_with(case, "scalars", scalars::NTP_SCALE, 0.75),
            index: scalars::NTP_SCALE,
            weight: 0.5,
        }),
        rows,
        vocab,
    }
}

#[test]
fn loss_and_gradient_on_every_executor() {
    for (rows, vocab) in SHAPES {
        // Flat logits, and logits for which most exponentials vanish.
        for spread in [1.0, 300.0] {
            for gradient in [false, true] {
                let mut case = OpCase::new(vocab as u64);
                let op = op(&mut case, rows, vocab, spread, gradient);
                // Without a gradient, the logits must not change.
                case.check(&[&op], &[op.loss, op.logits]);
            }
        }
    }
}

#[test]
fn ignored_rows_are_zero_and_uniform_logits_cost_the_logarithm_of_the_vocabulary() {
    let mut case = OpCase::new(1);
    let op = CrossEntropy {
        logits: case.reals("logits", &[2, 10], vec![4.0; 20]),
        labels: case.ints("labels", &[2], vec![3, u32::MAX]),
        loss: case.output("loss", &[2]),
        gradient: Some(CrossEntropyGradient {
            scalars: scalars_with(&mut case, "scalars", scalars::NTP_SCALE, 2.0),
            index: scalars::NTP_SCALE,
            weight: 0.5,
        }),
        rows: 2,
        vocab: 10,
    };
    let results = case.twin(&[&op], &[op.loss, op.logits]);
    assert!((results[0][0] - 10f64.ln()).abs() < 1e-12 && results[0][1] == 0.0);
    // A scale of 2 and a weight of a half.
    let expected = |i: usize| if i == 3 { 0.1 - 1.0 } else { 0.1 };
    for i in 0..10 {
        assert!((results[1][i] - expected(i)).abs() < 1e-12 && results[1][10 + i] == 0.0);
    }
}

#[test]
fn works_on_slices_of_larger_tensors() {
    let (rows, vocab) = (64, 11);
    let mut case = OpCase::new(2);
    let logits = case.random("logits", &[rows, vocab]);
    let all_labels = labels(&mut case, 3 * rows, vocab);
    let all_labels = case.ints("labels", &[3 * rows], all_labels);
    let all_losses = case.random("losses", &[3 * rows]);
    let op = CrossEntropy {
        logits,
        labels: all_labels.slice(rows, rows),
        loss: all_losses.slice(rows, rows),
        gradient: None,
        rows,
        vocab,
    };
    case.check(&[&op], &[all_losses]);
}

#[test]
fn gradient_against_finite_differences() {
    let (rows, vocab) = (6, 5);
    let of = |mut case: OpCase, logits: Vec<f64>, scale: Option<f64>| {
        let op = CrossEntropy {
            logits: case.reals("logits", &[rows, vocab], logits),
            labels: case.ints("labels", &[rows], vec![0, 4, u32::MAX, 2, 2, 1]),
            loss: case.output("loss", &[rows]),
            gradient: scale.map(|scale| CrossEntropyGradient {
                scalars: scalars_with(&mut case, "scalars", scalars::NTP_SCALE, 2.0 * scale),
                index: scalars::NTP_SCALE,
                weight: 0.5,
            }),
            rows,
            vocab,
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
