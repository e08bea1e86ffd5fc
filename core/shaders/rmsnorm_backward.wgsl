// Gradients of rmsnorm (core/src/ops/rmsnorm.rs). The gain's gradient is a sum over rows in two fixed stages: partial
// sums of a few rows each, then the sum of the partial sums.

#include "reduce"

override ACCUMULATE: bool = false;

struct Sizes { rows: u32, width: u32, rows_per_partial: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage dy: real;     // [rows, width]
storage x: f32;       // [rows, width]
storage gain: f32;    // [width]
storage rstd: f32;    // [rows]
storage dx: f32;      // [rows, width]
storage partial: f32; // [partials, width]
storage dgain: f32;   // [width]

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
        products += load_dy(base + i) * gain[i] * x[base + i] * scale;
    }
    let mean = workgroup_sum(lane, products) / f32(sizes.width);
    for (var i = lane; i < sizes.width; i += THREADS) {
        let gradient = scale * (load_dy(base + i) * gain[i] - x[base + i] * scale * mean);
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
        total += load_dy(i) * x[i] * rstd[row];
    }
    partial[group.y * sizes.width + column] = total;
}

// Here sizes.rows is the number of partial sums.
@compute @workgroup_size(THREADS)
fn rmsnorm_backward_gain(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group.x * THREADS + lane;
    if column >= sizes.width { return; }
    var total = dgain[column];
    for (var row = 0u; row < sizes.rows; row++) {
        total += partial[row * sizes.width + column];
    }
    dgain[column] = total;
}
