// Gradients of the experts' results and of the router weights (core/src/ops/moe_combine.rs).
// One workgroup a routed pair, in the order of the experts.

#include "reduce"

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real2 = f32;
alias Real5 = f32;

struct Sizes { pairs: u32, top_k: u32, hidden_size: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> dout: array<Real1>;   // [tokens, hidden_size]
@group(0) @binding(2) var<storage, read_write> y: array<Real2>;      // [pairs, hidden_size]
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;  // [tokens, top_k]
@group(0) @binding(4) var<storage, read_write> order: array<u32>;    // [pairs]
@group(0) @binding(5) var<storage, read_write> dy: array<Real5>;     // [pairs, hidden_size]
@group(0) @binding(6) var<storage, read_write> dweights: array<f32>; // [tokens, top_k]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn moe_combine_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.pairs { return; }
    let pair = order[row];
    let source = pair / sizes.top_k * sizes.hidden_size;
    let to = row * sizes.hidden_size;
    let weight = weights[pair];
    var product = 0.0;
    for (var i = lane; i < sizes.hidden_size; i += THREADS) {
        let gradient = f32(dout[source + i]);
        dy[to + i] = Real5(weight * gradient);
        product += gradient * f32(y[to + i]);
    }
    product = workgroup_sum(lane, product);
    if lane == 0 { dweights[pair] = product; }
}
