// Attention by products of SIDE x SIDE pieces, with operands in halves and sums in f32. A workgroup owns OWN tokens and
// loops over the others, OTHER at a time. Its subgroups form a grid of SUBGROUPS_DOWN x SUBGROUPS_ACROSS; each has a
// block of pieces of the scores [OWN, OTHER] and of the results [OWN, features].
// The assignment of a piece's sums to threads is unknown. Operations on single scores (masks, exponentials) therefore
// read the scores from `reals` and write the weights to `halves`. For these, a thread has PART vec4s of an own token's
// scores.

#include "attention"
#include "matrix"

override SUBGROUPS_DOWN: u32 = 2;
override SUBGROUPS_ACROSS: u32 = 2;
// Pieces of a subgroup: along own tokens, across scores, and across results.
override DOWN: u32 = 2;
override ACROSS: u32 = 1;
override WIDE: u32 = 2;
// Pieces across a head, and across the scores of a block.
override DEEP: u32 = 4;
override PASSING: u32 = 2;
// Vec4s that a thread has of an own token's scores in a block.
override PART: u32 = 4;
// Results are stored through `reals`, ACROSS pieces of each subgroup at a time.
override SLICES: u32 = 2;
// Whether threads hold the pieces of own tokens, or load them again for each block of other tokens.
override HOLD: bool = true;

const OWN: u32 = SIDE * DOWN * SUBGROUPS_DOWN;
const OTHER: u32 = SIDE * PASSING;
const THREADS: u32 = 32 * SUBGROUPS_DOWN * SUBGROUPS_ACROSS;
const PIECE: u32 = SIDE / 4; // vec4s of a piece's row

// A head in `halves` is padded with zeros after its QUADS vec4s to whole pieces for each subgroup across. The stride
// between rows is 16 bytes more than a multiple of 32, so that 16 bytes of each of 8 rows are in different banks. This
// also holds for rows of weights.
const PADDED: u32 = PIECE * DEEP;
const STRIDE: u32 = PADDED + 2;
// Vec4s of a row of scores, and stride between rows. The stride has 2 more, so that the rows that 8 threads read at a
// time are in different banks.
const SCORES: u32 = OTHER / 4;
const SCORES_STRIDE: u32 = SCORES + 2;
const REALS: u32 = OWN * SCORES_STRIDE;

// Threads that share an own token's scores.
const SHARERS: u32 = SCORES / PART;

alias Own = array<array<Left, DOWN>, DEEP>;
// A thread's part of an own token's scores.
alias Part = array<vec4f, PART>;
alias Results = array<array<Sums, WIDE>, DOWN>;

// A vec4 of the kernel's `qkv`; zeros past the end of the row and of the head.
fn load(row: u32, token: u32, column: u32, quad: u32) -> vec4<f16> {
    if token >= sizes.context || quad >= QUADS { return vec4<f16>(); }
    return qkv[token_of(row, token) * width() + column + quad];
}

// Loads keys and values of `count` tokens from `first` on to halves[keys] and halves[values].
fn stage(lane: u32, row: u32, first: u32, count: u32, kv: u32, keys: u32, values: u32) {
    for (var i = lane; i < count * PADDED; i += THREADS) {
        let to = i / PADDED * STRIDE + i % PADDED;
        let token = first + i / PADDED;
        halves[keys + to] = load(row, token, key_column(kv), i % PADDED);
        halves[values + to] = load(row, token, value_column(kv), i % PADDED);
    }
}

// Start of a subgroup's block.
fn row_of(subgroup: u32) -> u32 { return subgroup / SUBGROUPS_ACROSS * DOWN * SIDE; }
fn across_of(subgroup: u32) -> u32 { return subgroup % SUBGROUPS_ACROSS; }

fn own_piece(subgroup: u32, own: u32, i: u32, k: u32) -> Left {
    return left(own + (row_of(subgroup) + i * SIDE) * STRIDE + k * PIECE, STRIDE);
}

// Loads the pieces of own tokens from halves[own], if HOLD. Nothing may overwrite halves[own] afterwards.
fn hold(pieces: ptr<function, Own>, subgroup: u32, own: u32) {
    if HOLD {
        for (var k = 0u; k < DEEP; k++) { // unroll
            for (var i = 0u; i < DOWN; i++) { // unroll
                (*pieces)[k][i] = own_piece(subgroup, own, i, k);
            }
        }
    }
}

// reals[own token, other token] = products of their vectors, at halves[own] (or held) and halves[other].
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

// results += weights [OWN, OTHER] at halves[weights] times the vectors of other tokens at halves[other].
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

// Stores a slice of the results in `reals`. Sums must have constant indices, or the compiler would keep them in
// memory; the loop therefore tests each index.
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

// Index of the vec4 of the head at a column of the slice; QUADS or more past the end of the subgroup's results or of
// the head.
fn quad_of(slice: u32, column: u32) -> u32 {
    let piece = column / PIECE;
    let f = slice * ACROSS + piece % ACROSS;
    let quad = (piece / ACROSS * WIDE + f) * PIECE + column % PIECE;
    return select(QUADS, quad, f < WIDE);
}

// For each of the four tokens from `first` on, whether it is in `begin..end`.
fn within(first: u32, begin: u32, end: u32) -> vec4<bool> {
    let token = first + vec4u(0, 1, 2, 3);
    return (token >= vec4u(begin)) & (token < vec4u(end));
}
