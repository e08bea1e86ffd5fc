// The product is the gradient of y = silu(gate) * up. Stores the gradients of gate and up (core/src/ops/swiglu.rs).

#include "sigmoid"

storage dgate_up: vec4<real>; // [m, 2 n]
storage gate_up: vec4<real>;  // [m, 2 n]

fn b_row(column: u32) -> u32 {
    return column;
}

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let at = 2 * row * sizes.n + column;
    let gate = load4_gate_up(at / 4);
    let up = load4_gate_up((at + sizes.n) / 4);
    let s = vec4f(sigmoid(gate.x), sigmoid(gate.y), sigmoid(gate.z), sigmoid(gate.w));
    let silu = gate * s;
    store4_dgate_up(at / 4, value * up * (s + silu * (1.0 - s)));
    store4_dgate_up((at + sizes.n) / 4, value * silu);
}
