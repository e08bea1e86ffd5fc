// c [m, n] (+)= a b where rows are whole vec4s (core/src/ops/matmul.rs), for real GPUs.
//
// A workgroup owns TILE_M x TILE_N results. Slices of both factors, TILE_K deep, pass through
// shared memory, where every element is read by a whole row or column of threads; while one slice
// is multiplied, the next one is on its way into registers, so one barrier a slice is enough. Each
// thread owns QUADS_M x QUADS_N blocks of 4x4 results, a tile's row or column of threads apart, so
// that neighbours read neighbouring vec4s.
//
// With SPLITS > 1 the grid's z shares k out, and each share's product goes to a slice of its own:
// [SPLITS, m, n].

override ACCUMULATE: bool = false;
override A_BY_K: bool = false; // a [k, m], else [m, k]
override B_BY_K: bool = true;  // b [k, n], else [n, k]
override THREADS: u32 = 16;    // a side of the workgroup
override QUADS_M: u32 = 1;
override QUADS_N: u32 = 1;
override TILE_K: u32 = 16;     // a multiple of 4
override SPLITS: u32 = 1;

struct Sizes { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // [m, n], or [SPLITS, m, n]

// In vec4s.
const ROW_A: u32 = THREADS * QUADS_M;
const ROW_B: u32 = THREADS * QUADS_N;
const SLICE_A: u32 = TILE_K * ROW_A;
const SLICE_B: u32 = TILE_K * ROW_B;
const LANES: u32 = THREADS * THREADS;
const LOADS_A: u32 = (SLICE_A + LANES - 1) / LANES;
const LOADS_B: u32 = (SLICE_B + LANES - 1) / LANES;

// Two slices each, [TILE_K, TILE_M] and [TILE_K, TILE_N].
var<workgroup> tile_a: array<vec4f, 2 * SLICE_A>;
var<workgroup> tile_b: array<vec4f, 2 * SLICE_B>;

// The vec4 of a factor that a load fetches: by k, four neighbours of one k; else four neighbouring k
// of one row. `row` is a row of a or a column of b; both count from the slice's start.
struct Spot { k: u32, row: u32 }

fn spot(load: u32, lane: u32, by_k: bool, row_quads: u32) -> Spot {
    let at = load * LANES + lane;
    if by_k { return Spot(at / row_quads, at % row_quads * 4); }
    return Spot(at / (4 * row_quads) * 4, at % (4 * row_quads));
}

// Out-of-range rows read the last valid ones: their results are not stored. Past `end`, zeros.
fn fetch_a(spot: Spot, first_row: u32, k: u32, end: u32) -> vec4f {
    if k + spot.k >= end { return vec4f(); }
    if A_BY_K {
        return a[((k + spot.k) * sizes.m + min(first_row + spot.row, sizes.m - 4)) / 4];
    }
    return a[(min(first_row + spot.row, sizes.m - 1) * sizes.k + k + spot.k) / 4];
}

fn fetch_b(spot: Spot, first_column: u32, k: u32, end: u32) -> vec4f {
    if k + spot.k >= end { return vec4f(); }
    if B_BY_K {
        return b[((k + spot.k) * sizes.n + min(first_column + spot.row, sizes.n - 4)) / 4];
    }
    return b[(min(first_column + spot.row, sizes.n - 1) * sizes.k + k + spot.k) / 4];
}

fn keep_a(slice: u32, spot: Spot, value: vec4f) {
    let at = slice * SLICE_A + spot.k * ROW_A + spot.row / 4;
    if A_BY_K {
        tile_a[at] = value;
    } else {
        let part = spot.row % 4;
        tile_a[at][part] = value.x;
        tile_a[at + ROW_A][part] = value.y;
        tile_a[at + 2 * ROW_A][part] = value.z;
        tile_a[at + 3 * ROW_A][part] = value.w;
    }
}

fn keep_b(slice: u32, spot: Spot, value: vec4f) {
    let at = slice * SLICE_B + spot.k * ROW_B + spot.row / 4;
    if B_BY_K {
        tile_b[at] = value;
    } else {
        let part = spot.row % 4;
        tile_b[at][part] = value.x;
        tile_b[at + ROW_B][part] = value.y;
        tile_b[at + 2 * ROW_B][part] = value.z;
        tile_b[at + 3 * ROW_B][part] = value.w;
    }
}

@compute @workgroup_size(THREADS, THREADS)
fn matmul_tile(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = group.y * 4 * ROW_A;
    let first_column = group.x * 4 * ROW_B;
    let slices = (sizes.k + TILE_K - 1) / TILE_K;
    let share = (slices + SPLITS - 1) / SPLITS * TILE_K;
    let begin = group.z * share;
    let end = min(begin + share, sizes.k);

    var sums: array<vec4f, 4 * QUADS_M * QUADS_N>;
    var next_a: array<vec4f, LOADS_A>;
    var next_b: array<vec4f, LOADS_B>;
    for (var i = 0u; i < LOADS_A; i++) {
        next_a[i] = fetch_a(spot(i, lane, A_BY_K, ROW_A), first_row, begin, end);
    }
    for (var i = 0u; i < LOADS_B; i++) {
        next_b[i] = fetch_b(spot(i, lane, B_BY_K, ROW_B), first_column, begin, end);
    }
    var slice = 0u;
    for (var k = begin; k < end; k += TILE_K) {
        for (var i = 0u; i < LOADS_A; i++) {
            if i * LANES + lane < SLICE_A { keep_a(slice, spot(i, lane, A_BY_K, ROW_A), next_a[i]); }
        }
        for (var i = 0u; i < LOADS_B; i++) {
            if i * LANES + lane < SLICE_B { keep_b(slice, spot(i, lane, B_BY_K, ROW_B), next_b[i]); }
        }
        // No one writes to this slice again before the barrier of the next one.
        workgroupBarrier();
        for (var i = 0u; i < LOADS_A; i++) {
            next_a[i] = fetch_a(spot(i, lane, A_BY_K, ROW_A), first_row, k + TILE_K, end);
        }
        for (var i = 0u; i < LOADS_B; i++) {
            next_b[i] = fetch_b(spot(i, lane, B_BY_K, ROW_B), first_column, k + TILE_K, end);
        }
        for (var p = 0u; p < TILE_K; p++) {
            var right: array<vec4f, QUADS_N>;
            for (var j = 0u; j < QUADS_N; j++) {
                right[j] = tile_b[slice * SLICE_B + p * ROW_B + j * THREADS + thread.x];
            }
            for (var i = 0u; i < QUADS_M; i++) {
                let left = tile_a[slice * SLICE_A + p * ROW_A + i * THREADS + thread.y];
                for (var j = 0u; j < QUADS_N; j++) {
                    let block = 4 * (i * QUADS_N + j);
                    sums[block] += left.x * right[j];
                    sums[block + 1] += left.y * right[j];
                    sums[block + 2] += left.z * right[j];
                    sums[block + 3] += left.w * right[j];
                }
            }
        }
        slice = 1 - slice;
    }

    for (var i = 0u; i < QUADS_M; i++) {
        for (var j = 0u; j < QUADS_N; j++) {
            let column = first_column + 4 * (j * THREADS + thread.x);
            for (var t = 0u; t < 4; t++) {
                let row = first_row + 4 * (i * THREADS + thread.y) + t;
                if row < sizes.m && column < sizes.n {
                    let at = ((group.z * sizes.m + row) * sizes.n + column) / 4;
                    let value = sums[4 * (i * QUADS_N + j) + t];
                    if ACCUMULATE {
                        c[at] += value;
                    } else {
                        c[at] = value;
                    }
                }
            }
        }
    }
}
