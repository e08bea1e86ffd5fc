// Gradients of head_norm (core/src/ops/head_norm.rs). Gradients of the gains are sums over tokens and heads in two
// fixed stages. They run before the gradient of the output is overwritten by the gradient of the input.

#include "reduce"

// `more` is the number of tokens of a partial sum, or the number of partial sums.
struct Sizes { tokens: u32, q_heads: u32, kv_heads: u32, head_dim: u32, more: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage dqkv: real;   // [tokens, (q_heads + 2 kv_heads) * head_dim]
storage x: real;      // as dqkv
storage q_gain: f32;  // [head_dim]
storage k_gain: f32;  // [head_dim]
storage rstd: f32;    // [tokens, q_heads + kv_heads]
storage partial: f32; // [partials, 2 * head_dim]: of queries, of keys
storage dq_gain: f32; // [head_dim]
storage dk_gain: f32; // [head_dim]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn head_norm_backward_partial(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group.x * THREADS + lane;
    if column >= 2 * sizes.head_dim { return; }
    let normed = sizes.q_heads + sizes.kv_heads;
    let width = (normed + sizes.kv_heads) * sizes.head_dim;
    let is_key = column >= sizes.head_dim;
    let feature = column % sizes.head_dim;
    let first_head = select(0u, sizes.q_heads, is_key);
    let end_head = select(sizes.q_heads, normed, is_key);
    let first = group.y * sizes.more;
    let end = min(first + sizes.more, sizes.tokens);
    var total = 0.0;
    for (var token = first; token < end; token++) {
        for (var head = first_head; head < end_head; head++) {
            let i = token * width + head * sizes.head_dim + feature;
            total += load_dqkv(i) * load_x(i) * rstd[token * normed + head];
        }
    }
    partial[group.y * 2 * sizes.head_dim + column] = total;
}

@compute @workgroup_size(THREADS)
fn head_norm_backward_gain(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group.x * THREADS + lane;
    if column >= 2 * sizes.head_dim { return; }
    var total = 0.0;
    for (var row = 0u; row < sizes.more; row++) {
        total += partial[row * 2 * sizes.head_dim + column];
    }
    if column < sizes.head_dim {
        dq_gain[column] += total;
    } else {
        dk_gain[column - sizes.head_dim] += total;
    }
}

@compute @workgroup_size(THREADS)
fn head_norm_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let normed = sizes.q_heads + sizes.kv_heads;
    let index = group.x + group.y * groups.x;
    if index >= sizes.tokens * normed { return; }
    let token = index / normed;
    let head = index % normed;
    let base = (token * (normed + sizes.kv_heads) + head) * sizes.head_dim;
    let scale = rstd[index];
    var products = 0.0;
    for (var i = lane; i < sizes.head_dim; i += THREADS) {
        products += load_dqkv(base + i) * gain(head, i) * load_x(base + i) * scale;
    }
    let mean = workgroup_sum(lane, products) / f32(sizes.head_dim);
    for (var i = lane; i < sizes.head_dim; i += THREADS) {
        let normal = load_x(base + i) * scale;
        store_dqkv(base + i, scale * (load_dqkv(base + i) * gain(head, i) - normal * mean));
    }
}

fn gain(head: u32, i: u32) -> f32 {
    if head < sizes.q_heads { return q_gain[i]; }
    return k_gain[i];
}
