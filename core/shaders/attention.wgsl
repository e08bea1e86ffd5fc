// Causal attention with grouped query heads (core/src/ops/attention).
//
// A workgroup holds OWN queries of a head, and loops over the keys and values up to the diagonal, OTHER at a time.
// The softmax is online (Dao 2023): with the largest score m and the total l so far, a tile with scores s gives
//   m' = max(m, max s), l' = l exp(m - m') + Σ exp(s - m'), sums' = sums exp(m - m') + Σ exp(s - m') v
// and out = sums / l, lse = m + ln l. Each thread owns 4 tokens x 4 features of the sums.
// In tiles before a query's first key, all its scores are LOWEST. The sums of these tiles are rescaled by
// exp(LOWEST - m) = 0 in the tile of its first key.

override OWN: u32 = 32;
override OTHER: u32 = 16;
override QUADS: u32 = 16;
override STRIDE: u32 = 17;
override THREADS: u32 = 128;

#include "attention_sizes"
storage qkv: real; // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: real; // [tokens, q_heads head_dim]
storage lse: f32;  // [batch, q_heads, context]

var<workgroup> queries: array<vec4f, OWN * STRIDE>;
var<workgroup> passing: array<vec4f, OTHER * STRIDE>; // keys, then values
var<workgroup> scores: array<f32, OWN * OTHER>;
var<workgroup> largest: array<f32, OWN>;
var<workgroup> total: array<f32, OWN>;
var<workgroup> rescale: array<f32, OWN>;

// Four features of a packed row from `column` on; zeros past the end of the head and of the row.
fn quad_of(batch: u32, token: u32, column: u32, quad: u32) -> vec4f {
    if token >= sizes.context { return vec4f(); }
    let width = (sizes.q_heads + 2 * sizes.kv_heads) * sizes.head_dim;
    let at = (batch * sizes.context + token) * width + column + 4 * quad;
    var values = vec4f(load_qkv(at), load_qkv(at + 1), 0, 0); // heads are even
    if 4 * quad + 2 < sizes.head_dim { values = vec4f(values.xy, load_qkv(at + 2), load_qkv(at + 3)); }
    return values;
}

@compute @workgroup_size(THREADS)
fn attention(
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
        let quad = quad_of(batch, first + i / QUADS, head * sizes.head_dim, i % QUADS);
        queries[i / QUADS * STRIDE + i % QUADS] = quad * sizes.scale;
    }
    for (var i = lane; i < OWN; i += THREADS) {
        largest[i] = LOWEST;
        total[i] = 0.0;
    }
    let own = lane / QUADS * 4;
    let feature = lane % QUADS;
    var sums = array<vec4f, 4>();

    let begin = first_key_of_group(lane, batch, first);
    let end = min(first + OWN, sizes.context);
    for (var start = begin / OTHER * OTHER; start < end; start += OTHER) {
        for (var i = lane; i < OTHER * QUADS; i += THREADS) {
            passing[i / QUADS * STRIDE + i % QUADS] =
                quad_of(batch, start + i / QUADS, key_column, i % QUADS);
        }
        workgroupBarrier();
        for (var i = lane; i < OWN * OTHER; i += THREADS) {
            let query = i / OTHER;
            let key = i % OTHER;
            var score = vec4f();
            for (var quad = 0u; quad < QUADS; quad++) {
                score += queries[query * STRIDE + quad] * passing[key * STRIDE + quad];
            }
            let seen = start + key <= first + query && start + key >= first_key(batch, first + query);
            scores[i] = select(LOWEST, dot(score, vec4f(1.0)), seen);
        }
        workgroupBarrier();
        for (var i = lane; i < OWN; i += THREADS) {
            var next = largest[i];
            for (var key = 0u; key < OTHER; key++) { next = max(next, scores[i * OTHER + key]); }
            var sum = 0.0;
            for (var key = 0u; key < OTHER; key++) {
                let weight = exp(scores[i * OTHER + key] - next);
                scores[i * OTHER + key] = weight;
                sum += weight;
            }
            rescale[i] = exp(largest[i] - next);
            total[i] = total[i] * rescale[i] + sum;
            largest[i] = next;
        }
        for (var i = lane; i < OTHER * QUADS; i += THREADS) {
            passing[i / QUADS * STRIDE + i % QUADS] =
                quad_of(batch, start + i / QUADS, value_column, i % QUADS);
        }
        workgroupBarrier();
        for (var t = 0u; t < 4; t++) { sums[t] *= rescale[own + t]; }
        for (var key = 0u; key < OTHER; key++) {
            let value = passing[key * STRIDE + feature];
            for (var t = 0u; t < 4; t++) { sums[t] += scores[(own + t) * OTHER + key] * value; }
        }
        // Slower threads may still read memory that the next tile overwrites.
        workgroupBarrier();
    }

    for (var t = 0u; t < 4; t++) {
        let token = first + own + t;
        if token < sizes.context {
            let values = sums[t] / total[own + t];
            let at = ((batch * sizes.context + token) * sizes.q_heads + head) * sizes.head_dim
                + 4 * feature;
            store_out(at, values.x);
            store_out(at + 1, values.y);
            if 4 * feature + 2 < sizes.head_dim {
                store_out(at + 2, values.z);
                store_out(at + 3, values.w);
            }
        }
    }
    for (var i = lane; i < OWN; i += THREADS) {
        if first + i < sizes.context {
            let at = (batch * sizes.q_heads + head) * sizes.context + first + i;
            lse[at] = largest[i] + log(total[i]);
        }
    }
}
