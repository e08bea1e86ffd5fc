// The product is the gradient of y = silu(gate) * up; what is stored is that of gate and up
// (core/src/ops/swiglu.rs).

#include "sigmoid"

// f32, or f16 in mixed precision.
alias Real3 = f32;
alias Real4 = f32;

@group(0) @binding(3) var<storage, read_write> dgate_up: array<vec4<Real3>>; // [m, 2 n]
@group(0) @binding(4) var<storage, read_write> gate_up: array<vec4<Real4>>;  // [m, 2 n]

fn b_row(column: u32) -> u32 {
    return column;
}

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let at = 2 * row * sizes.n + column;
    let gate = vec4f(gate_up[at / 4]);
    let up = vec4f(gate_up[(at + sizes.n) / 4]);
    let s = vec4f(sigmoid(gate.x), sigmoid(gate.y), sigmoid(gate.z), sigmoid(gate.w));
    let silu = gate * s;
    dgate_up[at / 4] = vec4<Real3>(value * up * (s + silu * (1.0 - s)));
    dgate_up[(at + sizes.n) / 4] = vec4<Real3>(value * silu);
}
