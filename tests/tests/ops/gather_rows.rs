use nitp_core::ops::gather_rows::GatherRows;
use nitp_tests::op_case::OpCase;

/// (rows to pick from, rows picked, width); 64 lanes copy a row.
const SHAPES: [(usize, usize, usize); 5] =
    [(1, 1, 1), (3, 70, 12), (257, 5, 65), (2, 33, 200), (9, 9, 64)];

fn op(case: &mut OpCase, source_rows: usize, index: Vec<u32>, width: usize) -> GatherRows {
    let rows = index.len();
    GatherRows {
        x: case.random("x", &[source_rows, width]),
        index: case.ints("index", &[rows], index),
        y: case.output("y", &[rows, width]),
        rows,
        width,
    }
}

#[test]
fn any_rows_on_every_executor() {
    for (source_rows, rows, width) in SHAPES {
        let mut case = OpCase::new(rows as u64);
        let index = (0..rows).map(|_| case.below(source_rows) as u32).collect();
        let op = op(&mut case, source_rows, index, width);
        // The source must not change.
        case.check(&[&op], &[op.y, op.x]);
    }
}

#[test]
fn the_rows_are_those_of_the_index_and_may_repeat() {
    let (index, width) = ([4, 0, 4, 2], 3);
    let mut case = OpCase::new(1);
    let op = op(&mut case, 5, index.to_vec(), width);
    let x = case.twin(&[], &[op.x]).remove(0);
    let expected: Vec<f64> =
        index.iter().flat_map(|&row| &x[row as usize * width..][..width]).copied().collect();
    case.expect(&[&op], &[(op.y, &expected)]);
}

#[test]
fn an_index_past_the_end_reads_the_last_row_on_the_gpu() {
    let mut case = OpCase::new(2);
    let past = op(&mut case, 3, vec![1, 3, u32::MAX], 2);
    let inside = GatherRows { index: case.ints("inside", &[3], vec![1, 2, 2]), ..past };
    let expected = case.twin(&[&inside], &[inside.y]).remove(0);
    let found = case.gpu(&[&past], &[past.y]).remove(0);
    assert_eq!(found.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), expected);
}
