// Weighted sum of the routed experts' results, plus the shared experts' result
// (core/src/ops/moe_combine.rs). One workgroup for each token.

struct Sizes { tokens: u32, top_k: u32, hidden_size: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage y: real;        // [pairs, hidden_size]
storage weights: f32;   // [tokens, top_k]
storage position: u32;  // [pairs]
storage out: real;      // [tokens, hidden_size]
storage shared_y: real; // [tokens, hidden_size]

const THREADS: u32 = 64;

fn routed(token: u32, i: u32) -> f32 {
    var total = 0.0;
    for (var slot = 0u; slot < sizes.top_k; slot++) {
        let pair = token * sizes.top_k + slot;
        total += weights[pair] * load_y(position[pair] * sizes.hidden_size + i);
    }
    return total;
}

@compute @workgroup_size(THREADS)
fn moe_combine(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let token = group.x + group.y * groups.x;
    if token >= sizes.tokens { return; }
    for (var i = lane; i < sizes.hidden_size; i += THREADS) {
        store_out(token * sizes.hidden_size + i, routed(token, i));
    }
}

@compute @workgroup_size(THREADS)
fn moe_combine_shared(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let token = group.x + group.y * groups.x;
    if token >= sizes.tokens { return; }
    for (var i = lane; i < sizes.hidden_size; i += THREADS) {
        let at = token * sizes.hidden_size + i;
        store_out(at, load_shared_y(at) + routed(token, i));
    }
}
