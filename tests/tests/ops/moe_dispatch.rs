use nitp_core::ops::moe_dispatch::{MoeDispatch, NO_TILE, TILE_ROWS};
use nitp_core::tensor::View;
use nitp_tests::as_real::AsReal;
use nitp_tests::op_case::OpCase;

/// The distribution of tokens over experts.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// All experts, the first ones more often.
    Skewed,
    /// One expert gets every pair.
    One(u32),
}

/// Tokens, experts, top k and load of a case.
pub type Routing = (usize, usize, usize, Load);

/// One pair; every expert chosen; experts without pairs; all pairs to the first or the last;
/// tiles and chunks (of 256 pairs) that are not full.
pub const ROUTINGS: [Routing; 7] = [
    (1, 1, 1, Load::Skewed),
    (1, 9, 9, Load::Skewed),
    (3, 9, 1, Load::Skewed),
    (70, 8, 3, Load::Skewed),
    (40, 5, 2, Load::One(0)),
    (33, 5, 2, Load::One(4)),
    (300, 3, 2, Load::Skewed),
];

/// The op that sorts the pairs of a routing, with its operands.
pub fn dispatch(case: &mut OpCase, (tokens, num_experts, top_k, load): Routing) -> MoeDispatch {
    let pairs = tokens * top_k;
    let experts = (0..pairs)
        .map(|_| match load {
            Load::Skewed => {
                let end = 1 + case.below(num_experts);
                case.below(end) as u32
            }
            Load::One(expert) => expert,
        })
        .collect();
    let experts = case.ints("experts", &[tokens, top_k], experts);
    dispatch_of(case, experts, num_experts)
}

/// The op that sorts the pairs of a tensor of experts.
pub fn dispatch_of(case: &mut OpCase, experts: View, num_experts: usize) -> MoeDispatch {
    let pairs = experts.len;
    let tiles = MoeDispatch::max_tiles(pairs, num_experts);
    let chunks = MoeDispatch::chunks(pairs);
    MoeDispatch {
        experts,
        counts: case.output_u32("counts", &[num_experts]),
        offsets: case.output_u32("offsets", &[num_experts + 1]),
        order: case.output_u32("order", &[pairs]),
        position: case.output_u32("position", &[pairs]),
        tile_expert: case.output_u32("tile_expert", &[tiles]),
        tile_row: case.output_u32("tile_row", &[tiles]),
        chunk_counts: case.output_u32("chunk_counts", &[chunks, num_experts]),
        tile_offsets: case.output_u32("tile_offsets", &[num_experts + 1]),
        pairs,
        num_experts,
    }
}

/// Shows an integer operand as reals.
pub fn show(case: &mut OpCase, of: &'static str, x: View) -> AsReal {
    let y = case.output(&format!("shown {:?}", x.id), &[x.len]);
    AsReal { of, x, y }
}

fn check(routing: Routing) -> (MoeDispatch, Vec<u32>, Vec<Vec<f64>>) {
    let mut case = OpCase::new(routing.0 as u64);
    let op = dispatch(&mut case, routing);
    let results = [op.counts, op.offsets, op.order, op.position, op.tile_expert, op.tile_row];
    let [a, b, c, d, e, f] = results.map(|x| show(&mut case, "moe_dispatch", x));
    let experts = show(&mut case, "moe_dispatch", op.experts);
    let outputs = [a, b, c, d, e, f].map(|shown| shown.y);
    case.check(&[&op, &a, &b, &c, &d, &e, &f], &outputs);
    let experts = case.twin(&[&experts], &[experts.y]).remove(0);
    let experts = experts.into_iter().map(|x| x as u32).collect();
    (op, experts, case.twin(&[&op, &a, &b, &c, &d, &e, &f], &outputs))
}

#[test]
fn every_executor_sorts_alike() {
    ROUTINGS.into_iter().for_each(|routing| drop(check(routing)));
}

#[test]
fn more_experts_than_lanes_and_more_chunks_than_lanes() {
    check((200, 144, 8, Load::Skewed));
    check((9000, 3, 2, Load::Skewed));
}

#[test]
fn the_twin_is_a_stable_sort_and_its_tiles_cover_each_row_once() {
    for routing in ROUTINGS {
        let (op, experts, results) = check(routing);
        let ints = |i: usize| results[i].iter().map(|&x| x as i32 as u32).collect::<Vec<u32>>();
        let (counts, offsets, order, position) = (ints(0), ints(1), ints(2), ints(3));

        let mut sorted: Vec<u32> = (0..op.pairs as u32).collect();
        sorted.sort_by_key(|&pair| experts[pair as usize]);
        assert_eq!(order, sorted);
        for (row, &pair) in order.iter().enumerate() {
            assert_eq!(position[pair as usize], row as u32);
        }
        for e in 0..op.num_experts {
            let count = experts.iter().filter(|&&expert| expert == e as u32).count();
            assert_eq!(counts[e], count as u32);
            assert_eq!(offsets[e + 1] - offsets[e], counts[e]);
        }
        assert_eq!((offsets[0], offsets[op.num_experts]), (0, op.pairs as u32));

        let mut next = 0;
        for (tile_expert, row) in ints(4).into_iter().zip(ints(5)) {
            if tile_expert == NO_TILE {
                assert_eq!((row, next), (NO_TILE, op.pairs as u32));
                continue;
            }
            assert_eq!(row, next);
            assert_eq!(experts[order[row as usize] as usize], tile_expert);
            next = offsets[tile_expert as usize + 1].min(row + TILE_ROWS as u32);
        }
        assert_eq!(next, op.pairs as u32);
    }
}
