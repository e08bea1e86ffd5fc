// y = sigmoid(logit) * x, with one score per row, and its gradients (core/src/ops/sigmoid_gate.rs). One workgroup for
// each row.

#include "reduce"
#include "sigmoid"

struct Sizes { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: real;      // [rows, width]
storage logits: f32;  // [rows]
storage y: real;      // [rows, width]
storage dy: real;     // [rows, width]
storage dx: real;     // [rows, width]
storage dlogits: f32; // [rows]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn sigmoid_gate(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.width;
    let gate = sigmoid(logits[row]);
    for (var i = lane; i < sizes.width; i += THREADS) {
        store_y(base + i, gate * load_x(base + i));
    }
}

@compute @workgroup_size(THREADS)
fn sigmoid_gate_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.width;
    let gate = sigmoid(logits[row]);
    var products = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        products += load_dy(base + i) * load_x(base + i);
        store_dx(base + i, gate * load_dy(base + i));
    }
    let product = workgroup_sum(lane, products);
    if lane == 0 { dlogits[row] = gate * (1.0 - gate) * product; }
}
