use nitp_core::ops::head_norm::{HeadNorm, HeadNormBackward, Heads};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

const SHAPES: [Heads; 4] = [
    Heads { tokens: 1, q_heads: 1, kv_heads: 1, head_dim: 2 },
    Heads { tokens: 5, q_heads: 4, kv_heads: 2, head_dim: 12 },
    Heads { tokens: 70, q_heads: 3, kv_heads: 3, head_dim: 66 },
    Heads { tokens: 33, q_heads: 6, kv_heads: 1, head_dim: 130 },
];

fn shape(heads: Heads) -> [usize; 2] {
    [heads.tokens, (heads.q_heads + 2 * heads.kv_heads) * heads.head_dim]
}

fn forward(case: &mut OpCase, heads: Heads) -> HeadNorm {
    HeadNorm {
        x: case.random("x", &shape(heads)),
        q_gain: case.random("q_gain", &[heads.head_dim]),
        k_gain: case.random("k_gain", &[heads.head_dim]),
        y: case.output("y", &shape(heads)),
        rstd: case.output("rstd", &[heads.tokens, heads.q_heads + heads.kv_heads]),
        heads,
        eps: 1e-6,
    }
}

#[test]
fn forward_on_every_executor() {
    for heads in SHAPES {
        for halves in [&[][..], &["x", "y"]] {
            let mut case = OpCase::with_halves(3, halves);
            let op = forward(&mut case, heads);
            case.check(&[&op], &[op.y, op.rstd]);
        }
    }
}

fn backward(
    case: &mut OpCase,
    heads: Heads,
    [x, q_gain, k_gain, rstd, dy]: [Vec<f64>; 5],
) -> (HeadNormBackward, [View; 3]) {
    let gain = [heads.head_dim];
    let op = HeadNormBackward {
        dqkv: case.reals("dqkv", &shape(heads), dy),
        x: case.reals("x", &shape(heads), x),
        q_gain: case.reals("q_gain", &gain, q_gain),
        k_gain: case.reals("k_gain", &gain, k_gain),
        rstd: case.reals("rstd", &[heads.tokens, heads.q_heads + heads.kv_heads], rstd),
        dq_gain: case.reals("dq_gain", &gain, vec![0.0; heads.head_dim]),
        dk_gain: case.reals("dk_gain", &gain, vec![0.0; heads.head_dim]),
        partial: case
            .output("partial", &[HeadNormBackward::partial_rows(heads.tokens), 2 * heads.head_dim]),
        heads,
    };
    (op, [op.dqkv, op.dq_gain, op.dk_gain])
}

#[test]
fn backward_on_every_executor() {
    for heads in SHAPES {
        let mut case = OpCase::new(4);
        let op = forward(&mut case, heads);
        let operands = case.twin(&[&op], &[op.x, op.q_gain, op.k_gain, op.rstd, op.y]);
        let operands: [Vec<f64>; 5] = operands.try_into().expect("five");
        for halves in [&[][..], &["dqkv", "x"]] {
            let mut case = OpCase::with_halves(5, halves);
            let (op, outputs) = backward(&mut case, heads, operands.clone());
            case.check(&[&op], &outputs);
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    let heads = SHAPES[1];
    let mut case = OpCase::exact(6);
    let op = forward(&mut case, heads);
    let saved = case.twin(&[&op], &[op.x, op.q_gain, op.k_gain, op.rstd]);
    case.check_gradient(&[&op], &[op.x, op.q_gain, op.k_gain], &[op.y], |weights, _| {
        let [x, q_gain, k_gain, rstd] = saved.try_into().expect("four");
        let mut case = OpCase::exact(7);
        let (op, outputs) =
            backward(&mut case, heads, [x, q_gain, k_gain, rstd, weights[0].clone()]);
        case.twin(&[&op], &outputs)
    });
}
