// Causal attention with grouped query heads (core/src/ops/attention), for software adapters. The softmax
// is online, as in attention.wgsl.
//
// A thread owns ROWS queries: HEADS heads that read the same keys, at ROWS / HEADS tokens.

#include "attention_registers"

storage qkv: vec4<real>; // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<real>; // [tokens, q_heads head_dim]
storage lse: f32;        // [batch, q_heads, context]

override HEADS: u32 = 1;

const BLOCKS: u32 = ROWS / HEADS;
const TOKENS: u32 = BLOCKS * LANES;

@compute @workgroup_size(LANES)
fn attention_registers(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first = (sizes.block + group.x) * TOKENS + thread;
    let head = (sizes.head + group.y) * HEADS;
    let row = sizes.row + group.z;
    let last = sizes.context - 1;

    // Arrays have the lengths of the loops over them, so that compilers unroll the loops and keep the arrays in
    // registers.
    var q: array<array<vec4f, QUADS>, ROWS>;
    var sums: array<array<vec4f, QUADS>, ROWS>;
    var largest: array<f32, ROWS>;
    var total: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < QUADS; c++) {
            q[r][c] = vec4f();
            sums[r][c] = vec4f();
        }
        largest[r] = LOWEST;
        total[r] = 0.0;
    }
    // This loop over loads is not unrolled: each load in the text is compiled to a loop with branches, so there should
    // be few.
    for (var at = 0u; at < QUADS; at++) {
        for (var r = 0u; r < ROWS; r++) {
            let token = min(first + r % BLOCKS * LANES, last);
            let x = load4_qkv(token_of(row, token) * width() + (head + r / BLOCKS) * QUADS + at);
            for (var c = 0u; c < QUADS; c++) {
                q[r][c] = select(q[r][c], x * (sizes.scale * LOG2_E), at == c);
            }
        }
    }

    let keys = key_column(kv_of(head));
    let values = value_column(kv_of(head));
    var first_keys: array<u32, BLOCKS>;
    for (var b = 0u; b < BLOCKS; b++) { first_keys[b] = first_key(row, first + b * LANES); }
    let begin = first_key(row, (sizes.block + group.x) * TOKENS);
    let end = min((sizes.block + group.x + 1) * TOKENS, sizes.context);
    for (var start = begin / 4 * 4; start < end; start += 4) {
        var k: array<vec4f, SHARE>;
        var v: array<vec4f, SHARE>;
        for (var i = 0u; i < SHARE; i++) {
            let it = spot(i, lane);
            let at = token_of(row, min(start + it / QUADS, last)) * width() + it % QUADS;
            k[i] = load4_qkv(at + keys);
            v[i] = load4_qkv(at + values);
        }
        var scores: array<vec4f, ROWS>;
        for (var r = 0u; r < ROWS; r++) { scores[r] = vec4f(); }
        for (var c = 0u; c < QUADS; c++) {
            let its = four(&k, c);
            for (var r = 0u; r < ROWS; r++) { scores[r] += q[r][c] * its; }
        }
        var rescale: array<f32, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            let key = start + vec4u(0, 1, 2, 3);
            let seen = (key <= vec4u(first + r % BLOCKS * LANES)) & (key >= vec4u(first_keys[r % BLOCKS]));
            let s = select(vec4f(LOWEST), scores[r], seen);
            let next = max(largest[r], max(max(s.x, s.y), max(s.z, s.w)));
            scores[r] = exp2(s - next);
            rescale[r] = exp2(largest[r] - next);
            total[r] = total[r] * rescale[r] + dot(scores[r], vec4f(1));
            largest[r] = next;
        }
        for (var c = 0u; c < QUADS; c++) {
            let its = four(&v, c);
            for (var r = 0u; r < ROWS; r++) {
                sums[r][c] = sums[r][c] * rescale[r] + its * scores[r];
            }
        }
    }

    for (var at = 0u; at < QUADS; at++) {
        for (var r = 0u; r < ROWS; r++) {
            var x = sums[r][0];
            for (var c = 0u; c < QUADS; c++) { x = select(x, sums[r][c], at == c); }
            let token = first + r % BLOCKS * LANES;
            if token < sizes.context {
                let to = token_of(row, token) * sizes.q_heads + head + r / BLOCKS;
                store4_out(to * QUADS + at, x / total[r]);
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        let token = first + r % BLOCKS * LANES;
        if token < sizes.context {
            lse[saved_at(row, head + r / BLOCKS, token)] = (largest[r] + log2(total[r])) * LN_2;
        }
    }
}
