// RMSNorm of each query and key head of the packed projection; value heads are copied
// (core/src/ops/head_norm.rs). One workgroup for each head of a token.

#include "reduce"

struct Sizes { tokens: u32, q_heads: u32, kv_heads: u32, head_dim: u32, eps: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: real;     // [tokens, (q_heads + 2 kv_heads) * head_dim]
storage q_gain: f32; // [head_dim]
storage k_gain: f32; // [head_dim]
storage y: real;     // as x
storage rstd: f32;   // [tokens, q_heads + kv_heads]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn head_norm(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let normed = sizes.q_heads + sizes.kv_heads;
    let heads = normed + sizes.kv_heads;
    let index = group.x + group.y * groups.x;
    if index >= sizes.tokens * heads { return; }
    let token = index / heads;
    let head = index % heads;
    let base = index * sizes.head_dim;
    var squares = 0.0;
    for (var i = lane; i < sizes.head_dim; i += THREADS) {
        let value = load_x(base + i);
        squares += value * value;
    }
    let scale = inverseSqrt(workgroup_sum(lane, squares) / f32(sizes.head_dim) + sizes.eps);
    for (var i = lane; i < sizes.head_dim; i += THREADS) {
        let value = load_x(base + i);
        if head >= normed {
            store_y(base + i, value);
        } else if head >= sizes.q_heads {
            store_y(base + i, k_gain[i] * value * scale);
        } else {
            store_y(base + i, q_gain[i] * value * scale);
        }
    }
    if lane == 0 && head < normed { rstd[token * normed + head] = scale; }
}
