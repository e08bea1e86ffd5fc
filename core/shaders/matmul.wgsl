// c [m, n] (+)= a b, row-major, with three storages of the factors (core/src/ops/matmul).
// Register blocks without barriers: each thread owns 4x4 results, and loops over k four at a time. This suits software
// adapters, which have no fast workgroup memory, and wide SIMD across threads.

#include "matmul"

storage a: real;
storage b: real;
storage c: real;

fn store(row: u32, column: u32, value: f32) {
    if row < sizes.m && column < sizes.n {
        let i = row * sizes.n + column;
        if ACCUMULATE {
            store_c(i, load_c(i) + value);
        } else {
            store_c(i, value);
        }
    }
}

fn four_of_b(at: vec4u) -> vec4f {
    return vec4f(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w));
}

fn store_block(row: u32, column: u32, sums: array<vec4f, 4>) {
    for (var i = 0u; i < BLOCK; i++) {
        for (var j = 0u; j < BLOCK; j++) {
            store(row + i, column + j, sums[i][j]);
        }
    }
}

// a [m, k], b [k, n]
@compute @workgroup_size(8, 8)
fn matmul_nn(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y * BLOCK;
    let column = id.x * BLOCK;
    if row >= sizes.m || column >= sizes.n { return; }
    let rows = clamped(row, sizes.m) * sizes.k;
    let columns = clamped(column, sizes.n);
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k; p++) {
        let at = columns + p * sizes.n;
        let right = four_of_b(at);
        sums[0] += load_a(rows.x + p) * right;
        sums[1] += load_a(rows.y + p) * right;
        sums[2] += load_a(rows.z + p) * right;
        sums[3] += load_a(rows.w + p) * right;
    }
    store_block(row, column, sums);
}

// a [m, k], b [n, k]
@compute @workgroup_size(8, 8)
fn matmul_nt(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y * BLOCK;
    let column = id.x * BLOCK;
    if row >= sizes.m || column >= sizes.n { return; }
    let rows = clamped(row, sizes.m) * sizes.k;
    let columns = clamped(column, sizes.n) * sizes.k;
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k; p++) {
        let right = four_of_b(columns + p);
        sums[0] += load_a(rows.x + p) * right;
        sums[1] += load_a(rows.y + p) * right;
        sums[2] += load_a(rows.z + p) * right;
        sums[3] += load_a(rows.w + p) * right;
    }
    store_block(row, column, sums);
}

// a [k, m], b [k, n]
@compute @workgroup_size(8, 8)
fn matmul_tn(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y * BLOCK;
    let column = id.x * BLOCK;
    if row >= sizes.m || column >= sizes.n { return; }
    let rows = clamped(row, sizes.m);
    let columns = clamped(column, sizes.n);
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k; p++) {
        let left = rows + p * sizes.m;
        let at = columns + p * sizes.n;
        let right = four_of_b(at);
        sums[0] += load_a(left.x) * right;
        sums[1] += load_a(left.y) * right;
        sums[2] += load_a(left.z) * right;
        sums[3] += load_a(left.w) * right;
    }
    store_block(row, column, sums);
}
