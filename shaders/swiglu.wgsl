// y = silu(gate) * up and its gradient (core/src/ops/swiglu.rs). One thread an element of y.

struct Sizes { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;

// swiglu: gate_up, y
@group(0) @binding(1) var<storage, read_write> gate_up: array<f32>; // [rows, 2 width]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;       // [rows, width]

// swiglu_backward: dy, gate_up, dgate_up
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;            // [rows, width]
@group(0) @binding(2) var<storage, read_write> saved_gate_up: array<f32>; // [rows, 2 width]
@group(0) @binding(3) var<storage, read_write> dgate_up: array<f32>;      // [rows, 2 width]

const THREADS: u32 = 256;

#include "sigmoid"

@compute @workgroup_size(THREADS)
fn swiglu(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    if i >= sizes.rows * sizes.width { return; }
    // Row t of gate_up starts t * width elements later than row t of y.
    let at = i + i / sizes.width * sizes.width;
    let gate = gate_up[at];
    y[i] = gate * sigmoid(gate) * gate_up[at + sizes.width];
}

@compute @workgroup_size(THREADS)
fn swiglu_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    if i >= sizes.rows * sizes.width { return; }
    let at = i + i / sizes.width * sizes.width;
    let gate = saved_gate_up[at];
    let up = saved_gate_up[at + sizes.width];
    let s = sigmoid(gate);
    let silu = gate * s;
    dgate_up[at] = dy[i] * up * (s + silu * (1.0 - s));
    dgate_up[at + sizes.width] = dy[i] * silu;
}
