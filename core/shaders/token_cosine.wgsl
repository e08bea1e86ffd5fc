// Mean cosine of different positions of a sequence and its gradient
// (core/src/ops/token_cosine.rs): lengths, sums of unit vectors by segment, then by sequence.

#include "reduce"

override ACCUMULATE: bool = false;

struct Sizes {
    rows: u32,
    context: u32,
    width: u32,
    segments: u32, // of a sequence
    segment: u32,  // positions of one
    index: u32,
    per_pair: f32, // 1 / (context (context - 1)), or 0
    factor: f32,   // 2 weight per_pair
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage h: f32;        // [rows, context, width]
storage inverse: f32;  // [rows, context]
storage partial: f32;  // [rows, segments, width]
storage unit_sum: f32; // [rows, width]
storage loss: f32;     // [rows]
storage scalars: f32;
storage dh: f32;       // like h

const THREADS: u32 = 64;

// Largest squared length of a vector that counts as 0.
const SHORTEST_SQUARED: f32 = 1e-24;

@compute @workgroup_size(THREADS)
fn inverse_lengths(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = group.x + group.y * groups.x;
    if t >= sizes.rows * sizes.context { return; }
    var squares = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        let x = h[t * sizes.width + i];
        squares += x * x;
    }
    squares = workgroup_sum(lane, squares);
    if lane == 0 {
        let length = inverseSqrt(max(squares, SHORTEST_SQUARED));
        inverse[t] = select(0.0, length, squares > SHORTEST_SQUARED);
    }
}

@compute @workgroup_size(THREADS)
fn segment_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = group.x + group.y * groups.x;
    let column = group.z * THREADS + lane;
    if segment >= sizes.rows * sizes.segments || column >= sizes.width { return; }
    let position = segment % sizes.segments * sizes.segment;
    let first = segment / sizes.segments * sizes.context + position;
    let end = first + min(sizes.segment, sizes.context - position);
    var total = 0.0;
    for (var t = first; t < end; t++) {
        total += h[t * sizes.width + column] * inverse[t];
    }
    partial[segment * sizes.width + column] = total;
}

@compute @workgroup_size(THREADS)
fn token_cosine(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    var squares = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        var total = 0.0;
        for (var segment = 0u; segment < sizes.segments; segment++) {
            total += partial[(row * sizes.segments + segment) * sizes.width + i];
        }
        unit_sum[row * sizes.width + i] = total;
        squares += total * total;
    }
    squares = workgroup_sum(lane, squares);
    if lane == 0 { loss[row] = (squares - f32(sizes.context)) * sizes.per_pair; }
}

@compute @workgroup_size(THREADS)
fn token_cosine_gradient(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = group.x + group.y * groups.x;
    if t >= sizes.rows * sizes.context { return; }
    let base = t * sizes.width;
    let sum_base = t / sizes.context * sizes.width;
    let scale = inverse[t];
    var along = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        along += unit_sum[sum_base + i] * h[base + i] * scale;
    }
    along = workgroup_sum(lane, along);
    let factor = sizes.factor * scalars[sizes.index] * scale;
    for (var i = lane; i < sizes.width; i += THREADS) {
        let slope = factor * (unit_sum[sum_base + i] - along * h[base + i] * scale);
        if ACCUMULATE {
            dh[base + i] += slope;
        } else {
            dh[base + i] = slope;
        }
    }
}
