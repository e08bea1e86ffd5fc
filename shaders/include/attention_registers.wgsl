// Attention for software adapters: no shared memory, which is no faster than any other there, and no
// barrier, which is a switch of contexts.
//
// A thread owns ROWS tokens in registers (the compiler's stack, and so the first cache). Four tokens
// pass by at a time. What costs most is a load, one a lane and element; so the lanes of a subgroup share
// out the vec4s of the four, and hand them round by shuffles. A workgroup is as many threads as share, so
// that the lane to shuffle from is a constant.

enable subgroups;

#include "attention"

override LANES: u32 = 8; // threads of a workgroup: not more than a subgroup has
override ROWS: u32 = 4;

// Loads of a lane for four tokens.
const SHARE: u32 = (4 * QUADS + LANES - 1) / LANES;

// Which of the 4 QUADS vec4s a lane holds after its load `i`.
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

// What the first four lanes hold.
fn of_four(x: f32) -> vec4f {
    return vec4f(
        subgroupShuffle(x, 0u),
        subgroupShuffle(x, 1u),
        subgroupShuffle(x, 2u),
        subgroupShuffle(x, 3u),
    );
}
