// Gradients of attention (core/src/ops/attention), for real GPUs; the formulas are in
// attention_backward.wgsl. One kernel owns queries and gives dq, one owns keys and gives dk and dv; both
// compute the scores again, so nothing is added atomically.

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
var<workgroup> ps: array<f32, OWN * OTHER>;
var<workgroup> ds: array<f32, OWN * OTHER>;
var<workgroup> its_lse: array<f32, max(OWN, OTHER)>; // in bits
var<workgroup> its_delta: array<f32, max(OWN, OTHER)>;

// Zeros past the end of the row.
fn load(row: u32, token: u32, column: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    return load4_qkv(token_of(row, token) * width() + column);
}

fn result_at(row: u32, token: u32, head: u32, quad: u32) -> u32 {
    return (token_of(row, token) * sizes.q_heads + head) * QUADS + quad;
}

fn dout_quad(row: u32, token: u32, head: u32, quad: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    return load4_dout(result_at(row, token, head, quad));
}

fn out_quad(row: u32, token: u32, head: u32, quad: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    return load4_out(result_at(row, token, head, quad));
}

fn store(row: u32, token: u32, column: u32, x: vec4f) {
    if token >= sizes.context { return; }
    store4_dqkv(token_of(row, token) * width() + column, x);
}

// Products of own token `t` and passing token `other`: a a and b b.
struct Products { a: array<f32, EACH>, b: array<f32, EACH> }

fn multiply(own: u32, other: u32) -> Products {
    var products: Products;
    for (var quad = 0u; quad < QUADS; quad++) {
        let a = other_a[other * STRIDE + quad];
        let b = other_b[other * STRIDE + quad];
        for (var t = 0u; t < EACH; t++) {
            products.a[t] += dot(own_a[(own + t) * STRIDE + quad], a);
            products.b[t] += dot(own_b[(own + t) * STRIDE + quad], b);
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
    for (var t = 0u; t < EACH; t++) { dq[t] = vec4f(); }

    let end = min(first + OWN, sizes.context);
    for (var start = 0u; start < end; start += OTHER) {
        for (var i = lane; i < OTHER * QUADS; i += THREADS) {
            let at = i / QUADS * STRIDE + i % QUADS;
            other_a[at] = load(row, start + i / QUADS, keys + i % QUADS);
            other_b[at] = load(row, start + i / QUADS, values + i % QUADS);
        }
        workgroupBarrier();
        for (var n = 0u; n < KEYS; n++) {
            let key = n * QUADS + feature;
            if key < OTHER {
                let found = multiply(own, key);
                for (var t = 0u; t < EACH; t++) {
                    let i = own + t;
                    let seen = start + key <= first + i;
                    let p = exp2(select(LOWEST, found.a[t] - its_lse[i], seen));
                    ds[i * OTHER + key] = p * (found.b[t] - its_delta[i]) * sizes.scale;
                }
            }
        }
        workgroupBarrier();
        for (var key = 0u; key < OTHER; key++) {
            let its = other_a[key * STRIDE + feature];
            for (var t = 0u; t < EACH; t++) { dq[t] += ds[(own + t) * OTHER + key] * its; }
        }
        // The next tile overwrites what slower threads still read.
        workgroupBarrier();
    }
    for (var t = 0u; t < EACH; t++) {
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
    for (var t = 0u; t < EACH; t++) {
        dk[t] = vec4f();
        dv[t] = vec4f();
    }

    let heads = sizes.q_heads / sizes.kv_heads;
    for (var head = kv * heads; head < (kv + 1) * heads; head++) {
        // Queries before the first key don't see it.
        for (var start = first / OTHER * OTHER; start < sizes.context; start += OTHER) {
            for (var i = lane; i < OTHER * QUADS; i += THREADS) {
                let at = i / QUADS * STRIDE + i % QUADS;
                let token = start + i / QUADS;
                other_a[at] = load(row, token, head * QUADS + i % QUADS);
                other_b[at] = dout_quad(row, token, head, i % QUADS);
            }
            for (var i = lane; i < OTHER; i += THREADS) {
                let at = saved_at(row, head, min(start + i, sizes.context - 1));
                its_lse[i] = lse[at] * LOG2_E;
                its_delta[i] = delta[at];
            }
            workgroupBarrier();
            for (var n = 0u; n < KEYS; n++) {
                let query = n * QUADS + feature;
                if query < OTHER {
                    let found = multiply(own, query);
                    for (var t = 0u; t < EACH; t++) {
                        let sees = start + query >= first + own + t
                            && start + query < sizes.context;
                        let p = exp2(select(LOWEST, found.a[t] - its_lse[query], sees));
                        let at = (own + t) * OTHER + query;
                        ps[at] = p;
                        ds[at] = p * (found.b[t] - its_delta[query]) * sizes.scale;
                    }
                }
            }
            workgroupBarrier();
            for (var query = 0u; query < OTHER; query++) {
                let q = other_a[query * STRIDE + feature];
                let gradient = other_b[query * STRIDE + feature];
                for (var t = 0u; t < EACH; t++) {
                    let at = (own + t) * OTHER + query;
                    dk[t] += ds[at] * q;
                    dv[t] += ps[at] * gradient;
                }
            }
            workgroupBarrier();
        }
    }
    for (var t = 0u; t < EACH; t++) {
        store(row, first + own + t, key_column(kv) + feature, dk[t]);
        store(row, first + own + t, value_column(kv) + feature, dv[t]);
    }
}
