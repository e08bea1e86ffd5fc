// Gradients of attention (core/src/ops/attention). With p_ij = exp(scale q_i·k_j - lse_i) and
// δ_i = dout_i·out_i:
//   ds_ij = p_ij (dout_i·v_j - δ_i) scale,  dq_i = Σ_j ds_ij k_j,  dk_j = Σ_i ds_ij q_i,
//   dv_j = Σ_i p_ij dout_i
// A workgroup owns OWN tokens (queries, or keys with their values), and loops over the others, OTHER at a time.
// Both kernels compute the scores again. Each thread owns 4 tokens x 4 features of the sums, so there are no atomics.

override OWN: u32 = 16;
override OTHER: u32 = 8;
override QUADS: u32 = 16;
override STRIDE: u32 = 17;
override THREADS: u32 = 64;

#include "attention_sizes"

storage qkv: real;  // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: real;  // [tokens, q_heads head_dim]
storage dout: real; // like out
storage lse: f32;   // [batch, q_heads, context]
storage delta: f32; // like lse
storage dqkv: real; // like qkv

var<workgroup> own_a: array<vec4f, OWN * STRIDE>;     // q, or k
var<workgroup> own_b: array<vec4f, OWN * STRIDE>;     // dout, or v
var<workgroup> other_a: array<vec4f, OTHER * STRIDE>; // k, or q
var<workgroup> other_b: array<vec4f, OTHER * STRIDE>; // v, or dout
var<workgroup> p: array<f32, OWN * OTHER>;
var<workgroup> ds: array<f32, OWN * OTHER>;

@compute @workgroup_size(64)
fn attention_backward_delta(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * 64 + lane;
    if i >= sizes.rows { return; }
    let token = i % sizes.context;
    let head = i / sizes.context % sizes.q_heads;
    let batch = i / (sizes.context * sizes.q_heads);
    let at = ((batch * sizes.context + token) * sizes.q_heads + head) * sizes.head_dim;
    var sum = 0.0;
    for (var d = 0u; d < sizes.head_dim; d++) { sum += load_out(at + d) * load_dout(at + d); }
    delta[i] = sum;
}

// Index of four features of a token's packed row.
fn packed_at(batch: u32, token: u32, column: u32, quad: u32) -> u32 {
    let width = (sizes.q_heads + 2 * sizes.kv_heads) * sizes.head_dim;
    return (batch * sizes.context + token) * width + column + 4 * quad;
}

// Four features; zeros past the end of the head and of the row. Heads are even.
fn qkv_quad(batch: u32, token: u32, column: u32, quad: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    let at = packed_at(batch, token, column, quad);
    if 4 * quad + 2 >= sizes.head_dim { return vec4f(load_qkv(at), load_qkv(at + 1), 0, 0); }
    return vec4f(load_qkv(at), load_qkv(at + 1), load_qkv(at + 2), load_qkv(at + 3));
}

fn dout_quad(batch: u32, token: u32, head: u32, quad: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    let at = ((batch * sizes.context + token) * sizes.q_heads + head) * sizes.head_dim + 4 * quad;
    if 4 * quad + 2 >= sizes.head_dim { return vec4f(load_dout(at), load_dout(at + 1), 0, 0); }
    return vec4f(load_dout(at), load_dout(at + 1), load_dout(at + 2), load_dout(at + 3));
}

fn store(batch: u32, token: u32, column: u32, quad: u32, values: vec4f) {
    if token >= sizes.context { return; }
    let at = packed_at(batch, token, column, quad);
    store_dqkv(at, values.x);
    store_dqkv(at + 1, values.y);
    if 4 * quad + 2 < sizes.head_dim {
        store_dqkv(at + 2, values.z);
        store_dqkv(at + 3, values.w);
    }
}

// p and ds of query `query` and key `key`, from q·k and dout·v; 0 if the query does not see the key.
fn gradient_of_score(batch: u32, head: u32, query: u32, key: u32, qk: f32, dp: f32) -> vec2f {
    let is_seen = key <= query && query < sizes.context && key >= first_key(batch, query);
    if !is_seen { return vec2f(); }
    let at = (batch * sizes.q_heads + head) * sizes.context + query;
    let probability = exp(qk * sizes.scale - lse[at]);
    return vec2f(probability, probability * (dp - delta[at]) * sizes.scale);
}

// Dot products a·a and b·b of row `i` of the own tokens and row `j` of the other ones.
fn dots(i: u32, j: u32) -> vec2f {
    var a = vec4f();
    var b = vec4f();
    for (var quad = 0u; quad < QUADS; quad++) {
        a += own_a[i * STRIDE + quad] * other_a[j * STRIDE + quad];
        b += own_b[i * STRIDE + quad] * other_b[j * STRIDE + quad];
    }
    return vec2f(dot(a, vec4f(1.0)), dot(b, vec4f(1.0)));
}

@compute @workgroup_size(THREADS)
fn attention_backward_q(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (sizes.block + group.x) * OWN;
    let head = sizes.head + group.y;
    let batch = sizes.row + group.z;
    let kv = head / (sizes.q_heads / sizes.kv_heads);
    let key_column = (sizes.q_heads + kv) * sizes.head_dim;
    let value_column = key_column + sizes.kv_heads * sizes.head_dim;
    for (var i = lane; i < OWN * QUADS; i += THREADS) {
        let at = i / QUADS * STRIDE + i % QUADS;
        let token = first + i / QUADS;
        own_a[at] = qkv_quad(batch, token, head * sizes.head_dim, i % QUADS);
        own_b[at] = dout_quad(batch, token, head, i % QUADS);
    }
    let own = lane / QUADS * 4;
    let feature = lane % QUADS;
    var dq = array<vec4f, 4>();

    let begin = first_key_of_group(lane, batch, first);
    let end = min(first + OWN, sizes.context);
    for (var start = begin / OTHER * OTHER; start < end; start += OTHER) {
        for (var i = lane; i < OTHER * QUADS; i += THREADS) {
            let at = i / QUADS * STRIDE + i % QUADS;
            other_a[at] = qkv_quad(batch, start + i / QUADS, key_column, i % QUADS);
            other_b[at] = qkv_quad(batch, start + i / QUADS, value_column, i % QUADS);
        }
        workgroupBarrier();
        for (var i = lane; i < OWN * OTHER; i += THREADS) {
            let found = dots(i / OTHER, i % OTHER);
            let key = start + i % OTHER;
            ds[i] = gradient_of_score(batch, head, first + i / OTHER, key, found.x, found.y).y;
        }
        workgroupBarrier();
        for (var key = 0u; key < OTHER; key++) {
            let k = other_a[key * STRIDE + feature];
            for (var t = 0u; t < 4; t++) { dq[t] += ds[(own + t) * OTHER + key] * k; }
        }
        // Slower threads may still read memory that the next tile overwrites.
        workgroupBarrier();
    }
    for (var t = 0u; t < 4; t++) {
        store(batch, first + own + t, head * sizes.head_dim, feature, dq[t]);
    }
}

@compute @workgroup_size(THREADS)
fn attention_backward_kv(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (sizes.block + group.x) * OWN;
    let kv = sizes.head + group.y;
    let batch = sizes.row + group.z;
    let key_column = (sizes.q_heads + kv) * sizes.head_dim;
    let value_column = key_column + sizes.kv_heads * sizes.head_dim;
    for (var i = lane; i < OWN * QUADS; i += THREADS) {
        let at = i / QUADS * STRIDE + i % QUADS;
        let token = first + i / QUADS;
        own_a[at] = qkv_quad(batch, token, key_column, i % QUADS);
        own_b[at] = qkv_quad(batch, token, value_column, i % QUADS);
    }
    let own = lane / QUADS * 4;
    let feature = lane % QUADS;
    var dk = array<vec4f, 4>();
    var dv = array<vec4f, 4>();

    let end = end_of_queries_of_group(lane, batch, first + OWN - 1);
    let heads = sizes.q_heads / sizes.kv_heads;
    for (var head = kv * heads; head < (kv + 1) * heads; head++) {
        // Queries before the first key don't see it.
        for (var start = first / OTHER * OTHER; start < end; start += OTHER) {
            for (var i = lane; i < OTHER * QUADS; i += THREADS) {
                let at = i / QUADS * STRIDE + i % QUADS;
                let token = start + i / QUADS;
                other_a[at] = qkv_quad(batch, token, head * sizes.head_dim, i % QUADS);
                other_b[at] = dout_quad(batch, token, head, i % QUADS);
            }
            workgroupBarrier();
            for (var i = lane; i < OWN * OTHER; i += THREADS) {
                let found = dots(i / OTHER, i % OTHER);
                let query = start + i % OTHER;
                let both = gradient_of_score(batch, head, query, first + i / OTHER, found.x, found.y);
                p[i] = both.x;
                ds[i] = both.y;
            }
            workgroupBarrier();
            for (var query = 0u; query < OTHER; query++) {
                let q = other_a[query * STRIDE + feature];
                let gradient = other_b[query * STRIDE + feature];
                for (var t = 0u; t < 4; t++) {
                    let at = (own + t) * OTHER + query;
                    dk[t] += ds[at] * q;
                    dv[t] += p[at] * gradient;
                }
            }
            workgroupBarrier();
        }
    }
    for (var t = 0u; t < 4; t++) {
        store(batch, first + own + t, key_column, feature, dk[t]);
        store(batch, first + own + t, value_column, feature, dv[t]);
    }
}
