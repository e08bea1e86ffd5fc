// A product by workgroups that own TILE_M x TILE_N results, for real GPUs. Slices of both factors, TILE_K
// deep, pass through shared memory, where every element is read by a whole row or column of threads;
// while one slice is multiplied, the next one is on its way into registers, so one barrier a slice is
// enough. Each thread owns QUADS x QUADS blocks of 4x4 results, a row or column of threads apart, so
// that neighbours read neighbouring vec4s.

#include "product"

override SIDE: u32 = 16; // threads in a row and in a column of the workgroup
override QUADS: u32 = 1;
override TILE_K: u32 = 16; // a multiple of 4

const THREADS: u32 = SIDE * SIDE;
const ROW: u32 = SIDE * QUADS; // of a slice, in vec4s
const TILE_M: u32 = 4 * ROW;
const TILE_N: u32 = 4 * ROW;
const SLICE: u32 = TILE_K * ROW;
const LOADS: u32 = SLICE / THREADS; // a thread's

// Two slices of each factor, [2, TILE_K, TILE_M or TILE_N]. Single elements: a write to a component of a
// vec4 may touch the whole vec4, whose other components are other threads'.
var<workgroup> tile_a: array<f32, 8 * SLICE>;
var<workgroup> tile_b: array<f32, 8 * SLICE>;

// What a load of a thread fetches, within a slice: by k, four neighbours of one k; else four
// neighbouring k of one row of a or column of b.
struct Spot { k: u32, row: u32 }

fn spot(load: u32, lane: u32, by_k: bool) -> Spot {
    let at = load * THREADS + lane;
    if by_k { return Spot(at / ROW, at % ROW * 4); }
    return Spot(at / (4 * ROW) * 4, at % (4 * ROW));
}

// Zeros past the end of k.
fn fetch_a(part: Part, k: u32, load: u32, lane: u32) -> vec4f {
    let it = spot(load, lane, A_BY_K);
    if k + it.k >= part.end { return vec4f(); }
    if A_BY_K { return a_along_m(part.row + it.row, k + it.k); }
    return a_along_k(part, part.row + it.row, k + it.k);
}

fn fetch_b(part: Part, k: u32, load: u32, lane: u32) -> vec4f {
    let it = spot(load, lane, B_BY_K);
    if k + it.k >= part.end { return vec4f(); }
    if B_BY_K { return b_along_n(part, part.column + it.row, k + it.k); }
    return b_along_k(part, part.column + it.row, k + it.k);
}

fn keep_a(slice: u32, load: u32, lane: u32, value: vec4f) {
    let it = spot(load, lane, A_BY_K);
    let at = 4 * (slice * SLICE + it.k * ROW) + it.row;
    let next = select(4 * ROW, 1u, A_BY_K);
    tile_a[at] = value.x;
    tile_a[at + next] = value.y;
    tile_a[at + 2 * next] = value.z;
    tile_a[at + 3 * next] = value.w;
}

fn keep_b(slice: u32, load: u32, lane: u32, value: vec4f) {
    let it = spot(load, lane, B_BY_K);
    let at = 4 * (slice * SLICE + it.k * ROW) + it.row;
    let next = select(4 * ROW, 1u, B_BY_K);
    tile_b[at] = value.x;
    tile_b[at + next] = value.y;
    tile_b[at + 2 * next] = value.z;
    tile_b[at + 3 * next] = value.w;
}

fn quad_a(at: u32) -> vec4f {
    let i = 4 * at;
    return vec4f(tile_a[i], tile_a[i + 1], tile_a[i + 2], tile_a[i + 3]);
}

fn quad_b(at: u32) -> vec4f {
    let i = 4 * at;
    return vec4f(tile_b[i], tile_b[i + 1], tile_b[i + 2], tile_b[i + 3]);
}

const BARRIERS: bool = true;

struct Thread { @builtin(local_invocation_index) lane: u32 }

// Call it in uniform control flow.
fn multiply(part: Part, thread: Thread) {
    let lane = thread.lane;
    let x = lane % SIDE;
    let y = lane / SIDE;
    var sums: array<vec4f, 4 * QUADS * QUADS>;
    var next_a: array<vec4f, LOADS>;
    var next_b: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) {
        next_a[i] = fetch_a(part, part.begin, i, lane);
        next_b[i] = fetch_b(part, part.begin, i, lane);
    }
    var slice = 0u;
    for (var k = part.begin; k < part.end; k += TILE_K) {
        for (var i = 0u; i < LOADS; i++) {
            keep_a(slice, i, lane, next_a[i]);
            keep_b(slice, i, lane, next_b[i]);
        }
        // No one writes to this slice again before the barrier of the next one.
        workgroupBarrier();
        for (var i = 0u; i < LOADS; i++) {
            next_a[i] = fetch_a(part, k + TILE_K, i, lane);
            next_b[i] = fetch_b(part, k + TILE_K, i, lane);
        }
        for (var p = 0u; p < TILE_K; p++) {
            let at = slice * SLICE + p * ROW;
            var right: array<vec4f, QUADS>;
            for (var j = 0u; j < QUADS; j++) { right[j] = quad_b(at + j * SIDE + x); }
            for (var i = 0u; i < QUADS; i++) {
                let left = quad_a(at + i * SIDE + y);
                for (var j = 0u; j < QUADS; j++) {
                    let block = 4 * (i * QUADS + j);
                    sums[block] += left.x * right[j];
                    sums[block + 1] += left.y * right[j];
                    sums[block + 2] += left.z * right[j];
                    sums[block + 3] += left.w * right[j];
                }
            }
        }
        slice = 1 - slice;
    }
    for (var i = 0u; i < QUADS; i++) {
        for (var j = 0u; j < QUADS; j++) {
            let column = part.column + 4 * (j * SIDE + x);
            for (var t = 0u; t < 4; t++) {
                let row = part.row + 4 * (i * SIDE + y) + t;
                if row < part.row_end && column < sizes.n {
                    store(part, row, column, sums[4 * (i * QUADS + j) + t]);
                }
            }
        }
    }
}
