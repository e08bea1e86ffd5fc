use nitp_core::ops::sigmoid_gate::{SigmoidGate, SigmoidGateBackward};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

const SHAPES: [(usize, usize); 4] = [(1, 1), (5, 12), (70, 65), (33, 200)];

fn forward(case: &mut OpCase, rows: usize, width: usize) -> SigmoidGate {
    let x = case.random("x", &[rows, width]);
    let logits = case.random("logits", &[rows]);
    SigmoidGate { x, logits, y: case.output("y", &[rows, width]), rows, width }
}

fn backward(
    case: &mut OpCase,
    (rows, width): (usize, usize),
    [x, logits, dy]: [Vec<f64>; 3],
) -> (SigmoidGateBackward, [View; 2]) {
    let op = SigmoidGateBackward {
        dy: case.reals("dy", &[rows, width], dy),
        x: case.reals("x", &[rows, width], x),
        logits: case.reals("logits", &[rows], logits),
        dx: case.output("dx", &[rows, width]),
        dlogits: case.output("dlogits", &[rows]),
        rows,
        width,
    };
    (op, [op.dx, op.dlogits])
}

#[test]
fn forward_on_every_executor() {
    for (rows, width) in SHAPES {
        for halves in [&[][..], &["x", "y"]] {
            let mut case = OpCase::with_halves(3, halves);
            let op = forward(&mut case, rows, width);
            case.check(&[&op], &[op.y]);
        }
    }
}

#[test]
fn backward_on_every_executor() {
    for shape in SHAPES {
        let mut case = OpCase::new(4);
        let op = forward(&mut case, shape.0, shape.1);
        let operands = case.twin(&[&op], &[op.x, op.logits, op.y]);
        let operands: [Vec<f64>; 3] = operands.try_into().expect("three");
        for halves in [&[][..], &["dy", "x", "dx"]] {
            let mut case = OpCase::with_halves(5, halves);
            let (op, outputs) = backward(&mut case, shape, operands.clone());
            case.check(&[&op], &outputs);
        }
    }
}

#[test]
fn scores_without_bounds_give_gates_of_0_and_1() {
    let mut case = OpCase::new(6);
    let x = case.reals("x", &[3, 2], vec![2.0; 6]);
    let logits = case.reals("logits", &[3], vec![-1e30, 0.0, 1e30]);
    let y = case.output("y", &[3, 2]);
    let op = SigmoidGate { x, logits, y, rows: 3, width: 2 };
    assert_eq!(case.twin(&[&op], &[y])[0], [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    case.check(&[&op], &[y]);
}

#[test]
fn backward_against_finite_differences() {
    let shape = SHAPES[1];
    let mut case = OpCase::exact(6);
    let op = forward(&mut case, shape.0, shape.1);
    let saved = case.twin(&[&op], &[op.x, op.logits]);
    case.check_gradient(&[&op], &[op.x, op.logits], &[op.y], |weights, _| {
        let [x, logits] = saved.try_into().expect("two");
        let mut case = OpCase::exact(7);
        let (op, outputs) = backward(&mut case, shape, [x, logits, weights[0].clone()]);
        case.twin(&[&op], &outputs)
    });
}
