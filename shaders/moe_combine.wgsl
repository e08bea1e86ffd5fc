// Weighted sum of the routed experts' results, plus the shared experts' result
// (core/src/ops/moe_combine.rs). One workgroup a token.

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real4 = f32;
alias Real5 = f32;

struct Sizes { tokens: u32, top_k: u32, hidden_size: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> y: array<Real1>;      // [pairs, hidden_size]
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;  // [tokens, top_k]
@group(0) @binding(3) var<storage, read_write> position: array<u32>; // [pairs]
@group(0) @binding(4) var<storage, read_write> out: array<Real4>;    // [tokens, hidden_size]
@group(0) @binding(5) var<storage, read_write> shared_y: array<Real5>; // [tokens, hidden_size]

const THREADS: u32 = 64;

fn routed(token: u32, i: u32) -> f32 {
    var total = 0.0;
    for (var slot = 0u; slot < sizes.top_k; slot++) {
        let pair = token * sizes.top_k + slot;
        total += weights[pair] * f32(y[position[pair] * sizes.hidden_size + i]);
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
        out[token * sizes.hidden_size + i] = Real4(routed(token, i));
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
        out[at] = Real4(f32(shared_y[at]) + routed(token, i));
    }
}
