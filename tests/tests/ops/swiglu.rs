use nitp_core::ops::swiglu::{Swiglu, SwigluBackward};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

const SHAPES: [(usize, usize); 4] = [(1, 1), (5, 12), (70, 65), (33, 344)];

/// Ordinary gates, and gates far in both tails.
fn gate_up(case: &mut OpCase, rows: usize, width: usize) -> View {
    let data = (0..rows * 2 * width)
        .map(|i| case.uniform() * if i % 7 == 0 { 200.0 } else { 4.0 })
        .collect();
    case.reals("gate_up", &[rows, 2 * width], data)
}

#[test]
fn forward_on_every_executor() {
    for halves in [&[][..], &["gate_up", "y"]] {
        for (rows, width) in SHAPES {
            let mut case = OpCase::with_halves(1, halves);
            let gate_up = gate_up(&mut case, rows, width);
            let y = case.output("y", &[rows, width]);
            case.check(&[&Swiglu { gate_up, y, rows, width }], &[y]);
        }
    }
}

#[test]
fn backward_on_every_executor() {
    for halves in [&[][..], &["gate_up", "dy", "dgate_up"]] {
        for (rows, width) in SHAPES {
            let mut case = OpCase::with_halves(2, halves);
            let gate_up = gate_up(&mut case, rows, width);
            let dy = case.random("dy", &[rows, width]);
            let dgate_up = case.output("dgate_up", &[rows, 2 * width]);
            case.check(&[&SwigluBackward { dy, gate_up, dgate_up, rows, width }], &[dgate_up]);
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    let (rows, width) = (3, 7);
    let mut case = OpCase::new(3);
    let gate_up = case.random("gate_up", &[rows, 2 * width]);
    let y = case.output("y", &[rows, width]);
    let op = Swiglu { gate_up, y, rows, width };
    let input = case.twin(&[&op], &[gate_up]).remove(0);
    case.check_gradient(&[&op], &[gate_up], &[y], |weights, _| {
        let mut case = OpCase::exact(4);
        let op = SwigluBackward {
            dy: case.reals("dy", &[rows, width], weights[0].clone()),
            gate_up: case.reals("gate_up", &[rows, 2 * width], input),
            dgate_up: case.output("dgate_up", &[rows, 2 * width]),
            rows,
            width,
        };
        case.twin(&[&op], &[op.dgate_up])
    });
}
