use nitp_core::ops::grouped_matmul::{GroupedMatmul, GroupedMatmulBackwardWeight};
use nitp_core::ops::matmul::Transpose;
use nitp_core::ops::moe_dispatch::MoeDispatch;
use nitp_tests::op_case::OpCase;

use super::moe_dispatch::{Load, ROUTINGS, Routing, dispatch};

/// (n, k) that no tile divides, one past the blocks of the fast path, and one of whole vec4s.
const SIZES: [(usize, usize); 5] = [(1, 1), (5, 130), (33, 17), (150, 24), (68, 36)];

/// Rows past one task of the fast path.
const LONG: Routing = (300, 3, 2, Load::One(1));

fn product(
    case: &mut OpCase,
    routing: Routing,
    (n, k): (usize, usize),
    transpose: Transpose,
    accumulate: bool,
) -> (MoeDispatch, GroupedMatmul) {
    let (tokens, num_experts, top_k, _) = routing;
    let rows = tokens * top_k;
    let sort = dispatch(case, routing);
    let op = GroupedMatmul {
        a: case.random("a", &[rows, k]),
        b: case.random("b", &[num_experts, n, k]),
        c: if accumulate { case.random("c", &[rows, n]) } else { case.output("c", &[rows, n]) },
        offsets: sort.offsets,
        tile_expert: sort.tile_expert,
        tile_row: sort.tile_row,
        rows,
        n,
        k,
        num_experts,
        transpose,
        accumulate,
    };
    (sort, op)
}

#[test]
fn each_expert_multiplies_its_own_rows() {
    for routing in ROUTINGS.into_iter().chain([LONG]) {
        for size in SIZES {
            for transpose in [Transpose::None, Transpose::B] {
                for accumulate in [false, true] {
                    for halves in [&[][..], &["a", "b", "c"]] {
                        let mut case = OpCase::with_halves(1, halves);
                        let (sort, op) = product(&mut case, routing, size, transpose, accumulate);
                        case.check(&[&sort, &op], &[op.c]);
                    }
                }
            }
        }
    }
}

#[test]
fn each_expert_adds_to_its_own_gradient() {
    for routing in ROUTINGS.into_iter().chain([LONG]) {
        for (out_features, in_features) in SIZES {
            let (tokens, num_experts, top_k, _) = routing;
            let rows = tokens * top_k;
            for halves in [&[][..], &["dy", "x"]] {
                let mut case = OpCase::with_halves(2, halves);
                let sort = dispatch(&mut case, routing);
                let op = GroupedMatmulBackwardWeight {
                    dy: case.random("dy", &[rows, out_features]),
                    x: case.random("x", &[rows, in_features]),
                    dweight: case.random("dweight", &[num_experts, out_features, in_features]),
                    offsets: sort.offsets,
                    rows,
                    out_features,
                    in_features,
                    num_experts,
                };
                case.check(&[&sort, &op], &[op.dweight]);
            }
        }
    }
}

#[test]
fn gradients_against_finite_differences() {
    // More experts than rows: some get none.
    let routing = (4, 6, 1, Load::Skewed);
    let (n, k) = (3, 5);
    let mut case = OpCase::exact(11);
    let (sort, op) = product(&mut case, routing, (n, k), Transpose::B, false);
    let operands = case.twin(&[&sort, &op], &[op.a, op.b]);
    case.check_gradient(&[&sort, &op], &[op.a, op.b], &[op.c], |weights, _| {
        let [a, b] = operands.try_into().expect("two");
        let mut case = OpCase::exact(11);
        let sort = dispatch(&mut case, routing);
        let input = GroupedMatmul {
            a: case.reals("dy", &[op.rows, n], weights[0].clone()),
            b: case.reals("b", &[op.num_experts, n, k], b),
            c: case.output("dx", &[op.rows, k]),
            n: k,
            k: n,
            transpose: Transpose::None,
            ..op
        };
        let input = GroupedMatmul {
            offsets: sort.offsets,
            tile_expert: sort.tile_expert,
            tile_row: sort.tile_row,
            ..input
        };
        let weight = GroupedMatmulBackwardWeight {
            dy: input.a,
            x: case.reals("x", &[op.rows, k], a),
            dweight: case.reals("dweight", &[op.num_experts, n, k], vec![0.0; input.b.len]),
            offsets: sort.offsets,
            rows: op.rows,
            out_features: n,
            in_features: k,
            num_experts: op.num_experts,
        };
        case.twin(&[&sort, &input, &weight], &[input.c, weight.dweight])
    });
}
