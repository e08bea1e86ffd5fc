use nitp_core::ops::moe_dispatch::MoeDispatch;
use nitp_core::ops::moe_gather::{MoeGather, MoeGatherBackward};
use nitp_tests::op_case::OpCase;

use super::moe_dispatch::{Load, ROUTINGS, Routing, dispatch};

const WIDTHS: [usize; 3] = [1, 13, 130];

/// Operands in halves: none, or those of mixed precision.
const HALVES: [&[&str]; 2] = [&[], &["x", "y", "dy", "dx"]];

fn forward(case: &mut OpCase, routing: Routing, hidden_size: usize) -> (MoeDispatch, MoeGather) {
    let (tokens, _, top_k, _) = routing;
    let sort = dispatch(case, routing);
    let op = MoeGather {
        x: case.random("x", &[tokens, hidden_size]),
        order: sort.order,
        y: case.output("y", &[tokens * top_k, hidden_size]),
        tokens,
        top_k,
        hidden_size,
    };
    (sort, op)
}

/// `dy` random unless given.
fn backward(
    case: &mut OpCase,
    routing: Routing,
    hidden_size: usize,
    dy: Option<Vec<f64>>,
    accumulate: bool,
) -> (MoeDispatch, MoeGatherBackward) {
    let (tokens, _, top_k, _) = routing;
    let sort = dispatch(case, routing);
    let shape = [tokens * top_k, hidden_size];
    let dy = match dy {
        Some(dy) => case.reals("dy", &shape, dy),
        None => case.random("dy", &shape),
    };
    let dx = if accumulate {
        case.random("dx", &[tokens, hidden_size])
    } else {
        case.output("dx", &[tokens, hidden_size])
    };
    let position = sort.position;
    (sort, MoeGatherBackward { dy, position, dx, accumulate, tokens, top_k, hidden_size })
}

#[test]
fn on_every_executor() {
    for routing in ROUTINGS {
        for (width, halves) in WIDTHS.into_iter().flat_map(|it| HALVES.map(|halves| (it, halves))) {
            let mut case = OpCase::with_halves(1, halves);
            let (sort, op) = forward(&mut case, routing, width);
            case.check(&[&sort, &op], &[op.y]);
            for accumulate in [false, true] {
                let mut case = OpCase::with_halves(2, halves);
                let (sort, op) = backward(&mut case, routing, width, None, accumulate);
                case.check(&[&sort, &op], &[op.dx]);
            }
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    let routing = (6, 4, 2, Load::Skewed);
    let mut case = OpCase::exact(3);
    let (sort, op) = forward(&mut case, routing, 5);
    case.check_gradient(&[&sort, &op], &[op.x], &[op.y], |weights, _| {
        let mut case = OpCase::exact(3);
        let (sort, op) = backward(&mut case, routing, 5, Some(weights[0].clone()), false);
        case.twin(&[&sort, &op], &[op.dx])
    });
}
