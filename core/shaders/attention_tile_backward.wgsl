// Gradients of attention (core/src/ops/attention), for real GPUs; the formulas are in
// attention_backward.wgsl. One kernel owns queries and computes dq, one owns keys and computes dk and dv. Both compute
// the scores again, so there are no atomics.

#include "attention_tile"

storage qkv: vec4<real>;  // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<real>;  // [tokens, q_heads head_dim]
storage dout: vec4<real>; // like out
storage lse: f32;         // [batch, q_heads, context]
storage delta: f32;       // like lse
storage dqkv: vec4<real>; // like qkv

var<workgroup> own_a: array<vec4f, OWN * STRIDE>;     // q, or k
var<workgroup> own_b: array<vec4f, OWN * STRIDE>;     // dout, or v
var<workgroup> other_a: array<vec4f, OTHER * STRIDE>; // k, or q
var<workgroup> other_b: array<vec4f, OTHER * STRIDE>; // v, or dout
var<workgroup> ps: array<vec4f, OTHER * OWN_FOURS>;
var<workgroup> ds: array<vec4f, OTHER * OWN_FOURS>;
// Log-sum-exps of queries, in bits, and their deltas.
var<workgroup> its_lse: array<f32, max(OWN, OTHER)>;
var<workgroup> its_delta: array<f32, max(OWN, OTHER)>;

fn result_at(row: u32, token: u32, head: u32, quad: u32) -> u32 {
    return (read_token(row, token) * sizes.q_heads + head) * QUADS + quad;
}

fn dout_quad(row: u32, token: u32, head: u32, quad: u32) -> vec4f {
    return load4_dout(result_at(row, token, head, quad));
}

fn out_quad(row: u32, token: u32, head: u32, quad: u32) -> vec4f {
    return load4_out(result_at(row, token, head, quad));
}

// A thread's share of the gradients of a head's results, of other tokens from `first` on.
fn fetch_gradients(lane: u32, row: u32, first: u32, head: u32) -> Loads {
    var loads: Loads;
    for (var i = 0u; i < LOADS; i++) { // unroll
        let at = i * THREADS + lane;
        loads[i] = dout_quad(row, first + at / QUADS, head, at % QUADS);
    }
    return loads;
}

fn put(a: Loads, b: Loads, lane: u32) {
    for (var i = 0u; i < LOADS; i++) { // unroll
        other_a[slot(i, lane)] = a[i];
        other_b[slot(i, lane)] = b[i];
    }
}

fn store(row: u32, token: u32, column: u32, x: vec4f) {
    if token >= sizes.context { return; }
    store4_dqkv(token_of(row, token) * width() + column, x);
}

// Dot products of a thread's own tokens, from `own` on, and its other tokens: a·a and b·b, [ACROSS, EACH].
struct Products { a: array<f32, ACROSS * EACH>, b: array<f32, ACROSS * EACH> }

fn multiply(own: u32, feature: u32) -> Products {
    var products: Products;
    for (var quad = 0u; quad < QUADS; quad++) {
        var its_a: array<vec4f, EACH>;
        var its_b: array<vec4f, EACH>;
        for (var t = 0u; t < EACH; t++) { // unroll
            its_a[t] = own_a[(own + t) * STRIDE + quad];
            its_b[t] = own_b[(own + t) * STRIDE + quad];
        }
        for (var n = 0u; n < ACROSS; n++) { // unroll
            let a = other_a[(n * SCORING + feature) * STRIDE + quad];
            let b = other_b[(n * SCORING + feature) * STRIDE + quad];
            for (var t = 0u; t < EACH; t++) { // unroll
                let at = n * EACH + t;
                products.a[at] = add_dot(products.a[at], its_a[t], a);
                products.b[at] = add_dot(products.b[at], its_b[t], b);
            }
        }
    }
    return products;
}

@compute @workgroup_size(THREADS)
fn attention_tile_q(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (sizes.block + group.x) * OWN;
    let head = sizes.head + group.y;
    let row = sizes.row + group.z;
    let keys = key_column(kv_of(head));
    let values = value_column(kv_of(head));
    for (var i = lane; i < OWN * QUADS; i += THREADS) {
        let at = i / QUADS * STRIDE + i % QUADS;
        let token = first + i / QUADS;
        own_a[at] = load(row, token, head * QUADS + i % QUADS) * (sizes.scale * LOG2_E);
        own_b[at] = dout_quad(row, token, head, i % QUADS);
    }
    workgroupBarrier();
    for (var i = lane; i < OWN; i += THREADS) {
        var sum = 0.0;
        for (var quad = 0u; quad < QUADS; quad++) {
            sum += dot(own_b[i * STRIDE + quad], out_quad(row, first + i, head, quad));
        }
        its_delta[i] = sum;
        its_lse[i] = 0.0;
        if first + i < sizes.context {
            delta[saved_at(row, head, first + i)] = sum;
            its_lse[i] = lse[saved_at(row, head, first + i)] * LOG2_E;
        }
    }
    let own = lane / QUADS * EACH;
    let feature = lane % QUADS;
    var dq: array<vec4f, EACH>;

    var first_keys: array<u32, EACH>;
    for (var t = 0u; t < EACH; t++) { // unroll
        first_keys[t] = first_key(row, first + own + t);
    }
    let begin = first_key_of_group(lane, row, first) / OTHER * OTHER;
    let end = min(first + OWN, sizes.context);
    var next_keys = fetch(lane, row, begin, keys);
    var next_values = fetch(lane, row, begin, values);
    for (var start = begin; start < end; start += OTHER) {
        put(next_keys, next_values, lane);
        workgroupBarrier();
        if start + OTHER < end {
            next_keys = fetch(lane, row, start + OTHER, keys);
            next_values = fetch(lane, row, start + OTHER, values);
        }
        if feature < SCORING {
            let products = multiply(own, feature);
            for (var n = 0u; n < ACROSS; n++) { // unroll
                let key = n * SCORING + feature;
                var gradients: array<f32, EACH>;
                for (var t = 0u; t < EACH; t++) { // unroll
                    let i = own + t;
                    let seen = start + key <= first + i && start + key >= first_keys[t];
                    let p = exp2(select(LOWEST, products.a[n * EACH + t] - its_lse[i], seen));
                    gradients[t] = p * (products.b[n * EACH + t] - its_delta[i]) * sizes.scale;
                }
                ds[key * OWN_FOURS + own / 4] =
                    vec4f(gradients[0], gradients[1], gradients[2], gradients[3]);
            }
        }
        workgroupBarrier();
        for (var key = 0u; key < OTHER; key++) {
            let its = other_a[key * STRIDE + feature];
            let d = ds[key * OWN_FOURS + own / 4];
            dq[0] += d.x * its;
            dq[1] += d.y * its;
            dq[2] += d.z * its;
            dq[3] += d.w * its;
        }
        // Slower threads may still read memory that the next block overwrites.
        workgroupBarrier();
    }
    for (var t = 0u; t < EACH; t++) { // unroll
        store(row, first + own + t, head * QUADS + feature, dq[t]);
    }
}

@compute @workgroup_size(THREADS)
fn attention_tile_kv(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (sizes.block + group.x) * OWN;
    let kv = sizes.head + group.y;
    let row = sizes.row + group.z;
    for (var i = lane; i < OWN * QUADS; i += THREADS) {
        let at = i / QUADS * STRIDE + i % QUADS;
        let token = first + i / QUADS;
        own_a[at] = load(row, token, key_column(kv) + i % QUADS) * (sizes.scale * LOG2_E);
        own_b[at] = load(row, token, value_column(kv) + i % QUADS);
    }
    let own = lane / QUADS * EACH;
    let feature = lane % QUADS;
    var dk: array<vec4f, EACH>;
    var dv: array<vec4f, EACH>;

    var ends: array<u32, EACH>; // of the queries that see the own keys
    for (var t = 0u; t < EACH; t++) { // unroll
        ends[t] = end_of_queries(row, first + own + t);
    }
    let end = end_of_queries_of_group(lane, row, first + OWN - 1);
    // The blocks of queries of one head after the other. Queries before the first key don't see it.
    let heads = sizes.q_heads / sizes.kv_heads;
    let end_of_heads = (kv + 1) * heads;
    let begin = first / OTHER * OTHER;
    var head = kv * heads;
    var start = begin;
    var next_queries = fetch(lane, row, start, head * QUADS);
    var next_gradients = fetch_gradients(lane, row, start, head);
    while head < end_of_heads {
        let block = start;
        put(next_queries, next_gradients, lane);
        // Not loaded ahead: a workgroup may have fewer threads than other tokens.
        for (var i = lane; i < OTHER; i += THREADS) {
            let at = saved_at(row, head, min(block + i, sizes.context - 1));
            its_lse[i] = lse[at] * LOG2_E;
            its_delta[i] = delta[at];
        }
        workgroupBarrier();
        start += OTHER;
        if start >= end {
            start = begin;
            head++;
        }
        if head < end_of_heads {
            next_queries = fetch(lane, row, start, head * QUADS);
            next_gradients = fetch_gradients(lane, row, start, head);
        }
        if feature < SCORING {
            let products = multiply(own, feature);
            for (var n = 0u; n < ACROSS; n++) { // unroll
                let query = n * SCORING + feature;
                var weights: array<f32, EACH>;
                var gradients: array<f32, EACH>;
                for (var t = 0u; t < EACH; t++) { // unroll
                    let sees = block + query >= first + own + t && block + query < ends[t];
                    let score = products.a[n * EACH + t] - its_lse[query];
                    weights[t] = exp2(select(LOWEST, score, sees));
                    gradients[t] = weights[t] * sizes.scale
                        * (products.b[n * EACH + t] - its_delta[query]);
                }
                let at = query * OWN_FOURS + own / 4;
                ps[at] = vec4f(weights[0], weights[1], weights[2], weights[3]);
                ds[at] = vec4f(gradients[0], gradients[1], gradients[2], gradients[3]);
            }
        }
        workgroupBarrier();
        for (var query = 0u; query < OTHER; query++) {
            let q = other_a[query * STRIDE + feature];
            let gradient = other_b[query * STRIDE + feature];
            let p = ps[query * OWN_FOURS + own / 4];
            let d = ds[query * OWN_FOURS + own / 4];
            dk[0] += d.x * q;
            dk[1] += d.y * q;
            dk[2] += d.z * q;
            dk[3] += d.w * q;
            dv[0] += p.x * gradient;
            dv[1] += p.y * gradient;
            dv[2] += p.z * gradient;
            dv[3] += p.w * gradient;
        }
        workgroupBarrier();
    }
    for (var t = 0u; t < EACH; t++) { // unroll
        store(row, first + own + t, key_column(kv) + feature, dk[t]);
        store(row, first + own + t, value_column(kv) + feature, dv[t]);
    }
}
