// y = silu(gate) * up and its gradient (core/src/ops/swiglu.rs). One thread an element of y.

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real2 = f32;
alias Real3 = f32;

struct Sizes { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;

// swiglu: gate_up, y
@group(0) @binding(1) var<storage, read_write> gate_up: array<Real1>; // [rows, 2 width]
@group(0) @binding(2) var<storage, read_write> y: array<Real2>;       // [rows, width]

// swiglu_backward: dy, gate_up, dgate_up
@group(0) @binding(1) var<storage, read_write> dy: array<Real1>;            // [rows, width]
@group(0) @binding(2) var<storage, read_write> saved_gate_up: array<Real2>; // [rows, 2 width]
@group(0) @binding(3) var<storage, read_write> dgate_up: array<Real3>;      // [rows, 2 width]

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
    let gate = f32(gate_up[at]);
    y[i] = Real2(gate * sigmoid(gate) * f32(gate_up[at + sizes.width]));
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
    let gate = f32(saved_gate_up[at]);
    let up = f32(saved_gate_up[at + sizes.width]);
    let gradient = f32(dy[i]);
    let s = sigmoid(gate);
    let silu = gate * s;
    dgate_up[at] = Real3(gradient * up * (s + silu * (1.0 - s)));
    dgate_up[at + sizes.width] = Real3(gradient * silu);
}
