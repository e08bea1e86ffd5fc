use nitp_core::ops::rope::{Rope, table};
use nitp_tests::op_case::OpCase;

/// (rows, context, q_heads, kv_heads, head_dim)
const SHAPES: [(usize, usize, usize, usize, usize); 4] =
    [(1, 1, 1, 1, 2), (2, 7, 4, 2, 6), (3, 33, 2, 1, 20), (1, 70, 3, 3, 32)];

fn rope(case: &mut OpCase, shape: (usize, usize, usize, usize, usize), inverse: bool) -> Rope {
    let (rows, context, q_heads, kv_heads, head_dim) = shape;
    let tokens = rows * context;
    let qkv = case.random("qkv", &[tokens, (q_heads + 2 * kv_heads) * head_dim]);
    let angles = table(context, head_dim, 10_000.0, None).into_iter().map(f64::from).collect();
    let table = case.reals("table", &[context, head_dim], angles);
    Rope { qkv, table, tokens, context, q_heads, kv_heads, head_dim, inverse }
}

#[test]
fn both_ways_on_every_executor() {
    for shape in SHAPES {
        for (inverse, halves) in
            [(false, &[][..]), (true, &[]), (false, &["qkv"]), (true, &["qkv"])]
        {
            let mut case = OpCase::with_halves(11, halves);
            let op = rope(&mut case, shape, inverse);
            case.check(&[&op], &[op.qkv]);
        }
    }
}

#[test]
fn the_inverse_undoes_it_and_values_stay() {
    let mut case = OpCase::new(12);
    let op = rope(&mut case, SHAPES[1], false);
    let before = case.twin(&[], &[op.qkv]).remove(0);
    let rotated = case.twin(&[&op], &[op.qkv]).remove(0);
    let back = case.twin(&[&op, &Rope { inverse: true, ..op }], &[op.qkv]).remove(0);
    let width = 8 * 6;
    for (i, ((before, rotated), back)) in before.iter().zip(&rotated).zip(&back).enumerate() {
        assert!((before - back).abs() < 1e-6);
        if i % width >= 6 * 6 {
            assert_eq!(before, rotated);
        }
    }
    assert_ne!(before, rotated);
}

#[test]
fn the_rotation_is_its_own_gradient_turned_round() {
    let mut case = OpCase::new(13);
    let op = rope(&mut case, (1, 5, 2, 1, 4), false);
    let angles = case.twin(&[], &[op.table]).remove(0);
    case.check_gradient(&[&op], &[op.qkv], &[op.qkv], |weights, _| {
        let mut case = OpCase::exact(14);
        let op = rope(&mut case, (1, 5, 2, 1, 4), true);
        let qkv = case.reals("dqkv", &[weights[0].len()], weights[0].clone());
        let table = case.reals("angles", &[angles.len()], angles);
        case.twin(&[&Rope { qkv, table, ..op }], &[qkv])
    });
}
