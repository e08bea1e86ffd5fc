// y = gain * s * rstd, rstd = 1 / sqrt(mean(s^2) + eps), s = x or x + branch
// (core/src/ops/rmsnorm.rs). One workgroup for each row.

#include "reduce"

struct Sizes { rows: u32, width: u32, eps: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: f32;       // [rows, width]
storage gain: f32;    // [width]
storage y: real;      // [rows, width]
storage rstd: f32;    // [rows]
storage branch: real; // [rows, width]
storage sum: f32;     // [rows, width]

const THREADS: u32 = 64;

fn inverse_rms(lane: u32, squares: f32) -> f32 {
    return inverseSqrt(workgroup_sum(lane, squares) / f32(sizes.width) + sizes.eps);
}

@compute @workgroup_size(THREADS)
fn rmsnorm(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.width;
    var squares = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        let value = x[base + i];
        squares += value * value;
    }
    let scale = inverse_rms(lane, squares);
    for (var i = lane; i < sizes.width; i += THREADS) {
        store_y(base + i, gain[i] * x[base + i] * scale);
    }
    if lane == 0 { rstd[row] = scale; }
}

@compute @workgroup_size(THREADS)
fn add_rmsnorm(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.width;
    var squares = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        let value = x[base + i] + load_branch(base + i);
        sum[base + i] = value;
        squares += value * value;
    }
    let scale = inverse_rms(lane, squares);
    // Each thread reads back only its own elements.
    for (var i = lane; i < sizes.width; i += THREADS) {
        store_y(base + i, gain[i] * sum[base + i] * scale);
    }
    if lane == 0 { rstd[row] = scale; }
}
