use nitp_core::ops::fused_product::{FusedProduct, Product, Then};
use nitp_core::ops::grouped_matmul::GroupedMatmul;
use nitp_core::ops::matmul::{Matmul, Transpose};
use nitp_core::ops::moe_dispatch::MoeDispatch;
use nitp_core::ops::rope::{Rope, table};
use nitp_core::ops::swiglu::{Swiglu, SwigluBackward};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

use super::moe_dispatch::{ROUTINGS, dispatch};

/// Rows, width of the feed-forward, summed extent: whole vec4s and pairs, or not; one tile and more.
const GATES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (5, 12, 8), (33, 65, 17), (70, 6, 20), (37, 36, 44), (130, 68, 36), (9, 344, 64)];

/// Operands in halves: none, or those of mixed precision.
const HALVES: [&[&str]; 2] = [&[], &["a", "b", "qkv", "gate_up", "y", "dy", "dgate_up"]];

fn with_and_without_halves<T: Copy>(
    cases: impl IntoIterator<Item = T> + Clone,
) -> impl Iterator<Item = (&'static [&'static str], T)> {
    HALVES.into_iter().flat_map(move |halves| cases.clone().into_iter().map(move |it| (halves, it)))
}

fn dense(
    case: &mut OpCase,
    c: View,
    (m, n, k): (usize, usize, usize),
    transpose: Transpose,
) -> Product {
    let (a, b) = (case.random("a", &[m * k]), case.random("b", &[k * n]));
    Product::Dense(Matmul { a, b, c, m, n, k, transpose, accumulate: false })
}

#[test]
fn a_projection_whose_heads_turn() {
    // Batch rows, context, query heads, key heads, head_dim, summed extent.
    for (batch, context, q_heads, kv_heads, head_dim, k) in [
        (1, 1, 1, 1, 2, 4),
        (2, 7, 4, 2, 6, 12),
        (3, 33, 2, 1, 20, 36),
        (2, 70, 3, 3, 32, 64),
        (1, 9, 4, 1, 128, 8),
    ] {
        for halves in HALVES {
            let mut case = OpCase::with_halves(31, halves);
            let (m, n) = (batch * context, (q_heads + 2 * kv_heads) * head_dim);
            let qkv = case.output("qkv", &[m, n]);
            let product = dense(&mut case, qkv, (m, n, k), Transpose::B);
            let angles =
                table(context, head_dim, 10_000.0, None).into_iter().map(f64::from).collect();
            let table = case.reals("table", &[context, head_dim], angles);
            let (tokens, inverse) = (m, false);
            let rope = Rope { qkv, table, tokens, context, q_heads, kv_heads, head_dim, inverse };
            case.check(&[&FusedProduct { product, then: Then::Rope(rope) }], &[qkv]);
        }
    }
}

#[test]
fn a_projection_to_gates() {
    for (halves, (rows, width, k)) in with_and_without_halves(GATES) {
        let mut case = OpCase::with_halves(32, halves);
        let gate_up = case.output("gate_up", &[rows, 2 * width]);
        let y = case.output("y", &[rows, width]);
        let product = dense(&mut case, gate_up, (rows, 2 * width, k), Transpose::B);
        let then = Then::Swiglu(Swiglu { gate_up, y, rows, width });
        case.check(&[&FusedProduct { product, then }], &[gate_up, y]);
    }
}

#[test]
fn the_gradient_of_gates() {
    for (halves, (rows, width, k)) in with_and_without_halves(GATES) {
        let mut case = OpCase::with_halves(33, halves);
        let dy = case.output("dy", &[rows, width]);
        let product = dense(&mut case, dy, (rows, width, k), Transpose::None);
        let gate_up = case.random("gate_up", &[rows, 2 * width]);
        let dgate_up = case.output("dgate_up", &[rows, 2 * width]);
        let then = Then::SwigluBackward(SwigluBackward { dy, gate_up, dgate_up, rows, width });
        case.check(&[&FusedProduct { product, then }], &[dgate_up]);
    }
}

/// The sort of a routing, and a product of the experts with the result `c [rows, n]`.
fn experts(
    case: &mut OpCase,
    sort: &MoeDispatch,
    c: View,
    (rows, n, k): (usize, usize, usize),
    num_experts: usize,
    transpose: Transpose,
) -> Product {
    Product::Experts(GroupedMatmul {
        a: case.random("a", &[rows, k]),
        b: case.random("b", &[num_experts, n, k]),
        c,
        offsets: sort.offsets,
        tile_expert: sort.tile_expert,
        tile_row: sort.tile_row,
        rows,
        n,
        k,
        num_experts,
        transpose,
        accumulate: false,
    })
}

#[test]
fn gates_of_experts_and_their_gradient() {
    for (halves, routing) in with_and_without_halves(ROUTINGS) {
        for (width, k) in [(5, 13), (34, 20)] {
            let (tokens, num_experts, top_k, _) = routing;
            let rows = tokens * top_k;
            let mut case = OpCase::with_halves(34, halves);
            let sort = dispatch(&mut case, routing);
            let gate_up = case.output("gate_up", &[rows, 2 * width]);
            let y = case.output("y", &[rows, width]);
            let sizes = (rows, 2 * width, k);
            let product = experts(&mut case, &sort, gate_up, sizes, num_experts, Transpose::B);
            let then = Then::Swiglu(Swiglu { gate_up, y, rows, width });
            case.check(&[&sort, &FusedProduct { product, then }], &[gate_up, y]);

            let mut case = OpCase::with_halves(35, halves);
            let sort = dispatch(&mut case, routing);
            let dy = case.output("dy", &[rows, width]);
            let sizes = (rows, width, k);
            let product = experts(&mut case, &sort, dy, sizes, num_experts, Transpose::None);
            let gate_up = case.random("gate_up", &[rows, 2 * width]);
            let dgate_up = case.output("dgate_up", &[rows, 2 * width]);
            let then = Then::SwigluBackward(SwigluBackward { dy, gate_up, dgate_up, rows, width });
            case.check(&[&sort, &FusedProduct { product, then }], &[dgate_up]);
        }
    }
}
