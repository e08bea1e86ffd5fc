// The global norm of the gradients and the clip factor (core/src/ops/grad_norm.rs).

#include "reduce"

// sum_of_squares uses the first two members, clip_factor the last four.
struct PartialSizes { len: u32, partials: u32 }
struct ClipSizes { partials: u32, metric: u32, max_norm: f32, eps: f32 }

@group(0) @binding(0) var<uniform> partial_sizes: PartialSizes;
@group(0) @binding(0) var<uniform> clip_sizes: ClipSizes;
storage x: f32;        // [len]
storage partials: f32; // [partials]
storage metrics: f32;
storage clip: f32;     // [1]

const THREADS: u32 = 64;

// Partial sum g is over every partials-th block of 64 elements, from block g on.
@compute @workgroup_size(THREADS)
fn sum_of_squares(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    if index >= partial_sizes.partials { return; }
    var squares = 0.0;
    for (var i = index * THREADS + lane; i < partial_sizes.len; i += partial_sizes.partials * THREADS) {
        squares += x[i] * x[i];
    }
    let total = workgroup_sum(lane, squares);
    if lane == 0 { partials[index] = total; }
}

@compute @workgroup_size(THREADS)
fn clip_factor(@builtin(local_invocation_index) lane: u32) {
    var squares = 0.0;
    for (var i = lane; i < clip_sizes.partials; i += THREADS) {
        squares += partials[i];
    }
    let norm = sqrt(workgroup_sum(lane, squares));
    if lane == 0 {
        metrics[clip_sizes.metric] = norm;
        var factor = 1.0;
        if clip_sizes.max_norm > 0 {
            factor = min(1.0, clip_sizes.max_norm / (norm + clip_sizes.eps));
        }
        clip[0] = factor;
    }
}
