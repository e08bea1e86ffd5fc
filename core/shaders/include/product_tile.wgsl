// A product by workgroups that own TILE_M x TILE_N results, for real GPUs. Slices of both factors, TILE_K deep, are
// copied to workgroup memory with the layout that they have in memory, rows along k or along m and n; slices along k
// are transposed in registers. During the products of one slice, the next slice is loaded into registers. Each thread
// owns QUADS x QUADS blocks of 4x4 results, a row or column of threads apart, so that neighbouring threads read
// neighbouring vec4s.

#include "product"

override SIDE: u32 = 16; // threads in a row and in a column of the workgroup: at least 8
override QUADS: u32 = 1;
override TILE_K: u32 = 16; // 4 * DEEP
override DEEP: u32 = 4;
override LOADS: u32 = 1; // loads of a thread for a slice of each factor
override WHOLE: bool = false; // whether k is a multiple of TILE_K

const THREADS: u32 = SIDE * SIDE;
const ROW: u32 = SIDE * QUADS; // vec4s
const TILE_M: u32 = 4 * ROW;
const TILE_N: u32 = 4 * ROW;

// If rows run along k, a slice has DEEP vec4s of each row of a or column of b. Rows that are 4 apart are neighbours in
// workgroup memory, at an odd stride in vec4s, so that neighbouring threads read from different banks.
const STRIDE: u32 = DEEP | 1;
const A_LEN: u32 = ROW * TILE_K + u32(!A_BY_K) * ((TILE_M + 4) * STRIDE - ROW * TILE_K);
const B_LEN: u32 = ROW * TILE_K + u32(!B_BY_K) * ((TILE_N + 4) * STRIDE - ROW * TILE_K);

var<workgroup> tile_a: array<vec4f, A_LEN>;
var<workgroup> tile_b: array<vec4f, B_LEN>;

const BARRIERS: bool = true;

struct Thread { @builtin(local_invocation_index) lane: u32 }

// The first k of a thread's load of a slice, and its row of a or column of b.
fn depth(load: u32, lane: u32, by_k: bool) -> u32 {
    let at = load * THREADS + lane;
    if by_k { return at / ROW; }
    return at % DEEP * 4;
}

fn across(load: u32, lane: u32, by_k: bool) -> u32 {
    let at = load * THREADS + lane;
    if by_k { return at % ROW * 4; }
    return at / DEEP;
}

// Index of the load in memory. Rows and columns past the last read the last one; their results are not stored.
fn a_begin(part: Part, load: u32, lane: u32) -> u32 {
    let k = part.begin + depth(load, lane, A_BY_K);
    let row = part.row + across(load, lane, A_BY_K);
    if A_BY_K { return (k * sizes.m + min(row, sizes.m - 4)) / 4; }
    return (min(row, part.row_end - 1) * sizes.k + k) / 4;
}

fn b_begin(part: Part, load: u32, lane: u32) -> u32 {
    let k = part.begin + depth(load, lane, B_BY_K);
    let column = part.column + across(load, lane, B_BY_K);
    if B_BY_K { return part.b + (k * sizes.n + min(column, sizes.n - 4)) / 4; }
    return part.b + (b_row(min(column, sizes.n - 1)) * sizes.k + k) / 4;
}

// Zeros past the end of k.
fn fetch_a(part: Part, k: u32, load: u32, lane: u32, at: u32) -> vec4f {
    if !WHOLE && k + depth(load, lane, A_BY_K) >= part.end { return vec4f(); }
    return load4_a(at);
}

fn fetch_b(part: Part, k: u32, load: u32, lane: u32, at: u32) -> vec4f {
    if !WHOLE && k + depth(load, lane, B_BY_K) >= part.end { return vec4f(); }
    return load4_b(at);
}

// Index of the load in workgroup memory.
fn slot(load: u32, lane: u32, by_k: bool) -> u32 {
    if by_k { return load * THREADS + lane; }
    let row = across(load, lane, false);
    return (row % 4 * (ROW + 1) + row / 4) * STRIDE + depth(load, lane, false) / 4;
}

// Four rows of a, from 4 * quad on, at four k; a column of the matrix is one row.
fn left(quad: u32, deep: u32) -> mat4x4f {
    if A_BY_K {
        let at = 4 * deep * ROW + quad;
        return transpose(
            mat4x4f(tile_a[at], tile_a[at + ROW], tile_a[at + 2 * ROW], tile_a[at + 3 * ROW]));
    }
    let at = quad * STRIDE + deep;
    let next = (ROW + 1) * STRIDE;
    return mat4x4f(tile_a[at], tile_a[at + next], tile_a[at + 2 * next], tile_a[at + 3 * next]);
}

// Four columns of b at four k; a column of the matrix is one k.
fn right(quad: u32, deep: u32) -> mat4x4f {
    if B_BY_K {
        let at = 4 * deep * ROW + quad;
        return mat4x4f(tile_b[at], tile_b[at + ROW], tile_b[at + 2 * ROW], tile_b[at + 3 * ROW]);
    }
    let at = quad * STRIDE + deep;
    let next = (ROW + 1) * STRIDE;
    return transpose(
        mat4x4f(tile_b[at], tile_b[at + next], tile_b[at + 2 * next], tile_b[at + 3 * next]));
}

// Multiplies a row at four k with four columns, and adds the products to the sums.
fn multiply_add(row: vec4f, its: mat4x4f, sum: vec4f) -> vec4f {
    let half = fma(vec4f(row.y), its[1], fma(vec4f(row.x), its[0], sum));
    return fma(vec4f(row.w), its[3], fma(vec4f(row.z), its[2], half));
}

// Call it in uniform control flow.
fn multiply(part: Part, thread: Thread) {
    let lane = thread.lane;
    // 32 neighbouring threads form 4 rows of 8 threads: so they read the fewest vec4s together.
    let x = lane / 32 % (SIDE / 8) * 8 + lane % 8;
    let y = lane / 32 / (SIDE / 8) * 4 + lane / 8 % 4;
    var sums: array<vec4f, 4 * QUADS * QUADS>;
    var next_a: array<vec4f, LOADS>;
    var next_b: array<vec4f, LOADS>;
    var a_at: array<u32, LOADS>;
    var b_at: array<u32, LOADS>;
    for (var i = 0u; i < LOADS; i++) { // unroll
        a_at[i] = a_begin(part, i, lane);
        b_at[i] = b_begin(part, i, lane);
        next_a[i] = fetch_a(part, part.begin, i, lane, a_at[i]);
        next_b[i] = fetch_b(part, part.begin, i, lane, b_at[i]);
    }
    let a_step = DEEP + u32(A_BY_K) * (TILE_K * sizes.m / 4 - DEEP);
    let b_step = DEEP + u32(B_BY_K) * (TILE_K * sizes.n / 4 - DEEP);
    var slice = 0u;
    for (var k = part.begin; k < part.end; k += TILE_K) {
        for (var i = 0u; i < LOADS; i++) { // unroll
            tile_a[slot(i, lane, A_BY_K)] = next_a[i];
            tile_b[slot(i, lane, B_BY_K)] = next_b[i];
        }
        workgroupBarrier();
        slice++;
        if k + TILE_K < part.end {
            for (var i = 0u; i < LOADS; i++) { // unroll
                next_a[i] = fetch_a(part, k + TILE_K, i, lane, a_at[i] + slice * a_step);
                next_b[i] = fetch_b(part, k + TILE_K, i, lane, b_at[i] + slice * b_step);
            }
        }
        for (var deep = 0u; deep < DEEP; deep++) { // unroll
            var columns: array<mat4x4f, QUADS>;
            for (var j = 0u; j < QUADS; j++) { // unroll
                columns[j] = right(j * SIDE + x, deep);
            }
            for (var i = 0u; i < QUADS; i++) { // unroll
                let rows = left(i * SIDE + y, deep);
                for (var j = 0u; j < QUADS; j++) { // unroll
                    let block = 4 * (i * QUADS + j);
                    sums[block] = multiply_add(rows[0], columns[j], sums[block]);
                    sums[block + 1] = multiply_add(rows[1], columns[j], sums[block + 1]);
                    sums[block + 2] = multiply_add(rows[2], columns[j], sums[block + 2]);
                    sums[block + 3] = multiply_add(rows[3], columns[j], sums[block + 3]);
                }
            }
        }
        // Slower threads may still read memory that the next slice overwrites.
        workgroupBarrier();
    }
    for (var i = 0u; i < QUADS; i++) { // unroll
        for (var j = 0u; j < QUADS; j++) { // unroll
            let row = part.row + 4 * (i * SIDE + y);
            let column = part.column + 4 * (j * SIDE + x);
            let block = 4 * (i * QUADS + j);
            if column < sizes.n {
                keep(part, row, column, sums[block]);
                keep(part, row + 1, column, sums[block + 1]);
                keep(part, row + 2, column, sums[block + 2]);
                keep(part, row + 3, column, sums[block + 3]);
            }
        }
    }
}

fn keep(part: Part, row: u32, column: u32, value: vec4f) {
    if row < part.row_end { store(part, row, column, value); }
}
