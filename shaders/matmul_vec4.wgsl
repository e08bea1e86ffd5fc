// c [m, n] (+)= a b where rows are whole vec4s (core/src/ops/matmul.rs): as matmul.wgsl, a 4x4 block
// a thread and no barrier, but every load and store moves four elements.

#include "matmul"

@group(0) @binding(1) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn store_block(row: u32, column: u32, sums: array<vec4f, 4>) {
    for (var i = 0u; i < BLOCK; i++) {
        if row + i < sizes.m {
            let at = ((row + i) * sizes.n + column) / 4;
            if ACCUMULATE {
                c[at] += sums[i];
            } else {
                c[at] = sums[i];
            }
        }
    }
}

// a [m, k], b [k, n]
@compute @workgroup_size(8, 8)
fn matmul_nn(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y * BLOCK;
    let column = id.x * BLOCK;
    if row >= sizes.m || column >= sizes.n { return; }
    let rows = clamped(row, sizes.m) * (sizes.k / 4);
    let width = sizes.n / 4;
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k / 4; p++) {
        let at = 4 * p * width + id.x;
        let b0 = b[at];
        let b1 = b[at + width];
        let b2 = b[at + 2 * width];
        let b3 = b[at + 3 * width];
        let a0 = a[rows.x + p];
        let a1 = a[rows.y + p];
        let a2 = a[rows.z + p];
        let a3 = a[rows.w + p];
        sums[0] += a0.x * b0 + a0.y * b1 + a0.z * b2 + a0.w * b3;
        sums[1] += a1.x * b0 + a1.y * b1 + a1.z * b2 + a1.w * b3;
        sums[2] += a2.x * b0 + a2.y * b1 + a2.z * b2 + a2.w * b3;
        sums[3] += a3.x * b0 + a3.y * b1 + a3.z * b2 + a3.w * b3;
    }
    store_block(row, column, sums);
}

// a [m, k], b [n, k]
@compute @workgroup_size(8, 8)
fn matmul_nt(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y * BLOCK;
    let column = id.x * BLOCK;
    if row >= sizes.m || column >= sizes.n { return; }
    let rows = clamped(row, sizes.m) * (sizes.k / 4);
    let columns = clamped(column, sizes.n) * (sizes.k / 4);
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k / 4; p++) {
        let right = transpose(
            mat4x4f(b[columns.x + p], b[columns.y + p], b[columns.z + p], b[columns.w + p]),
        );
        sums[0] += right * a[rows.x + p];
        sums[1] += right * a[rows.y + p];
        sums[2] += right * a[rows.z + p];
        sums[3] += right * a[rows.w + p];
    }
    store_block(row, column, sums);
}

// a [k, m], b [k, n]
@compute @workgroup_size(8, 8)
fn matmul_tn(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y * BLOCK;
    let column = id.x * BLOCK;
    if row >= sizes.m || column >= sizes.n { return; }
    var sums: array<vec4f, 4>;
    for (var p = 0u; p < sizes.k; p++) {
        let left = a[p * (sizes.m / 4) + id.y];
        let right = b[p * (sizes.n / 4) + id.x];
        sums[0] += left.x * right;
        sums[1] += left.y * right;
        sums[2] += left.z * right;
        sums[3] += left.w * right;
    }
    store_block(row, column, sums);
}
