// Causal attention with grouped query heads (core/src/ops/attention), for real GPUs. The softmax is
// online, as in attention.wgsl; its state is in registers, the same in all threads of a token.

#include "attention_tile"

storage qkv: vec4<real>; // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<real>; // [tokens, q_heads head_dim]
storage lse: f32;        // [batch, q_heads, context]

var<workgroup> queries: array<vec4f, OWN * STRIDE>;
var<workgroup> passing: array<vec4f, OTHER * STRIDE>; // keys, then values
var<workgroup> scores: array<f32, OWN * OTHER>;

// Zeros past the end of the row.
fn load(row: u32, token: u32, column: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    return load4_qkv(token_of(row, token) * width() + column);
}

@compute @workgroup_size(THREADS)
fn attention_tile(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (sizes.block + group.x) * OWN;
    let head = sizes.head + group.y;
    let row = sizes.row + group.z;
    let keys = key_column(kv_of(head));
    let values = value_column(kv_of(head));
    for (var i = lane; i < OWN * QUADS; i += THREADS) {
        queries[i / QUADS * STRIDE + i % QUADS] =
            load(row, first + i / QUADS, head * QUADS + i % QUADS) * (sizes.scale * LOG2_E);
    }
    let own = lane / QUADS * EACH;
    let feature = lane % QUADS;
    var sums: array<vec4f, EACH>;
    var largest: array<f32, EACH>;
    var total: array<f32, EACH>;
    for (var t = 0u; t < EACH; t++) {
        sums[t] = vec4f();
        largest[t] = LOWEST;
        total[t] = 0.0;
    }

    let end = min(first + OWN, sizes.context);
    for (var start = 0u; start < end; start += OTHER) {
        for (var i = lane; i < OTHER * QUADS; i += THREADS) {
            passing[i / QUADS * STRIDE + i % QUADS] = load(row, start + i / QUADS, keys + i % QUADS);
        }
        workgroupBarrier();
        for (var n = 0u; n < KEYS; n++) {
            let key = n * QUADS + feature;
            if key < OTHER {
                var products: array<f32, EACH>;
                for (var t = 0u; t < EACH; t++) { products[t] = 0.0; }
                for (var quad = 0u; quad < QUADS; quad++) {
                    let its = passing[key * STRIDE + quad];
                    for (var t = 0u; t < EACH; t++) {
                        products[t] += dot(queries[(own + t) * STRIDE + quad], its);
                    }
                }
                for (var t = 0u; t < EACH; t++) {
                    let future = start + key > first + own + t;
                    scores[(own + t) * OTHER + key] = select(products[t], LOWEST, future);
                }
            }
        }
        workgroupBarrier();
        // The first tile holds key 0, which every query sees: from then on `largest` is a score, and
        // exp2(LOWEST - largest) is 0.
        for (var t = 0u; t < EACH; t++) {
            var next = largest[t];
            for (var key = 0u; key < OTHER; key++) {
                next = max(next, scores[(own + t) * OTHER + key]);
            }
            let rescale = exp2(largest[t] - next);
            largest[t] = next;
            total[t] *= rescale;
            sums[t] *= rescale;
        }
        for (var i = lane; i < OTHER * QUADS; i += THREADS) {
            passing[i / QUADS * STRIDE + i % QUADS] =
                load(row, start + i / QUADS, values + i % QUADS);
        }
        // Every thread has read the scores before they become weights.
        workgroupBarrier();
        for (var n = 0u; n < KEYS; n++) {
            let key = n * QUADS + feature;
            if key < OTHER {
                for (var t = 0u; t < EACH; t++) {
                    let at = (own + t) * OTHER + key;
                    scores[at] = exp2(scores[at] - largest[t]);
                }
            }
        }
        workgroupBarrier();
        for (var key = 0u; key < OTHER; key++) {
            let its = passing[key * STRIDE + feature];
            for (var t = 0u; t < EACH; t++) {
                let weight = scores[(own + t) * OTHER + key];
                total[t] += weight;
                sums[t] += weight * its;
            }
        }
        // The next tile overwrites what slower threads still read.
        workgroupBarrier();
    }

    for (var t = 0u; t < EACH; t++) {
        let token = first + own + t;
        if token < sizes.context {
            let to = token_of(row, token) * sizes.q_heads + head;
            store4_out(to * QUADS + feature, sums[t] / total[t]);
            if feature == 0 {
                lse[saved_at(row, head, token)] = (largest[t] + log2(total[t])) * LN_2;
            }
        }
    }
}
