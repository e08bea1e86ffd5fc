// Causal attention with grouped query heads (core/src/ops/attention), for real GPUs. The softmax is
// online, as in attention.wgsl; its state is in registers.

#include "attention_tile"

storage qkv: vec4<real>; // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<real>; // [tokens, q_heads head_dim]
storage lse: f32;        // [batch, q_heads, context]

var<workgroup> queries: array<vec4f, OWN * STRIDE>;
var<workgroup> passing: array<vec4f, OTHER * STRIDE>; // keys, then values
var<workgroup> weights: array<vec4f, OTHER * OWN_FOURS>;
// Results of each of the threads that share a token: the largest score of a block, and the sum of its weights.
var<workgroup> found: array<vec4f, QUADS * OWN_FOURS>;

fn put(loads: Loads, lane: u32) {
    for (var i = 0u; i < LOADS; i++) { // unroll
        passing[slot(i, lane)] = loads[i];
    }
}

fn keep(row: u32, head: u32, token: u32, feature: u32, result: vec4f, its_lse: f32) {
    if token >= sizes.context { return; }
    store4_out((token_of(row, token) * sizes.q_heads + head) * QUADS + feature, result);
    if feature == 0 { lse[saved_at(row, head, token)] = its_lse; }
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
    var largest = vec4f(LOWEST);
    var total: vec4f; // sum of the weights that this thread computed

    var first_keys: array<u32, EACH>;
    for (var t = 0u; t < EACH; t++) { // unroll
        first_keys[t] = first_key(row, first + own + t);
    }
    let begin = first_key_of_group(lane, row, first) / OTHER * OTHER;
    let end = min(first + OWN, sizes.context);
    var next = fetch(lane, row, begin, keys);
    for (var start = begin; start < end; start += OTHER) {
        put(next, lane);
        workgroupBarrier();
        next = fetch(lane, row, start, values);
        var scores: array<f32, ACROSS * EACH>;
        if feature < SCORING {
            for (var quad = 0u; quad < QUADS; quad++) {
                var query: array<vec4f, EACH>;
                for (var t = 0u; t < EACH; t++) { // unroll
                    query[t] = queries[(own + t) * STRIDE + quad];
                }
                for (var n = 0u; n < ACROSS; n++) { // unroll
                    let key = passing[(n * SCORING + feature) * STRIDE + quad];
                    for (var t = 0u; t < EACH; t++) { // unroll
                        scores[n * EACH + t] = add_dot(scores[n * EACH + t], query[t], key);
                    }
                }
            }
        }
        var its: array<f32, EACH>;
        for (var t = 0u; t < EACH; t++) { // unroll
            its[t] = LOWEST;
            for (var n = 0u; n < ACROSS; n++) { // unroll
                let at = n * EACH + t;
                let key = start + n * SCORING + feature;
                let seen = key <= first + own + t && key >= first_keys[t] && feature < SCORING;
                scores[at] = select(LOWEST, scores[at], seen);
                its[t] = max(its[t], scores[at]);
            }
        }
        found[feature * OWN_FOURS + own / 4] = vec4f(its[0], its[1], its[2], its[3]);
        workgroupBarrier();
        put(next, lane);
        if start + OTHER < end { next = fetch(lane, row, start + OTHER, keys); }
        var most = largest;
        for (var i = 0u; i < SCORING; i++) {
            most = max(most, found[i * OWN_FOURS + own / 4]);
        }
        let rescale = exp2(largest - most);
        largest = most;
        total *= rescale;
        sums[0] *= rescale.x;
        sums[1] *= rescale.y;
        sums[2] *= rescale.z;
        sums[3] *= rescale.w;
        for (var n = 0u; n < ACROSS; n++) { // unroll
            let at = n * EACH;
            let score = vec4f(scores[at], scores[at + 1], scores[at + 2], scores[at + 3]);
            let weight = exp2(score - most);
            if feature < SCORING {
                weights[(n * SCORING + feature) * OWN_FOURS + own / 4] = weight;
                total += weight;
            }
        }
        workgroupBarrier();
        for (var key = 0u; key < OTHER; key++) {
            let value = passing[key * STRIDE + feature];
            let weight = weights[key * OWN_FOURS + own / 4];
            sums[0] += weight.x * value;
            sums[1] += weight.y * value;
            sums[2] += weight.z * value;
            sums[3] += weight.w * value;
        }
        // Slower threads may still read memory that the next block overwrites.
        workgroupBarrier();
    }

    found[feature * OWN_FOURS + own / 4] = total;
    workgroupBarrier();
    var all = vec4f();
    for (var i = 0u; i < SCORING; i++) {
        all += found[i * OWN_FOURS + own / 4];
    }
    let its_lse = (largest + log2(all)) * LN_2;
    let token = first + own;
    keep(row, head, token, feature, sums[0] / all.x, its_lse.x);
    keep(row, head, token + 1, feature, sums[1] / all.y, its_lse.y);
    keep(row, head, token + 2, feature, sums[2] / all.z, its_lse.z);
    keep(row, head, token + 3, feature, sums[3] / all.w, its_lse.w);
}
