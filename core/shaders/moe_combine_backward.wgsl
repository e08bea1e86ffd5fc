// Gradients of the experts' results and of the router weights (core/src/ops/moe_combine.rs).
// One workgroup for each routed pair, in the order of the experts.

#include "reduce"

struct Sizes { pairs: u32, top_k: u32, hidden_size: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage dout: real;    // [tokens, hidden_size]
storage y: real;       // [pairs, hidden_size]
storage weights: f32;  // [tokens, top_k]
storage order: u32;    // [pairs]
storage dy: real;      // [pairs, hidden_size]
storage dweights: f32; // [tokens, top_k]

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
        let gradient = load_dout(source + i);
        store_dy(to + i, weight * gradient);
        product += gradient * load_y(to + i);
    }
    product = workgroup_sum(lane, product);
    if lane == 0 { dweights[pair] = product; }
}
