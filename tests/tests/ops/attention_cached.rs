use nitp_core::ops::attention::{Attention, CachedAttention, IDLE, Shape};
use nitp_core::ops::rope::{Rope, table};
use nitp_tests::op_case::OpCase;

/// (rows, context, q_heads, kv_heads, head_dim): heads of one pair up to the widest; groups of queries; texts of one
/// key up to more keys than a workgroup has threads.
const SHAPES: [(usize, usize, usize, usize, usize); 6] = [
    (1, 1, 1, 1, 2),
    (3, 7, 4, 2, 6),
    (2, 70, 3, 1, 34),
    (1, 200, 2, 2, 64),
    (2, 65, 1, 1, 130),
    (1, 5, 2, 1, 256),
];

/// An op over a cache with something in each place.
fn op(
    case: &mut OpCase,
    (rows, context, q_heads, kv_heads, head_dim): (usize, usize, usize, usize, usize),
    slots: &[(u32, u32)],
) -> CachedAttention {
    let shape = Shape { batch: rows, context, q_heads, kv_heads, head_dim };
    let count = slots.len();
    let cache = [rows, context, kv_heads * head_dim];
    let angles = table(context, head_dim, 10_000.0, None).into_iter().map(f64::from).collect();
    CachedAttention {
        qkv: case.random("qkv", &[count, shape.width()]),
        table: case.reals("table", &[context, head_dim], angles),
        positions: case.ints("positions", &[count], slots.iter().map(|it| it.1).collect()),
        cache_rows: case.ints("cache_rows", &[count], slots.iter().map(|it| it.0).collect()),
        keys: case.random("keys", &cache),
        values: case.random("values", &cache),
        out: case.output("out", &[count, shape.out_width()]),
        slots: count,
        shape,
    }
}

#[test]
fn slots_of_any_rows_and_positions_on_every_executor() {
    for shape in SHAPES {
        let (rows, context) = (shape.0 as u32, shape.1 as u32);
        let mut all = Vec::new();
        for row in 0..rows {
            // The first and the last position, some between, and slots without a token.
            let mut positions = vec![0, context / 3, context / 2, context - 1];
            positions.dedup();
            all.extend(positions.into_iter().map(|position| (row, position)));
            all.push((row, IDLE));
        }
        all.reverse();
        let mut case = OpCase::new(21);
        let op = op(&mut case, shape, &all);
        case.check(&[&op], &[op.out, op.qkv, op.keys, op.values]);
    }
}

#[test]
fn a_text_token_by_token_is_attention_over_the_whole() {
    let (context, q_heads, kv_heads, head_dim) = (9, 4, 2, 6);
    let mut case = OpCase::new(22);
    let shape = Shape { batch: 1, context, q_heads, kv_heads, head_dim };
    let whole = op(&mut case, (1, context, q_heads, kv_heads, head_dim), &[(0, 0)]);
    let text: Vec<f64> = (0..context * shape.width()).map(|_| case.uniform()).collect();
    let (tokens, inverse, table) = (context, false, whole.table);
    let qkv = case.reals("text", &[context, shape.width()], text.clone());
    let rope = Rope { qkv, table, tokens, context, q_heads, kv_heads, head_dim, inverse };
    let out = case.output("whole", &[context, shape.out_width()]);
    let lse = case.output("lse", &[q_heads, context]);
    let attention = Attention { qkv, out, lse, documents: None, shape };
    let expected = case.twin(&[&rope, &attention], &[out]).remove(0);
    // Any number of tokens a run, the cache handed on from one to the next.
    for step in [1, 2, 4, 9] {
        let mut found = Vec::new();
        let mut cache = [(); 2].map(|()| vec![7.0; context * kv_heads * head_dim]);
        for first in (0..context).step_by(step) {
            let count = step.min(context - first);
            let slots: Vec<_> = (first..first + count).map(|it| (0, it as u32)).collect();
            let mut case = OpCase::new(23);
            let op = op(&mut case, (1, context, q_heads, kv_heads, head_dim), &slots);
            let [keys, values] = cache;
            let extents = [context, kv_heads * head_dim];
            let part = text[first * shape.width()..][..count * shape.width()].to_vec();
            let op = CachedAttention {
                qkv: case.reals("part", &[count, shape.width()], part),
                keys: case.reals("kept keys", &extents, keys),
                values: case.reals("kept values", &extents, values),
                ..op
            };
            let [out, keys, values] =
                case.twin(&[&op], &[op.out, op.keys, op.values]).try_into().expect("three");
            found.extend(out);
            cache = [keys, values];
        }
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < 1e-6, "{step} a run, {at}: {found}, {expected}");
        }
    }
}

#[test]
fn what_is_in_later_places_does_not_matter() {
    let shape = (1, 8, 2, 1, 4);
    let outs = [1.0, f64::NAN].map(|later| {
        let mut case = OpCase::new(24);
        let it = op(&mut case, shape, &[(0, 3)]);
        let cache = |case: &mut OpCase| -> Vec<f64> {
            (0..8 * 4).map(|i| if i < 3 * 4 { case.uniform() } else { later }).collect()
        };
        let (keys, values) = (cache(&mut case), cache(&mut case));
        let keys = case.reals("with later keys", &[8, 4], keys);
        let values = case.reals("with later values", &[8, 4], values);
        let op = CachedAttention { keys, values, ..it };
        case.in_f32(&[&op], &[op.out])
    });
    assert_eq!(outs[0], outs[1]);
}
