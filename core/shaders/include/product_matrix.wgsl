// A product of halves by matrix units. A workgroup owns TILE_M x TILE_N results, each of its subgroups ROWS x COLUMNS
// of them. Slices of both factors, TILE_K deep, are copied to workgroup memory with the layout that they have in
// memory, rows along k or along m and n. Matrix units load transposed pieces directly.

#include "product"
#include "matrix"

// Subgroups of a workgroup along rows and columns.
override SUBGROUPS_M: u32 = 2;
override SUBGROUPS_N: u32 = 2;
// A subgroup's results and the depth of a slice, in pieces of SIDE x SIDE.
override DOWN: u32 = 4;
override ACROSS: u32 = 4;
override DEEP: u32 = 2;
// Loads of a thread for a slice of each factor.
override A_LOADS: u32 = 8;
override B_LOADS: u32 = 8;
// Whether k is a multiple of a slice's depth.
override WHOLE: bool = false;
// Vec4s of a piece that a thread stores.
override STORES: u32 = 2;

const THREADS: u32 = 32 * SUBGROUPS_M * SUBGROUPS_N;
const ROWS: u32 = SIDE * DOWN; // of a subgroup's results
const COLUMNS: u32 = SIDE * ACROSS;
const TILE_M: u32 = ROWS * SUBGROUPS_M;
const TILE_N: u32 = COLUMNS * SUBGROUPS_N;
const TILE_K: u32 = SIDE * DEEP;

// Vec4s of a row of a slice, and the stride between rows, which has 8 more halves to put rows into different banks.
const A_QUADS: u32 = (TILE_K + u32(A_BY_K) * (TILE_M - TILE_K)) / 4;
const B_QUADS: u32 = (TILE_K + u32(B_BY_K) * (TILE_N - TILE_K)) / 4;
const A_STRIDE: u32 = A_QUADS + 2;
const B_STRIDE: u32 = B_QUADS + 2;
const A_LEN: u32 = TILE_M * TILE_K / 4 / A_QUADS * A_STRIDE;
const B_LEN: u32 = TILE_N * TILE_K / 4 / B_QUADS * B_STRIDE;
const HALVES: u32 = A_LEN + B_LEN;

// Results are stored through workgroup memory, too, a piece of each subgroup at a time.
const RESULT_STRIDE: u32 = SIDE / 4 + 1;
const RESULT_LEN: u32 = SIDE * RESULT_STRIDE;
const REALS: u32 = SUBGROUPS_M * SUBGROUPS_N * RESULT_LEN;

// Indices of threads. The indices for storing results are computed from one that is read after the loop. Otherwise,
// compilers would compute them before the loop and keep them in registers, which the sums need.
var<workgroup> lanes: array<u32, THREADS>;

const BARRIERS: bool = true;

struct Thread { @builtin(local_invocation_index) lane: u32 }

// The first k, within a slice, of a thread's load, and the index of its vec4 at k = part.begin. Rows and columns past
// the last read the last one; their results are not stored.
fn a_depth(load: u32, lane: u32) -> u32 {
    let at = load * THREADS + lane;
    if A_BY_K { return at / A_QUADS; }
    return at % A_QUADS * 4;
}

fn a_begin(part: Part, load: u32, lane: u32) -> u32 {
    let at = load * THREADS + lane;
    let k = part.begin + a_depth(load, lane);
    if A_BY_K { return (k * sizes.m + min(part.row + at % A_QUADS * 4, sizes.m - 4)) / 4; }
    return (min(part.row + at / A_QUADS, part.row_end - 1) * sizes.k + k) / 4;
}

fn b_depth(load: u32, lane: u32) -> u32 {
    let at = load * THREADS + lane;
    if B_BY_K { return at / B_QUADS; }
    return at % B_QUADS * 4;
}

fn b_begin(part: Part, load: u32, lane: u32) -> u32 {
    let at = load * THREADS + lane;
    let k = part.begin + b_depth(load, lane);
    if B_BY_K { return part.b + (k * sizes.n + min(part.column + at % B_QUADS * 4, sizes.n - 4)) / 4; }
    return part.b + (b_row(min(part.column + at / B_QUADS, sizes.n - 1)) * sizes.k + k) / 4;
}

// The piece of a at a row and a k of the slice, and the piece of b at a k and a column.
fn left_at(row: u32, k: u32) -> Left {
    if A_BY_K { return left_transposed(k * A_STRIDE + row / 4, A_STRIDE); }
    return left(row * A_STRIDE + k / 4, A_STRIDE);
}

fn right_at(k: u32, column: u32) -> Right {
    if B_BY_K { return right(A_LEN + k * B_STRIDE + column / 4, B_STRIDE); }
    return right_transposed(A_LEN + column * B_STRIDE + k / 4, B_STRIDE);
}

// Call it in uniform control flow.
fn multiply(part: Part, thread: Thread) {
    let lane = thread.lane;
    begin_matrices(lane);
    lanes[lane] = lane;
    let subgroup = lane / 32;
    let row = subgroup / SUBGROUPS_N * ROWS;
    let column = subgroup % SUBGROUPS_N * COLUMNS;
    var sums: array<Sums, DOWN * ACROSS>;
    var its_a: array<vec4<f16>, A_LOADS>;
    var its_b: array<vec4<f16>, B_LOADS>;
    var a_at: array<u32, A_LOADS>;
    var b_at: array<u32, B_LOADS>;
    for (var i = 0u; i < A_LOADS; i++) { // unroll
        a_at[i] = a_begin(part, i, lane);
    }
    for (var i = 0u; i < B_LOADS; i++) { // unroll
        b_at[i] = b_begin(part, i, lane);
    }
    let a_step = (TILE_K + u32(A_BY_K) * TILE_K * (sizes.m - 1)) / 4;
    let b_step = (TILE_K + u32(B_BY_K) * TILE_K * (sizes.n - 1)) / 4;
    // Loads and products do not overlap in a workgroup: while it waits for a slice, another workgroup on the same
    // processor multiplies.
    var slice = 0u;
    for (var k = part.begin; k < part.end; k += TILE_K) {
        if WHOLE || k + TILE_K <= part.end {
            for (var i = 0u; i < A_LOADS; i++) { // unroll
                its_a[i] = a[a_at[i] + slice * a_step];
            }
            for (var i = 0u; i < B_LOADS; i++) { // unroll
                its_b[i] = b[b_at[i] + slice * b_step];
            }
        } else {
            // Zeros past the end.
            for (var i = 0u; i < A_LOADS; i++) { // unroll
                its_a[i] = vec4<f16>();
                if k + a_depth(i, lane) < part.end { its_a[i] = a[a_at[i] + slice * a_step]; }
            }
            for (var i = 0u; i < B_LOADS; i++) { // unroll
                its_b[i] = vec4<f16>();
                if k + b_depth(i, lane) < part.end { its_b[i] = b[b_at[i] + slice * b_step]; }
            }
        }
        slice++;
        // The previous slice has been multiplied.
        workgroupBarrier();
        for (var i = 0u; i < A_LOADS; i++) { // unroll
            let at = i * THREADS + lane;
            halves[at / A_QUADS * A_STRIDE + at % A_QUADS] = its_a[i];
        }
        for (var i = 0u; i < B_LOADS; i++) { // unroll
            let at = i * THREADS + lane;
            halves[A_LEN + at / B_QUADS * B_STRIDE + at % B_QUADS] = its_b[i];
        }
        workgroupBarrier();
        for (var deep = 0u; deep < DEEP; deep++) { // unroll
            var lefts: array<Left, DOWN>;
            for (var i = 0u; i < DOWN; i++) { // unroll
                lefts[i] = left_at(row + i * SIDE, deep * SIDE);
            }
            for (var j = 0u; j < ACROSS; j++) { // unroll
                let its = right_at(deep * SIDE, column + j * SIDE);
                for (var i = 0u; i < DOWN; i++) { // unroll
                    sums[i * ACROSS + j] = multiply_add(lefts[i], its, sums[i * ACROSS + j]);
                }
            }
        }
    }
    let its = lanes[lane];
    let its_subgroup = its / 32;
    let first_row = part.row + its_subgroup / SUBGROUPS_N * ROWS;
    let first_column = part.column + its_subgroup % SUBGROUPS_N * COLUMNS;
    let its_reals = its_subgroup * RESULT_LEN;
    for (var i = 0u; i < DOWN; i++) { // unroll
        for (var j = 0u; j < ACROSS; j++) { // unroll
            keep(sums[i * ACROSS + j], its_reals, RESULT_STRIDE);
            workgroupBarrier();
            for (var load = 0u; load < STORES; load++) { // unroll
                let at = its % 32 + load * 32;
                let line = at / (SIDE / 4);
                let quad = at % (SIDE / 4);
                let to = first_row + i * SIDE + line;
                let column = first_column + j * SIDE + 4 * quad;
                if to < part.row_end && column < sizes.n {
                    store(part, to, column, reals[its_reals + line * RESULT_STRIDE + quad]);
                }
            }
            workgroupBarrier();
        }
    }
}
