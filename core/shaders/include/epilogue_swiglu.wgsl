// Stores gate and up for the backward, and y = silu(gate) * up (core/src/ops/swiglu.rs).

#include "pairs"
#include "sigmoid"

storage gate_up: vec2<real>; // [m, 2 HALF]
storage y: vec2<real>;       // [m, HALF]

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let feature = first_feature(column);
    let gate = value.xy;
    let up = value.zw;
    let at = row * sizes.n + feature;
    store2_gate_up(at / 2, gate);
    store2_gate_up((at + HALF) / 2, up);
    let gated = gate * vec2f(sigmoid(gate.x), sigmoid(gate.y)) * up;
    store2_y((row * HALF + feature) / 2, gated);
}
