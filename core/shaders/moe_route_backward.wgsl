// Gradient of the router's scores through the chosen weights and the balance loss
// (core/src/ops/moe_route.rs). One workgroup for each token.

#include "reduce"

override NORMALIZE: bool = false;

struct Sizes {
    tokens: u32,
    num_experts: u32,
    top_k: u32,
    scale: u32,               // index into scalars
    balance_coefficient: f32, // aux_coefficient * num_experts / (pairs * tokens)
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage dweights: f32; // [tokens, top_k]
storage probs: f32;    // [tokens, num_experts]
storage experts: u32;  // [tokens, top_k]
storage counts: u32;   // [num_experts]
storage scalars: f32;
storage dlogits: f32;  // [tokens, num_experts]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn moe_route_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let token = group.x + group.y * groups.x;
    if token >= sizes.tokens { return; }
    let base = token * sizes.num_experts;
    let slots = token * sizes.top_k;

    var shift = 0.0;
    var scale = 1.0;
    if NORMALIZE {
        var chosen = 0.0;
        var product = 0.0;
        for (var slot = 0u; slot < sizes.top_k; slot++) {
            let prob = probs[base + experts[slots + slot]];
            chosen += prob;
            product += dweights[slots + slot] * prob;
        }
        shift = product / chosen;
        scale = 1.0 / chosen;
    }

    // dlogits first holds dprobs; each thread reads back only its own elements.
    let balance = sizes.balance_coefficient * scalars[sizes.scale];
    var mean = 0.0;
    for (var e = lane; e < sizes.num_experts; e += THREADS) {
        var dprob = balance * f32(counts[e]);
        for (var slot = 0u; slot < sizes.top_k; slot++) {
            if experts[slots + slot] == e {
                dprob += (dweights[slots + slot] - shift) * scale;
            }
        }
        dlogits[base + e] = dprob;
        mean += probs[base + e] * dprob;
    }
    mean = workgroup_sum(lane, mean);
    for (var e = lane; e < sizes.num_experts; e += THREADS) {
        dlogits[base + e] = probs[base + e] * (dlogits[base + e] - mean);
    }
}
