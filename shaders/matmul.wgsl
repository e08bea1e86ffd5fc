// c [m, n] (+)= a b, row-major, three storages of the factors (core/src/ops/matmul).
//
// Barrier-free register block: each thread owns 4x4 results and walks k four at a time, so that
// software adapters (no shared memory worth the name, wide SIMD across threads) stay busy.

#include "matmul"

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real2 = f32;
alias Real3 = f32;

@group(0) @binding(1) var<storage, read_write> a: array<Real1>;
@group(0) @binding(2) var<storage, read_write> b: array<Real2>;
@group(0) @binding(3) var<storage, read_write> c: array<Real3>;

fn store(row: u32, column: u32, value: f32) {
    if row < sizes.m && column < sizes.n {
        let i = row * sizes.n + column;
        if ACCUMULATE {
            c[i] = Real3(f32(c[i]) + value);
        } else {
            c[i] = Real3(value);
        }
    }
}

fn four_of_b(at: vec4u) -> vec4f {
    return vec4f(f32(b[at.x]), f32(b[at.y]), f32(b[at.z]), f32(b[at.w]));
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
        sums[0] += f32(a[rows.x + p]) * right;
        sums[1] += f32(a[rows.y + p]) * right;
        sums[2] += f32(a[rows.z + p]) * right;
        sums[3] += f32(a[rows.w + p]) * right;
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
        sums[0] += f32(a[rows.x + p]) * right;
        sums[1] += f32(a[rows.y + p]) * right;
        sums[2] += f32(a[rows.z + p]) * right;
        sums[3] += f32(a[rows.w + p]) * right;
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
        sums[0] += f32(a[left.x]) * right;
        sums[1] += f32(a[left.y]) * right;
        sums[2] += f32(a[left.z]) * right;
        sums[3] += f32(a[left.w]) * right;
    }
    store_block(row, column, sums);
}
