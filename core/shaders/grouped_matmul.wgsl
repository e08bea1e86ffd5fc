// Matrix products of each expert with its own rows (core/src/ops/grouped_matmul), in the
// barrier-free 4x4 register blocks of matmul.wgsl.
// The number of rows of an expert is known only on the device. The grid covers the longest tile list of any routing,
// and workgroups past the list's end return at once.

override ACCUMULATE: bool = false;

// For grouped_matmul_tn, n = out_features, k = in_features, and there are no tiles.
struct Sizes { n: u32, k: u32, tiles: u32, tile_rows: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage offsets: u32;     // [num_experts + 1]
storage tile_expert: u32; // [tiles]
storage tile_row: u32;    // [tiles]

// For grouped_matmul_nt and grouped_matmul_nn: c = a b.
storage a: real; // [rows, k]
storage b: real; // one matrix an expert
storage c: real; // [rows, n]

// For grouped_matmul_tn.
storage dy: real;     // [rows, n]
storage x: real;      // [rows, k]
storage dweight: f32; // [num_experts, n, k]

const THREADS: u32 = 8; // a side of the workgroup
const BLOCK: u32 = 4;
const NO_TILE: u32 = 0xffffffffu;

// Rows first..end of one expert in this thread's block. Empty if there is no work.
struct Rows { expert: u32, first: u32, end: u32 }

fn rows_of(group: vec3u, groups: vec3u, thread: u32) -> Rows {
    let id = group.y + group.z * groups.y;
    let parts = sizes.tile_rows / (THREADS * BLOCK);
    let tile = id / parts;
    if tile >= sizes.tiles { return Rows(0, 0, 0); }
    let expert = tile_expert[tile];
    if expert == NO_TILE { return Rows(0, 0, 0); }
    let end = min(tile_row[tile] + sizes.tile_rows, offsets[expert + 1]);
    return Rows(expert, tile_row[tile] + (id % parts * THREADS + thread) * BLOCK, end);
}

// Out-of-range rows and columns read the last valid one: their results are not stored.
fn clamped(first: u32, end: u32) -> vec4u {
    return min(first + vec4u(0, 1, 2, 3), vec4u(end - 1));
}

fn four_of_b(at: vec4u) -> vec4f {
    return vec4f(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w));
}

fn store(row: u32, end: u32, column: u32, sums: vec4f) {
    if row >= end { return; }
    let i = row * sizes.n + column;
    for (var j = 0u; j < min(BLOCK, sizes.n - column); j++) {
        if ACCUMULATE {
            store_c(i + j, load_c(i + j) + sums[j]);
        } else {
            store_c(i + j, sums[j]);
        }
    }
}

// b [num_experts, n, k]
@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_nt(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let column = (group.x * THREADS + thread.x) * BLOCK;
    let span = rows_of(group, groups, thread.y);
    if span.first >= span.end || column >= sizes.n { return; }
    let rows = clamped(span.first, span.end) * sizes.k;
    let columns = (span.expert * sizes.n + clamped(column, sizes.n)) * sizes.k;
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k; p++) {
        let right = four_of_b(columns + p);
        sums[0] += load_a(rows.x + p) * right;
        sums[1] += load_a(rows.y + p) * right;
        sums[2] += load_a(rows.z + p) * right;
        sums[3] += load_a(rows.w + p) * right;
    }
    store(span.first, span.end, column, sums[0]);
    store(span.first + 1, span.end, column, sums[1]);
    store(span.first + 2, span.end, column, sums[2]);
    store(span.first + 3, span.end, column, sums[3]);
}

// b [num_experts, k, n]
@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_nn(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let column = (group.x * THREADS + thread.x) * BLOCK;
    let span = rows_of(group, groups, thread.y);
    if span.first >= span.end || column >= sizes.n { return; }
    let rows = clamped(span.first, span.end) * sizes.k;
    let columns = span.expert * sizes.n * sizes.k + clamped(column, sizes.n);
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k; p++) {
        let at = columns + p * sizes.n;
        let right = four_of_b(at);
        sums[0] += load_a(rows.x + p) * right;
        sums[1] += load_a(rows.y + p) * right;
        sums[2] += load_a(rows.z + p) * right;
        sums[3] += load_a(rows.w + p) * right;
    }
    store(span.first, span.end, column, sums[0]);
    store(span.first + 1, span.end, column, sums[1]);
    store(span.first + 2, span.end, column, sums[2]);
    store(span.first + 3, span.end, column, sums[3]);
}

fn add_to_weight(expert: u32, row: u32, column: u32, sums: vec4f) {
    if row >= sizes.n { return; }
    let i = (expert * sizes.n + row) * sizes.k + column;
    for (var j = 0u; j < min(BLOCK, sizes.k - column); j++) {
        dweight[i + j] += sums[j];
    }
}

// Rows of dweight are columns of dy, its columns those of x; the expert is the grid's z.
@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_tn(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let row = (group.y * THREADS + thread.y) * BLOCK;
    let column = (group.x * THREADS + thread.x) * BLOCK;
    let expert = group.z;
    let first = offsets[expert];
    let end = offsets[expert + 1];
    if row >= sizes.n || column >= sizes.k || first >= end { return; }
    let rows = clamped(row, sizes.n);
    let columns = clamped(column, sizes.k);
    var sums: array<vec4f, 4>;
    for (var p = first; p < end; p++) {
        let left = rows + p * sizes.n;
        let at = columns + p * sizes.k;
        let right = vec4f(load_x(at.x), load_x(at.y), load_x(at.z), load_x(at.w));
        sums[0] += load_dy(left.x) * right;
        sums[1] += load_dy(left.y) * right;
        sums[2] += load_dy(left.z) * right;
        sums[3] += load_dy(left.w) * right;
    }
    add_to_weight(expert, row, column, sums[0]);
    add_to_weight(expert, row + 1, column, sums[1]);
    add_to_weight(expert, row + 2, column, sums[2]);
    add_to_weight(expert, row + 3, column, sums[3]);
}
