// Attention for real GPUs: a workgroup owns OWN tokens in workgroup memory, and loops over the others, OTHER at a time.
// QUADS threads share EACH own tokens. Each thread computes their scores with ACROSS other tokens, and one vec4 of each
// of their results. It loads only vec4s from workgroup memory, and uses each for many products.

#include "attention"

override OWN: u32 = 16;   // a multiple of EACH
override OTHER: u32 = 16; // at most ACROSS * QUADS
// Own tokens of a thread: always 4, whose scores with another token form a vec4. An override, because loops marked
// `unroll` need one.
override EACH: u32 = 4;
override ACROSS: u32 = 1;
// Vec4s that a thread loads of a vector of each of a block's other tokens: OTHER * EACH / OWN.
override LOADS: u32 = 4;
const_assert LOADS * THREADS == OTHER * QUADS;

// Vec4s from row to row: padded to an odd number, so that the elements of a column are in different banks.
const STRIDE: u32 = QUADS | 1;
const THREADS: u32 = OWN / EACH * QUADS;

// Number of threads that compute scores, among those that share own tokens.
const SCORING: u32 = OTHER / ACROSS;
// Values of pairs are stored by other tokens, so that those of four own tokens form a vec4.
const OWN_FOURS: u32 = OWN / 4;

// A thread's share of a vector of other tokens. It is loaded into registers during the products before it is needed.
alias Loads = array<vec4f, LOADS>;

// Index of a token in the batch. Tokens past the end of the row read the last one: they get no weight, and their results
// are not stored. Without a branch, a thread has all of its loads under way at the same time.
fn read_token(row: u32, token: u32) -> u32 {
    return token_of(row, min(token, sizes.context - 1));
}

fn load(row: u32, token: u32, column: u32) -> vec4f {
    return load4_qkv(read_token(row, token) * width() + column);
}

// A thread's share of the vectors at a head's column of the kernel's `qkv`, of other tokens from `first` on.
fn fetch(lane: u32, row: u32, first: u32, column: u32) -> Loads {
    var loads: Loads;
    for (var i = 0u; i < LOADS; i++) { // unroll
        let at = i * THREADS + lane;
        loads[i] = load(row, first + at / QUADS, column + at % QUADS);
    }
    return loads;
}

// Place of a share's vec4 in workgroup memory.
fn slot(load: u32, lane: u32) -> u32 {
    let at = load * THREADS + lane;
    return at / QUADS * STRIDE + at % QUADS;
}

fn add_dot(sum: f32, a: vec4f, b: vec4f) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
