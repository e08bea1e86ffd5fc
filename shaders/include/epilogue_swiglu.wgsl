// Gates and what they gate, stored for the backward, and y = silu(gate) * up (core/src/ops/swiglu.rs).

#include "pairs"
#include "sigmoid"

// f32, or f16 in mixed precision.
alias Real3 = f32;
alias Real4 = f32;

@group(0) @binding(3) var<storage, read_write> gate_up: array<vec2<Real3>>; // [m, 2 HALF]
@group(0) @binding(4) var<storage, read_write> y: array<vec2<Real4>>;       // [m, HALF]

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let feature = first_feature(column);
    let gate = value.xy;
    let up = value.zw;
    let at = row * sizes.n + feature;
    gate_up[at / 2] = vec2<Real3>(gate);
    gate_up[(at + HALF) / 2] = vec2<Real3>(up);
    let gated = gate * vec2f(sigmoid(gate.x), sigmoid(gate.y)) * up;
    y[(row * HALF + feature) / 2] = vec2<Real4>(gated);
}
