// Gradients of rmsnorm (core/src/ops/rmsnorm.rs). The gain's gradient sums over rows in two
// fixed stages: partial sums of a few rows each, then the sum of the partials.

#include "reduce"

override ACCUMULATE: bool = false;

// f32, or f16 in mixed precision.
alias Real1 = f32;

struct Sizes { rows: u32, width: u32, rows_per_partial: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;

// rmsnorm_backward: dy, x, gain, rstd, dx
@group(0) @binding(1) var<storage, read_write> dy: array<Real1>; // [rows, width]
@group(0) @binding(2) var<storage, read_write> x: array<f32>;    // [rows, width]
@group(0) @binding(3) var<storage, read_write> gain: array<f32>; // [width]
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>; // [rows]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;   // [rows, width]

// rmsnorm_backward_partial: dy, x, rstd, partial
@group(0) @binding(3) var<storage, read_write> partial_rstd: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read_write> partial: array<f32>;      // [partials, width]

// rmsnorm_backward_gain: partial, dgain; here sizes.rows counts partials
@group(0) @binding(1) var<storage, read_write> partial_in: array<f32>; // [partials, width]
@group(0) @binding(2) var<storage, read_write> dgain: array<f32>;      // [width]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn rmsnorm_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.width;
    let scale = rstd[row];
    var products = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        products += f32(dy[base + i]) * gain[i] * x[base + i] * scale;
    }
    let mean = workgroup_sum(lane, products) / f32(sizes.width);
    for (var i = lane; i < sizes.width; i += THREADS) {
        let gradient = scale * (f32(dy[base + i]) * gain[i] - x[base + i] * scale * mean);
        if ACCUMULATE {
            dx[base + i] += gradient;
        } else {
            dx[base + i] = gradient;
        }
    }
}

@compute @workgroup_size(THREADS)
fn rmsnorm_backward_partial(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group.x * THREADS + lane;
    if column >= sizes.width { return; }
    let first = group.y * sizes.rows_per_partial;
    let end = min(first + sizes.rows_per_partial, sizes.rows);
    var total = 0.0;
    for (var row = first; row < end; row++) {
        let i = row * sizes.width + column;
        total += f32(dy[i]) * x[i] * partial_rstd[row];
    }
    partial[group.y * sizes.width + column] = total;
}

@compute @workgroup_size(THREADS)
fn rmsnorm_backward_gain(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group.x * THREADS + lane;
    if column >= sizes.width { return; }
    var total = dgain[column];
    for (var row = 0u; row < sizes.rows; row++) {
        total += partial_in[row * sizes.width + column];
    }
    dgain[column] = total;
}
