use nitp_core::ops::rmsnorm::{Residual, Rmsnorm, RmsnormBackward};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

/// The last four are for the variant by rows: several vec4s for each thread, as many as it holds, more than it holds,
/// and many parts of the gain's gradient.
const SHAPES: [(usize, usize); 8] =
    [(1, 1), (5, 12), (70, 65), (33, 200), (19, 516), (9, 2048), (3, 2052), (137, 8)];
const EPS: f64 = 1e-6;

fn forward(case: &mut OpCase, rows: usize, width: usize, residual: bool) -> (Rmsnorm, Vec<View>) {
    let x = case.random("x", &[rows, width]);
    let gain = case.random("gain", &[width]);
    let residual = residual.then(|| Residual {
        branch: case.random("branch", &[rows, width]),
        sum: case.output("sum", &[rows, width]),
    });
    let y = case.output("y", &[rows, width]);
    let rstd = case.output("rstd", &[rows]);
    let mut outputs = vec![y, rstd];
    outputs.extend(residual.map(|residual| residual.sum));
    (Rmsnorm { x, residual, gain, y, rstd, rows, width, eps: EPS }, outputs)
}

#[test]
fn forward_with_and_without_residual() {
    for (rows, width) in SHAPES {
        for halves in [&[][..], &["branch", "y"]] {
            for residual in [false, true] {
                let mut case = OpCase::with_halves(3, halves);
                let (op, outputs) = forward(&mut case, rows, width, residual);
                case.check(&[&op], &outputs);
            }
        }
    }
}

fn backward(
    case: &mut OpCase,
    op: &Rmsnorm,
    [x, gain, rstd, dy]: [Vec<f64>; 4],
    accumulate: bool,
) -> (RmsnormBackward, [View; 2]) {
    let (rows, width) = (op.rows, op.width);
    let dx = if accumulate {
        case.random("dx", &[rows, width])
    } else {
        case.output("dx", &[rows, width])
    };
    let dgain = case.reals("dgain", &[width], vec![0.0; width]);
    let op = RmsnormBackward {
        dy: case.reals("dy", &[rows, width], dy),
        x: case.reals("x", &[rows, width], x),
        gain: case.reals("gain", &[width], gain),
        rstd: case.reals("rstd", &[rows], rstd),
        dx,
        accumulate,
        dgain,
        partial: case.output("partial", &[RmsnormBackward::partial_rows(rows), width]),
        rows,
        width,
    };
    (op, [dx, dgain])
}

#[test]
fn backward_on_every_executor() {
    for (rows, width) in SHAPES {
        for accumulate in [false, true] {
            let mut case = OpCase::new(4);
            let (op, _) = forward(&mut case, rows, width, false);
            let operands = case.twin(&[&op], &[op.x, op.gain, op.rstd, op.y]);
            let operands: [Vec<f64>; 4] = operands.try_into().expect("four");
            for halves in [&[][..], &["dy"]] {
                let mut case = OpCase::with_halves(5, halves);
                let (op, outputs) = backward(&mut case, &op, operands.clone(), accumulate);
                case.check(&[&op], &outputs);
            }
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    let mut case = OpCase::new(6);
    let (op, _) = forward(&mut case, 5, 12, false);
    let saved = case.twin(&[&op], &[op.x, op.gain, op.rstd]);
    case.check_gradient(&[&op], &[op.x, op.gain], &[op.y], |weights, _| {
        let [x, gain, rstd] = saved.try_into().expect("three");
        let mut case = OpCase::exact(7);
        let (op, outputs) = backward(&mut case, &op, [x, gain, rstd, weights[0].clone()], false);
        case.twin(&[&op], &outputs)
    });
}
