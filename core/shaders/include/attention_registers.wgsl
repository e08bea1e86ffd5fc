// Attention for software adapters, without workgroup memory, which is no faster than other memory there, and without
// barriers, which are context switches.
// A thread owns ROWS tokens in registers (in fact on the stack, in the first-level cache), and loops over the others,
// four at a time. Loads are the most expensive part: one for each lane and element. The lanes of a subgroup therefore
// each load a part of the four tokens' vec4s, and exchange them by shuffles. A workgroup has as many threads as share
// loads, so that the lane to shuffle from is a constant.

#include "attention"

override LANES: u32 = 8; // threads of a workgroup: at most those of a subgroup
override ROWS: u32 = 4;

// Loads of a lane for four tokens.
const SHARE: u32 = (4 * QUADS + LANES - 1) / LANES;

// Index among the 4 QUADS vec4s of the one that a lane loads in its load `i`.
fn spot(i: u32, lane: u32) -> u32 { return min(i * LANES + lane, 4 * QUADS - 1); }

fn hand_round(held: ptr<function, array<vec4f, SHARE>>, at: u32) -> vec4f {
    return subgroupShuffle((*held)[at / LANES], at % LANES);
}

// Vec4 `c` of each of the four tokens.
fn four(held: ptr<function, array<vec4f, SHARE>>, c: u32) -> mat4x4f {
    return mat4x4f(
        hand_round(held, c),
        hand_round(held, QUADS + c),
        hand_round(held, 2 * QUADS + c),
        hand_round(held, 3 * QUADS + c),
    );
}

// Values of the first four lanes.
fn of_four(x: f32) -> vec4f {
    return vec4f(
        subgroupShuffle(x, 0u),
        subgroupShuffle(x, 1u),
        subgroupShuffle(x, 2u),
        subgroupShuffle(x, 3u),
    );
}
