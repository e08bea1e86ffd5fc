use nitp_core::ops::embedding::{Embedding, EmbeddingBackward, sort_tokens};
use nitp_tests::op_case::OpCase;

/// (tokens, vocabulary, width); 64 lanes own a row of the table.
const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (70, 1, 7), (5, 257, 12), (70, 9, 65), (33, 40, 200), (300, 1031, 20)];

fn tokens(case: &mut OpCase, rows: usize, vocab: usize) -> Vec<u32> {
    (0..rows).map(|_| case.below(vocab) as u32).collect()
}

fn forward(case: &mut OpCase, tokens: Vec<u32>, vocab: usize, width: usize) -> Embedding {
    let rows = tokens.len();
    Embedding {
        tokens: case.ints("tokens", &[rows], tokens),
        weight: case.random("weight", &[vocab, width]),
        x: case.output("x", &[rows, width]),
        rows,
        vocab,
        width,
    }
}

/// The backward with a table of gradients that initially holds `dweight`.
fn backward(
    case: &mut OpCase,
    tokens: Vec<u32>,
    dx: Vec<f64>,
    dweight: Vec<f64>,
    width: usize,
) -> EmbeddingBackward {
    let (rows, vocab) = (tokens.len(), dweight.len() / width);
    let (sorted_positions, segment_starts) = sort_tokens(&tokens);
    EmbeddingBackward {
        tokens: case.ints("tokens", &[rows], tokens),
        sorted_positions: case.ints("sorted_positions", &[rows], sorted_positions),
        segment_starts: case.ints("segment_starts", &[rows + 1], segment_starts),
        dx: case.reals("dx", &[rows, width], dx),
        dweight: case.reals("dweight", &[vocab, width], dweight),
        rows,
        vocab,
        width,
    }
}

#[test]
fn forward_on_every_executor() {
    for (rows, vocab, width) in SHAPES {
        let mut case = OpCase::new(1);
        let tokens = tokens(&mut case, rows, vocab);
        let op = forward(&mut case, tokens, vocab, width);
        case.check(&[&op], &[op.x]);
    }
}

#[test]
fn backward_on_every_executor() {
    for (rows, vocab, width) in SHAPES {
        let mut case = OpCase::new(2);
        let tokens = tokens(&mut case, rows, vocab);
        let dx = (0..rows * width).map(|_| case.uniform()).collect();
        // As if a tied unembedding or an earlier micro-batch had added to the table before.
        let dweight = (0..vocab * width).map(|_| case.uniform()).collect();
        let op = backward(&mut case, tokens, dx, dweight, width);
        case.check(&[&op], &[op.dweight]);
        case.check(&[&op, &op], &[op.dweight]);
    }
}

#[test]
fn repeated_tokens_add_up_and_others_stay() {
    let (width, vocab) = (2, 5);
    let mut case = OpCase::new(3);
    let dx = vec![1.0, 10.0, 2.0, 20.0, 4.0, 40.0, 8.0, 80.0];
    let op = backward(&mut case, vec![4, 1, 4, 4], dx, vec![0.5; vocab * width], width);
    let expected = [0.5, 0.5, 2.5, 20.5, 0.5, 0.5, 0.5, 0.5, 13.5, 130.5];
    case.expect(&[&op], &[(op.dweight, &expected)]);
}

#[test]
fn positions_are_sorted_by_token_in_the_order_of_the_text() {
    let (positions, starts) = sort_tokens(&[7, 2, 7, 2, 0, 7]);
    assert_eq!(positions, [4, 1, 3, 0, 2, 5]);
    assert_eq!(starts, [0, 1, 3, 6, 6, 6, 6]);
    let distinct = sort_tokens(&[2, 1, 0]);
    assert_eq!(distinct, (vec![2, 1, 0], vec![0, 1, 2, 3]));
    assert_eq!(sort_tokens(&[5, 5, 5]), (vec![0, 1, 2], vec![0, 3, 3, 3]));
}

#[test]
fn backward_against_finite_differences() {
    let (vocab, width, text) = (6, 3, vec![5, 1, 1, 0, 5, 1, 3]);
    let mut case = OpCase::exact(4);
    let op = forward(&mut case, text.clone(), vocab, width);
    case.check_gradient(&[&op], &[op.weight], &[op.x], |weights, _| {
        let mut case = OpCase::exact(5);
        let op = backward(&mut case, text, weights[0].clone(), vec![0.0; vocab * width], width);
        case.twin(&[&op], &[op.dweight])
    });
}
