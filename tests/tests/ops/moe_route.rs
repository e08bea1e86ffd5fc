use nitp_core::ops::moe_balance::MoeBalance;
use nitp_core::ops::moe_dispatch::MoeDispatch;
use nitp_core::ops::moe_route::{MoeRoute, MoeRouteBackward};
use nitp_core::ops::scalars;
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

use super::moe_dispatch::{dispatch_of, show};

/// (tokens, experts, top k), past a workgroup's lanes and past one partial sum of the balance.
const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (1, 9, 9), (5, 4, 1), (70, 9, 3), (20, 144, 8), (300, 3, 2)];

const METRIC: usize = 7;

fn route(
    case: &mut OpCase,
    (tokens, num_experts, top_k): (usize, usize, usize),
    logits: Vec<f64>,
    norm_topk_prob: bool,
) -> MoeRoute {
    MoeRoute {
        logits: case.reals("logits", &[tokens, num_experts], logits),
        probs: case.output("probs", &[tokens, num_experts]),
        experts: case.output_u32("chosen", &[tokens, top_k]),
        weights: case.output("weights", &[tokens, top_k]),
        tokens,
        num_experts,
        top_k,
        norm_topk_prob,
    }
}

/// Logits in -3..3, far enough apart within a token that small steps don't change their order.
fn separated(tokens: usize, num_experts: usize) -> Vec<f64> {
    let golden = |i: usize| (i as f64 * 0.618_033_988_749_895).fract();
    (0..tokens * num_experts)
        .map(|i| 6.0 * (golden(i % num_experts) + golden(7 * (i / num_experts))).fract() - 3.0)
        .collect()
}

/// Dispatch and balance after a route, with scalars and states.
fn balance(case: &mut OpCase, route: &MoeRoute) -> (MoeDispatch, MoeBalance) {
    let (tokens, num_experts, top_k) = (route.tokens, route.num_experts, route.top_k);
    let sort = dispatch_of(case, route.experts, num_experts);
    let op = MoeBalance {
        probs: route.probs,
        counts: sort.counts,
        scalars: case.random("scalars", &[scalars::LEN]),
        scale: scalars::MICRO_SCALE,
        metrics: case.random("metrics", &[64]),
        metric: METRIC,
        load: case.random("load", &[num_experts]),
        partial: case.output("partial", &[MoeBalance::partial_rows(tokens), num_experts]),
        tokens,
        num_experts,
        top_k,
    };
    (sort, op)
}

#[test]
fn softmax_and_choice_on_every_executor() {
    for shape in SHAPES {
        for norm_topk_prob in [false, true] {
            let mut case = OpCase::new(shape.0 as u64);
            let logits = (0..shape.0 * shape.1).map(|_| 4.0 * case.uniform()).collect();
            let op = route(&mut case, shape, logits, norm_topk_prob);
            let experts = show(&mut case, "moe_route", op.experts);
            case.check(&[&op, &experts], &[op.probs, op.weights, experts.y]);
        }
    }
}

#[test]
fn equal_logits_go_to_the_lowest_index() {
    let mut case = OpCase::new(1);
    let logits = [
        [0.5, 2.0, 2.0, -1.0, 2.0],
        [0.0; 5],
        [-0.0, 0.0, -1.0, 0.0, -0.0],
        [-3.0, -2.0, -3.0, -2.0, -3.0],
    ];
    let op = route(&mut case, (4, 5, 3), logits.concat(), false);
    let experts = show(&mut case, "moe_route", op.experts);
    case.check(&[&op, &experts], &[experts.y]);
    let expected = [[1., 2., 4.], [0., 1., 2.], [0., 1., 3.], [1., 3., 0.]].concat();
    assert_eq!(case.twin(&[&op, &experts], &[experts.y])[0], expected);
}

#[test]
fn normalized_weights_sum_to_one() {
    let (tokens, num_experts, top_k) = (6, 5, 3);
    let mut case = OpCase::new(2);
    let logits = separated(tokens, num_experts);
    let op = route(&mut case, (tokens, num_experts, top_k), logits, true);
    for weights in case.twin(&[&op], &[op.weights])[0].chunks_exact(top_k) {
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(weights.is_sorted_by(|a, b| a >= b));
    }
}

/// A run whose loss is NaN must end with a message, not with a lost device.
#[test]
fn nan_logits_still_choose_distinct_experts() {
    let rows = [
        [f64::NAN, 1.0, 2.0, 0.0],
        [1.0, f64::NAN, f64::NAN, 2.0],
        [f64::NAN; 4],
        [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN],
    ];
    let mut case = OpCase::new(3);
    let op = route(&mut case, (4, 4, 4), rows.concat(), true);
    let sort = dispatch_of(&mut case, op.experts, 4);
    let counts = show(&mut case, "moe_dispatch", sort.counts);
    case.check(&[&op, &sort, &counts], &[counts.y]);
    assert_eq!(case.twin(&[&op, &sort, &counts], &[counts.y])[0], [4.0; 4]);
}

#[test]
fn balance_on_every_executor() {
    for shape in SHAPES {
        let mut case = OpCase::new(4);
        let logits = (0..shape.0 * shape.1).map(|_| 4.0 * case.uniform()).collect();
        let route = route(&mut case, shape, logits, false);
        let (sort, op) = balance(&mut case, &route);
        case.check(&[&route, &sort, &op], &[op.metrics, op.load]);
    }
}

#[test]
fn balance_of_an_even_load_is_one() {
    // Each token has one clear favourite, each expert one token.
    let logits = (0..16).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
    let mut case = OpCase::new(5);
    let route = route(&mut case, (4, 4, 1), logits, false);
    let (sort, op) = balance(&mut case, &route);
    let before = case.twin(&[], &[op.metrics, op.load, op.scalars]);
    let after = case.twin(&[&route, &sort, &op], &[op.metrics, op.load]);
    let scale = before[2][scalars::MICRO_SCALE];
    let loss = (after[0][METRIC] - before[0][METRIC]) / scale;
    assert!((loss - 1.0).abs() < 1e-12, "the balance loss is {loss}");
    for (before, after) in before[1].iter().zip(&after[1]) {
        assert!(((after - before) / scale - 0.25).abs() < 1e-12);
    }
}

fn backward(
    case: &mut OpCase,
    route: &MoeRoute,
    dweights: Vec<f64>,
    aux_coefficient: f64,
) -> (MoeDispatch, MoeRouteBackward, View) {
    let (sort, balance) = balance(case, route);
    let op = MoeRouteBackward {
        dweights: case.reals("dweights", &[route.tokens, route.top_k], dweights),
        probs: route.probs,
        experts: route.experts,
        counts: sort.counts,
        scalars: balance.scalars,
        scale: balance.scale,
        aux_coefficient,
        dlogits: case.output("dlogits", &[route.tokens, route.num_experts]),
        tokens: route.tokens,
        num_experts: route.num_experts,
        top_k: route.top_k,
        norm_topk_prob: route.norm_topk_prob,
    };
    (sort, op, op.dlogits)
}

#[test]
fn backward_on_every_executor() {
    for shape in SHAPES {
        for norm_topk_prob in [false, true] {
            let mut case = OpCase::new(6);
            let logits = (0..shape.0 * shape.1).map(|_| case.uniform()).collect();
            let dweights = (0..shape.0 * shape.2).map(|_| case.uniform()).collect();
            let route = route(&mut case, shape, logits, norm_topk_prob);
            let (sort, op, dlogits) = backward(&mut case, &route, dweights, 0.7);
            case.check(&[&route, &sort, &op], &[dlogits]);
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    let shape = (6, 5, 2);
    for norm_topk_prob in [false, true] {
        let mut case = OpCase::exact(7);
        let forward = route(&mut case, shape, separated(6, 5), norm_topk_prob);
        let (sort, op) = balance(&mut case, &forward);
        let (ops, outputs) = ([&forward as _, &sort as _, &op as _], [forward.weights, op.metrics]);
        case.check_gradient(&ops, &[forward.logits], &outputs, |weights, _| {
            let mut case = OpCase::exact(7);
            let route = route(&mut case, shape, separated(6, 5), norm_topk_prob);
            let (sort, op, dlogits) =
                backward(&mut case, &route, weights[0].clone(), weights[1][METRIC]);
            case.twin(&[&route, &sort, &op], &[dlogits])
        });
    }
}
