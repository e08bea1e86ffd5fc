// Gates and what they gate, stored for the backward, and y = silu(gate) * up (core/src/ops/swiglu.rs).

#include "pairs"
#include "sigmoid"

override Y: u32 = 4; // a product of experts has bindings before it

@group(0) @binding(3) var<storage, read_write> gate_up: array<vec2f>; // [m, 2 HALF]
@group(0) @binding(Y) var<storage, read_write> y: array<vec2f>;       // [m, HALF]

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let feature = first_feature(column);
    let gate = value.xy;
    let up = value.zw;
    let at = row * sizes.n + feature;
    gate_up[at / 2] = gate;
    gate_up[(at + HALF) / 2] = up;
    y[(row * HALF + feature) / 2] = gate * vec2f(sigmoid(gate.x), sigmoid(gate.y)) * up;
}
