use nitp_core::ops::attention::{Attention, AttentionBackward, Shape, document_bounds};
use nitp_core::tensor::View;
use nitp_tests::op_case::{CloneOp, OpCase};

/// (batch, context, query heads, key heads, features of a head): contexts around and past a tile,
/// heads that are no multiple of a vec4, groups of every size, the largest head.
const SHAPES: [(usize, usize, usize, usize, usize); 12] = [
    (1, 1, 1, 1, 2),
    (2, 1, 4, 2, 8),
    (2, 7, 4, 2, 6),
    (1, 50, 4, 1, 48),
    (2, 33, 3, 1, 20),
    (1, 64, 2, 2, 16),
    (1, 70, 4, 2, 32),
    (1, 130, 2, 2, 64),
    (1, 40, 1, 1, 96),
    (1, 37, 2, 1, 160),
    (1, 35, 1, 1, 128),
    (1, 19, 1, 1, 256),
];

/// Operands in halves: none, or those of mixed precision.
const HALVES: [&[&str]; 2] = [&[], &["qkv", "out", "dout", "dqkv"]];

fn shapes() -> impl Iterator<Item = (Shape, Documents)> {
    // Documents of a token or a few, of about a tile, and of about a row, in turns.
    let longest = [4, 25, 130].into_iter().cycle();
    SHAPES.into_iter().zip(longest).flat_map(|(extents, longest)| {
        [Documents::None, Documents::UpTo(longest)].map(|documents| (shape(extents), documents))
    })
}

fn shape(
    (batch, context, q_heads, kv_heads, head_dim): (usize, usize, usize, usize, usize),
) -> Shape {
    Shape { batch, context, q_heads, kv_heads, head_dim }
}

/// The documents of a test's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Documents {
    /// Each row is one document, without a mask.
    None,
    /// Documents of random lengths up to this many tokens, with a mask.
    UpTo(usize),
}

impl Documents {
    fn operand(self, case: &mut OpCase, shape: Shape) -> Option<View> {
        let Self::UpTo(longest) = self else { return None };
        let mut starts = Vec::new();
        for _ in 0..shape.batch {
            let mut start = 0;
            while start < shape.context {
                let len = (1 + case.below(longest)).min(shape.context - start);
                starts.extend(vec![start as u32; len]);
                start += len;
            }
        }
        let bounds = document_bounds(&starts, shape.context);
        Some(case.ints("documents", &[shape.tokens(), 2], bounds))
    }
}

fn forward(case: &mut OpCase, shape: Shape, documents: Option<View>, qkv: View) -> Attention {
    let out = case.output("out", &[shape.tokens(), shape.out_width()]);
    let lse = case.output("lse", &[shape.batch, shape.q_heads, shape.context]);
    Attention { qkv, out, lse, documents, shape }
}

fn random_forward(
    case: &mut OpCase,
    shape: Shape,
    documents: Documents,
    largest: f64,
) -> Attention {
    let elements = shape.tokens() * shape.width();
    let data = (0..elements).map(|_| case.uniform() * largest).collect();
    let qkv = case.reals("qkv", &[shape.tokens(), shape.width()], data);
    let documents = documents.operand(case, shape);
    forward(case, shape, documents, qkv)
}

fn backward(case: &mut OpCase, forward: &Attention, dout: View) -> AttentionBackward {
    let Attention { qkv, out, lse, documents, shape } = *forward;
    let dqkv = case.output("dqkv", &[shape.tokens(), shape.width()]);
    let delta = case.output("delta", &[shape.batch, shape.q_heads, shape.context]);
    AttentionBackward { qkv, out, dout, lse, dqkv, delta, documents, shape }
}

/// A forward and the backward that reads what it saves.
fn both(case: &mut OpCase, shape: Shape, documents: Documents) -> (Attention, AttentionBackward) {
    let forward = random_forward(case, shape, documents, 1.0);
    let dout = case.random("dout", &[shape.tokens(), shape.out_width()]);
    let backward = backward(case, &forward, dout);
    (forward, backward)
}

#[test]
fn forward_on_every_executor() {
    for halves in HALVES {
        for (shape, documents) in shapes() {
            let mut case = OpCase::with_halves(1, halves);
            let op = random_forward(&mut case, shape, documents, 1.0);
            case.check(&[&op], &[op.out, op.lse]);
        }
    }
}

#[test]
fn backward_on_every_executor() {
    for halves in HALVES {
        for (shape, documents) in shapes() {
            let mut case = OpCase::with_halves(2, halves);
            let (forward, backward) = both(&mut case, shape, documents);
            case.check(&[&forward, &backward], &[backward.dqkv]);
        }
    }
}

#[test]
fn backward_against_finite_differences() {
    for (extents, documents) in [
        ((1, 1, 1, 1, 2), Documents::None),
        ((2, 5, 4, 2, 6), Documents::None),
        ((1, 6, 3, 1, 4), Documents::None),
        ((2, 6, 2, 1, 4), Documents::UpTo(3)),
    ] {
        let shape = shape(extents);
        let mut case = OpCase::exact(3);
        let op = random_forward(&mut case, shape, documents, 1.0);
        let qkv = case.twin(&[&op], &[op.qkv]).remove(0);
        case.check_gradient(&[&op], &[op.qkv], &[op.out], |weights, _| {
            let mut case = OpCase::exact(3);
            let forward = random_forward(&mut case, shape, documents, 1.0);
            let qkv = case.reals("the same qkv", &[shape.tokens(), shape.width()], qkv);
            let forward = Attention { qkv, ..forward };
            let weights = weights[0].clone();
            let dout = case.reals("dout", &[shape.tokens(), shape.out_width()], weights);
            let backward = backward(&mut case, &forward, dout);
            case.twin(&[&forward, &backward], &[backward.dqkv])
        });
    }
}

/// In f32. With matrix units, a large score of a later token may change the rounding of its whole block.
#[test]
fn a_later_token_leaves_the_bits_of_earlier_ones_alone() {
    for extents in [(1, 70, 4, 2, 32), (2, 33, 3, 1, 20)] {
        let shape = shape(extents);
        let mut case = OpCase::new(5);
        let op = random_forward(&mut case, shape, Documents::None, 1.0);
        let mut qkv = case.twin(&[&op], &[op.qkv]).remove(0);
        // The last token of the first row of the batch, in all its heads.
        let changed = shape.context - 1;
        let at = changed * shape.width();
        qkv[at..at + shape.width()].iter_mut().for_each(|x| *x = 3.0 - *x);
        let mut other = OpCase::new(6);
        let qkv = other.reals("qkv", &[shape.tokens(), shape.width()], qkv);
        let other_op = forward(&mut other, shape, None, qkv);
        for variant in CloneOp::variants(&op) {
            let before = case.gpu_by(variant, &[&op], &[op.out, op.lse]);
            let after = other.gpu_by(variant, &[&other_op], &[other_op.out, other_op.lse]);
            for (i, (before, after)) in before[0].iter().zip(&after[0]).enumerate() {
                let same = before.to_bits() == after.to_bits();
                let expected = i / shape.out_width() != changed;
                assert_eq!(same, expected, "{variant}, {extents:?}: out[{i}]");
            }
            for (i, (before, after)) in before[1].iter().zip(&after[1]).enumerate() {
                let (row, token) = (i / (shape.q_heads * shape.context), i % shape.context);
                let same = before.to_bits() == after.to_bits();
                assert_eq!(same, (row, token) != (0, changed), "{variant}, {extents:?}: lse[{i}]");
            }
        }
    }
}

#[test]
fn no_gradient_flows_to_a_token_from_an_earlier_one() {
    HALVES.into_iter().for_each(no_gradient_flows);
}

fn no_gradient_flows(halves: &'static [&'static str]) {
    let shape = shape((1, 70, 4, 2, 32));
    let mut case = OpCase::with_halves(7, halves);
    let forward = random_forward(&mut case, shape, Documents::None, 1.0);
    // Only one result counts; later tokens must not affect it.
    let counts = 37;
    let dout = (0..shape.tokens() * shape.out_width())
        .map(|i| if i / shape.out_width() == counts { case.uniform() } else { 0.0 })
        .collect();
    let dout = case.reals("dout", &[shape.tokens(), shape.out_width()], dout);
    let backward = backward(&mut case, &forward, dout);
    for variant in CloneOp::variants(&backward) {
        let dqkv = case.gpu_by(variant, &[&forward, &backward], &[backward.dqkv]).remove(0);
        let (past, future) = dqkv.split_at((counts + 1) * shape.width());
        assert!(past.iter().any(|&x| x != 0.0), "{variant}");
        assert!(future.iter().all(|&x| x == 0.0), "{variant}");
    }
}

/// Scores of some thousands: the softmax is nearly one-hot, and must not overflow.
#[test]
fn scores_of_large_magnitude() {
    for extents in [(1, 70, 4, 2, 32), (1, 19, 1, 1, 256)] {
        // A score of 2^10 has an error of 2^-13, which the exponential turns into a relative error. In halves, outputs
        // of 30 have errors of 2^-7, which gradients inherit.
        // Gradients are up to some hundreds.
        for documents in [Documents::None, Documents::UpTo(25)] {
            let it = (shape(extents), documents);
            every_variant_is_near(it, HALVES[0], 30.0, [0.02, 0.02, 0.1]);
            every_variant_is_near(it, HALVES[1], 30.0, [0.5; 3]);
        }
    }
}

/// Scores of some tens, as in a trained model: few keys have large weights, and largest scores grow along a row.
#[test]
fn scores_of_medium_magnitude() {
    for (extents, documents) in [
        ((1, 130, 2, 1, 64), Documents::None),
        ((1, 130, 2, 1, 64), Documents::UpTo(70)),
        ((1, 70, 2, 1, 96), Documents::None),
        ((1, 70, 2, 1, 128), Documents::UpTo(25)),
    ] {
        // Outputs and values are up to 4, with errors of 2^-9 in halves.
        let it = (shape(extents), documents);
        every_variant_is_near(it, HALVES[1], 4.0, [4e-3, 1e-4, 4e-2]);
    }
}

/// Checks each variant of both passes for operands up to `largest`: the errors of results, log-sum-exps and gradients
/// against the f64 twin are at most those in `most`.
fn every_variant_is_near(
    (shape, documents): (Shape, Documents),
    halves: &'static [&'static str],
    largest: f64,
    most: [f64; 3],
) {
    let mut case = OpCase::with_halves(8, halves);
    let forward = random_forward(&mut case, shape, documents, largest);
    let dout = case.random("dout", &[shape.tokens(), shape.out_width()]);
    let backward = backward(&mut case, &forward, dout);
    let outputs = [forward.out, forward.lse, backward.dqkv];
    let exact = case.twin(&[&forward, &backward], &outputs);
    // An adapter may support a variant of only one of the passes.
    let of_forward = CloneOp::variants(&forward);
    let runs = of_forward.iter().map(|it| (it, case.gpu_by(it, &[&forward], &outputs[..2])));
    let of_backward = CloneOp::variants(&backward);
    let more = of_backward.iter().map(|it| (it, case.gpu_by(it, &[&forward, &backward], &outputs)));
    for (variant, found) in runs.chain(more) {
        for ((exact, found), most) in exact.iter().zip(&found).zip(most) {
            for (at, (exact, found)) in exact.iter().zip(found).enumerate() {
                let error = (exact - f64::from(*found)).abs();
                assert!(
                    error < most,
                    "{variant}, {shape:?}, {documents:?} [{at}]: {found} is not {exact}"
                );
            }
        }
    }
}

#[test]
fn a_second_run_gives_the_same_bits() {
    for (halves, extents) in HALVES.into_iter().zip([(2, 33, 3, 1, 20), (1, 130, 2, 1, 64)]) {
        let mut case = OpCase::with_halves(9, halves);
        let forward = random_forward(&mut case, shape(extents), Documents::UpTo(40), 4.0);
        let dout = case.random("dout", &[forward.shape.tokens(), forward.shape.out_width()]);
        let backward = backward(&mut case, &forward, dout);
        let outputs = [forward.out, forward.lse, backward.dqkv];
        for variant in CloneOp::variants(&backward) {
            let run = || case.gpu_by(variant, &[&forward, &backward], &outputs);
            assert_eq!(run(), run(), "{variant}");
        }
    }
}
