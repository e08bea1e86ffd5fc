use nitp_core::ops::matmul::{Matmul, Transpose};
use nitp_tests::op_case::OpCase;

/// Sizes that no tile divides, single rows and columns, and a longer sum; then rows of whole vec4s,
/// all of them or some; then enough results and work for several threads.
const SHAPES: [(usize, usize, usize); 17] = [
    (1, 1, 1),
    (7, 13, 5),
    (33, 65, 17),
    (64, 32, 300),
    (5, 130, 1),
    (36, 68, 20),
    (4, 4, 4),
    (37, 36, 44),
    (40, 12, 7),
    (150, 131, 40),
    (35, 260, 68),
    // More than one shared-memory tile; a k long enough to be split; more than a subgroup's rows.
    (132, 140, 36),
    (64, 32, 1024),
    (68, 260, 300),
    // Shares of k of different lengths: of whole slices, of whole slices with a shorter share at the end, and neither.
    (36, 40, 832),
    (20, 36, 1040),
    (12, 20, 1000),
];

#[test]
fn as_they_lie() {
    every_accumulation(Transpose::None);
}

#[test]
fn b_transposed() {
    every_accumulation(Transpose::B);
}

#[test]
fn a_transposed() {
    every_accumulation(Transpose::A);
}

fn every_accumulation(transpose: Transpose) {
    for (m, n, k) in SHAPES {
        for accumulate in [false, true] {
            // Activations and working copies in halves; into f32, as gradients of weights are.
            for halves in [&[][..], &["a", "b", "c"], &["a", "b"]] {
                let mut case = OpCase::with_halves(m as u64, halves);
                let a = case.random("a", &[m * k]);
                let b = case.random("b", &[k * n]);
                let c =
                    if accumulate { case.random("c", &[m, n]) } else { case.output("c", &[m, n]) };
                case.check(&[&Matmul { a, b, c, m, n, k, transpose, accumulate }], &[c]);
            }
        }
    }
}
