// Attention by products of SIDE x SIDE pieces: halves as operands, sums in f32. A workgroup owns OWN tokens
// and lets others pass by, OTHER at a time. Its subgroups lie in a grid of SUBGROUPS_DOWN x SUBGROUPS_ACROSS:
// of scores [OWN, OTHER] and of results [OWN, features] each has a block of pieces.
//
// Nobody sees which thread has which of a piece's sums, so what is done with single scores (masks, exponents)
// goes through `reals` and comes back as weights, in `halves`. In that part a thread has PART vec4s of an
// own token's scores.

#include "attention"
#include "matrix"

override SUBGROUPS_DOWN: u32 = 2;
override SUBGROUPS_ACROSS: u32 = 2;
// Pieces of a subgroup: down, across scores, across results.
override DOWN: u32 = 2;
override ACROSS: u32 = 1;
override WIDE: u32 = 2;
// Pieces across a head, and across the scores of a block.
override DEEP: u32 = 4;
override PASSING: u32 = 2;
// Vec4s that a thread has of an own token's scores in a block.
override PART: u32 = 4;
// Results leave by way of `reals`, ACROSS pieces of a subgroup's at a time.
override SLICES: u32 = 2;
// Whether threads hold the pieces of own tokens, or take them anew for each block of passing ones.
override HOLD: bool = true;

const OWN: u32 = SIDE * DOWN * SUBGROUPS_DOWN;
const OTHER: u32 = SIDE * PASSING;
const THREADS: u32 = 32 * SUBGROUPS_DOWN * SUBGROUPS_ACROSS;
const PIECE: u32 = SIDE / 4; // vec4s of a piece's row

// A head in `halves` has whole pieces for each subgroup across: zeros behind its QUADS vec4s. Its rows begin
// 16 bytes past a multiple of 32, so that 8 of them, 16 bytes each, lie in different banks; those of weights too.
const PADDED: u32 = PIECE * DEEP;
const STRIDE: u32 = PADDED + 2;
// Of scores, in vec4s: 2 more put the rows that 8 threads read at a time into different banks.
const SCORES: u32 = OTHER / 4;
const SCORES_STRIDE: u32 = SCORES + 2;
const REALS: u32 = OWN * SCORES_STRIDE;

// Threads that share an own token's scores.
const SHARERS: u32 = SCORES / PART;

alias Own = array<array<Left, DOWN>, DEEP>;
// Of a thread, an own token's scores.
alias Part = array<vec4f, PART>;
alias Results = array<array<Sums, WIDE>, DOWN>;

// A vec4 of `qkv`, which the kernel binds; zeros past the end of the row and behind the head.
fn load(row: u32, token: u32, column: u32, quad: u32) -> vec4<f16> {
    if token >= sizes.context || quad >= QUADS { return vec4<f16>(); }
    return qkv[token_of(row, token) * width() + column + quad];
}

// Keys and values of `count` tokens from `first` on, to halves[keys] and halves[values].
fn stage(lane: u32, row: u32, first: u32, count: u32, kv: u32, keys: u32, values: u32) {
    for (var i = lane; i < count * PADDED; i += THREADS) {
        let to = i / PADDED * STRIDE + i % PADDED;
        let token = first + i / PADDED;
        halves[keys + to] = load(row, token, key_column(kv), i % PADDED);
        halves[values + to] = load(row, token, value_column(kv), i % PADDED);
    }
}

// Where a subgroup's block begins.
fn row_of(subgroup: u32) -> u32 { return subgroup / SUBGROUPS_ACROSS * DOWN * SIDE; }
fn across_of(subgroup: u32) -> u32 { return subgroup % SUBGROUPS_ACROSS; }

fn own_piece(subgroup: u32, own: u32, i: u32, k: u32) -> Left {
    return left(own + (row_of(subgroup) + i * SIDE) * STRIDE + k * PIECE, STRIDE);
}

// The own tokens that lie at halves[own], which nothing overwrites from then on.
fn hold(pieces: ptr<function, Own>, subgroup: u32, own: u32) {
    if HOLD {
        for (var k = 0u; k < DEEP; k++) { // unroll
            for (var i = 0u; i < DOWN; i++) { // unroll
                (*pieces)[k][i] = own_piece(subgroup, own, i, k);
            }
        }
    }
}

// reals[own token, passing token] = products of their vectors, at halves[own] (or held) and halves[other].
fn score(pieces: ptr<function, Own>, subgroup: u32, own: u32, other: u32) {
    let first = across_of(subgroup) * ACROSS;
    var sums: array<array<Sums, ACROSS>, DOWN>;
    for (var k = 0u; k < DEEP; k++) { // unroll
        var its: array<Left, DOWN>;
        for (var i = 0u; i < DOWN; i++) { // unroll
            if HOLD { its[i] = (*pieces)[k][i]; } else { its[i] = own_piece(subgroup, own, i, k); }
        }
        for (var j = 0u; j < ACROSS; j++) { // unroll
            let passing = right_transposed(other + (first + j) * SIDE * STRIDE + k * PIECE, STRIDE);
            for (var i = 0u; i < DOWN; i++) { // unroll
                sums[i][j] = multiply_add(its[i], passing, sums[i][j]);
            }
        }
    }
    for (var i = 0u; i < DOWN; i++) { // unroll
        for (var j = 0u; j < ACROSS; j++) { // unroll
            let row = row_of(subgroup) + i * SIDE;
            keep(sums[i][j], row * SCORES_STRIDE + (first + j) * PIECE, SCORES_STRIDE);
        }
    }
}

fn weights_piece(subgroup: u32, weights: u32, i: u32, k: u32) -> Left {
    return left(weights + (row_of(subgroup) + i * SIDE) * SCORES_STRIDE + k * PIECE, SCORES_STRIDE);
}

// results += weights [OWN, OTHER] at halves[weights] times the vectors of passing tokens at halves[other].
fn add_weighted(results: ptr<function, Results>, subgroup: u32, weights: u32, other: u32) {
    for (var k = 0u; k < PASSING; k++) { // unroll
        var its: array<Left, DOWN>;
        for (var i = 0u; i < DOWN; i++) { // unroll
            its[i] = weights_piece(subgroup, weights, i, k);
        }
        for (var f = 0u; f < WIDE; f++) { // unroll
            let column = (across_of(subgroup) * WIDE + f) * PIECE;
            let passing = right(other + k * SIDE * STRIDE + column, STRIDE);
            for (var i = 0u; i < DOWN; i++) { // unroll
                (*results)[i][f] = multiply_add(its[i], passing, (*results)[i][f]);
            }
        }
    }
}

// A slice of the results to `reals`. Sums are indexed by numbers that the compiler knows, or else they would
// lie in memory: hence the question to each.
fn keep_slice(results: ptr<function, Results>, subgroup: u32, slice: u32) {
    for (var f = 0u; f < WIDE; f++) { // unroll
        if f / ACROSS == slice {
            for (var i = 0u; i < DOWN; i++) { // unroll
                let row = row_of(subgroup) + i * SIDE;
                let column = (across_of(subgroup) * ACROSS + f % ACROSS) * PIECE;
                keep((*results)[i][f], row * SCORES_STRIDE + column, SCORES_STRIDE);
            }
        }
    }
}

// Which vec4 of the head is at a column of the slice; none, of those that are past the subgroup's last or
// behind the head.
fn quad_of(slice: u32, column: u32) -> u32 {
    let piece = column / PIECE;
    let f = slice * ACROSS + piece % ACROSS;
    let quad = (piece / ACROSS * WIDE + f) * PIECE + column % PIECE;
    return select(QUADS, quad, f < WIDE);
}

// For each of the four tokens from `first` on, whether it is at or before `last`.
fn until(first: u32, last: u32) -> vec4<bool> {
    return first + vec4u(0, 1, 2, 3) <= vec4u(last);
}
