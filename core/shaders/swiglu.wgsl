// y = silu(gate) * up and its gradient (core/src/ops/swiglu.rs). One thread for each element of y.

struct Sizes { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage gate_up: real;  // [rows, 2 width]
storage y: real;        // [rows, width]
storage dy: real;       // like y
storage dgate_up: real; // like gate_up

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
    let gate = load_gate_up(at);
    store_y(i, gate * sigmoid(gate) * load_gate_up(at + sizes.width));
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
    let gate = load_gate_up(at);
    let up = load_gate_up(at + sizes.width);
    let gradient = load_dy(i);
    let s = sigmoid(gate);
    let silu = gate * s;
    store_dgate_up(at, gradient * up * (s + silu * (1.0 - s)));
    store_dgate_up(at + sizes.width, gradient * silu);
}
