use nitp_core::ops::moe_combine::{MoeCombine, MoeCombineBackward};
use nitp_core::ops::moe_dispatch::MoeDispatch;
use nitp_tests::op_case::OpCase;

use super::moe_dispatch::{Load, ROUTINGS, Routing, dispatch};

const WIDTHS: [usize; 3] = [1, 13, 130];

/// Operands in halves: none, or those of mixed precision.
const HALVES: [&[&str]; 2] = [&[], &["y", "shared", "out", "dout", "dy"]];

fn forward(
    case: &mut OpCase,
    routing: Routing,
    hidden_size: usize,
    shared: bool,
) -> (MoeDispatch, MoeCombine) {
    let (tokens, _, top_k, _) = routing;
    let sort = dispatch(case, routing);
    let op = MoeCombine {
        y: case.random("y", &[tokens * top_k, hidden_size]),
        weights: case.random("weights", &[tokens, top_k]),
        position: sort.position,
        shared: shared.then(|| case.random("shared", &[tokens, hidden_size])),
        out: case.output("out", &[tokens, hidden_size]),
        tokens,
        top_k,
        hidden_size,
    };
    (sort, op)
}

fn backward(
    case: &mut OpCase,
    routing: Routing,
    hidden_size: usize,
    [y, weights, dout]: [Vec<f64>; 3],
) -> (MoeDispatch, MoeCombineBackward) {
    let (tokens, _, top_k, _) = routing;
    let sort = dispatch(case, routing);
    let op = MoeCombineBackward {
        dout: case.reals("dout", &[tokens, hidden_size], dout),
        y: case.reals("y", &[tokens * top_k, hidden_size], y),
        weights: case.reals("weights", &[tokens, top_k], weights),
        order: sort.order,
        dy: case.output("dy", &[tokens * top_k, hidden_size]),
        dweights: case.output("dweights", &[tokens, top_k]),
        tokens,
        top_k,
        hidden_size,
    };
    (sort, op)
}

#[test]
fn on_every_executor() {
    for routing in ROUTINGS {
        for width in WIDTHS {
            for halves in HALVES {
                for shared in [false, true] {
                    let mut case = OpCase::with_halves(1, halves);
                    let (sort, op) = forward(&mut case, routing, width, shared);
                    case.check(&[&sort, &op], &[op.out]);
                }
                let mut case = OpCase::new(1);
                let (sort, op) = forward(&mut case, routing, width, false);
                let operands = case.twin(&[&sort, &op], &[op.y, op.weights, op.out]);
                let mut case = OpCase::with_halves(1, halves);
                let operands = operands.try_into().expect("three");
                let (sort, op) = backward(&mut case, routing, width, operands);
                case.check(&[&sort, &op], &[op.dy, op.dweights]);
            }
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    let routing = (6, 4, 2, Load::Skewed);
    let mut case = OpCase::exact(3);
    let (sort, op) = forward(&mut case, routing, 5, true);
    let shared = op.shared.expect("asked for");
    let operands = case.twin(&[&sort, &op], &[op.y, op.weights]);
    let inputs = [op.y, op.weights, shared];
    case.check_gradient(&[&sort, &op], &inputs, &[op.out], |out_weights, _| {
        let [y, weights] = operands.try_into().expect("two");
        let dout = out_weights[0].clone();
        let mut case = OpCase::exact(3);
        let (sort, op) = backward(&mut case, routing, 5, [y, weights, dout.clone()]);
        let mut gradients = case.twin(&[&sort, &op], &[op.dy, op.dweights]);
        gradients.push(dout);
        gradients
    });
}
