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
// Vec4s that a thread loads of a vector of each of a block's other tokens: OTHER * PADDED / THREADS.
override LOADS: u32 = 4;
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
const_assert LOADS * THREADS == OTHER * PADDED;
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

// Tokens past the end of the row read the last one: they get no weight, and their results are not stored. Without a
// branch, a thread has all of its loads under way at the same time.
fn read_token(row: u32, token: u32) -> u32 {
    return token_of(row, min(token, sizes.context - 1));
}

// Column `quad` of a padded head, and zeros in the padding.
fn read_quad(quad: u32) -> u32 { return min(quad, QUADS - 1); }
fn padded(its: vec4<f16>, quad: u32) -> vec4<f16> {
    return select(vec4<f16>(), its, PADDED == QUADS || quad < QUADS);
}

// A vec4 of a head in the kernel's `qkv`, whose heads begin at `column`.
fn load(row: u32, token: u32, column: u32, quad: u32) -> vec4<f16> {
    return padded(qkv[read_token(row, token) * width() + column + read_quad(quad)], quad);
}

// Loads a head of the own tokens to halves[to].
fn stage_own(lane: u32, row: u32, first: u32, column: u32, to: u32) {
    for (var i = lane; i < OWN * PADDED; i += THREADS) {
        halves[to + i / PADDED * STRIDE + i % PADDED] = load(row, first + i / PADDED, column, i % PADDED);
    }
}

// A thread's share of a head of other tokens. It is loaded into registers during the products before it is needed.
alias Loads = array<vec4<f16>, LOADS>;

fn fetch(lane: u32, row: u32, first: u32, column: u32) -> Loads {
    var loads: Loads;
    for (var i = 0u; i < LOADS; i++) { // unroll
        let at = i * THREADS + lane;
        loads[i] = load(row, first + at / PADDED, column, at % PADDED);
    }
    return loads;
}

// Stores a share at halves[to].
fn put(loads: Loads, lane: u32, to: u32) {
    for (var i = 0u; i < LOADS; i++) { // unroll
        let at = i * THREADS + lane;
        halves[to + at / PADDED * STRIDE + at % PADDED] = loads[i];
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
