// probs = softmax(logits), and its top k (core/src/ops/moe_route.rs). One workgroup for each token.

#include "reduce"

override NORMALIZE: bool = false;

struct Sizes { tokens: u32, num_experts: u32, top_k: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage logits: f32;  // [tokens, num_experts]
storage probs: f32;   // [tokens, num_experts]
storage experts: u32; // [tokens, top_k]
storage weights: f32; // [tokens, top_k]

const THREADS: u32 = 64;
const SIGN: u32 = 0x80000000u;

// Integers in the order of the reals, with equal keys for both zeros. With ties broken by index, all bit patterns are
// ordered, so that ranks are a permutation even if a logit is NaN.
fn sort_key(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    if bits == SIGN { return SIGN; }
    return select(bits | SIGN, ~bits, bits >= SIGN);
}

@compute @workgroup_size(THREADS)
fn moe_route(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let token = group.x + group.y * groups.x;
    if token >= sizes.tokens { return; }
    let base = token * sizes.num_experts;
    let slots = token * sizes.top_k;

    var largest = -3.4028234e38;
    for (var e = lane; e < sizes.num_experts; e += THREADS) {
        largest = max(largest, logits[base + e]);
    }
    largest = workgroup_max(lane, largest);
    var total = 0.0;
    for (var e = lane; e < sizes.num_experts; e += THREADS) {
        total += exp(logits[base + e] - largest);
    }
    total = workgroup_sum(lane, total);

    // An expert's slot is the number of experts ranked before it, which needs neither rounds nor barriers.
    var chosen = 0.0;
    for (var e = lane; e < sizes.num_experts; e += THREADS) {
        let prob = exp(logits[base + e] - largest) / total;
        probs[base + e] = prob;
        let key = sort_key(logits[base + e]);
        var rank = 0u;
        for (var other = 0u; other < sizes.num_experts; other++) {
            let other_key = sort_key(logits[base + other]);
            rank += u32(other_key > key || (other_key == key && other < e));
        }
        if rank < sizes.top_k {
            experts[slots + rank] = e;
            weights[slots + rank] = prob;
            chosen += prob;
        }
    }
    if NORMALIZE {
        chosen = workgroup_sum(lane, chosen);
        storageBarrier();
        for (var slot = lane; slot < sizes.top_k; slot += THREADS) {
            weights[slots + slot] /= chosen;
        }
    }
}
