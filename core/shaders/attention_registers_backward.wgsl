// Gradients of attention (core/src/ops/attention), for software adapters; the formulas are in
// attention_backward.wgsl. One kernel owns queries and computes dq, one owns keys and computes dk and dv. Both compute
// the scores again, so there are no atomics.

#include "attention_registers"

storage qkv: vec4<real>;  // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<real>;  // [tokens, q_heads head_dim]
storage dout: vec4<real>; // like out
storage lse: f32;         // [batch, q_heads, context]
storage delta: f32;       // like lse
storage dqkv: vec4<real>; // like qkv

override HEADS: u32 = 1;

// A thread owns ROWS queries: HEADS heads that read the same keys, at ROWS / HEADS tokens.
@compute @workgroup_size(LANES)
fn attention_registers_q(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    const BLOCKS = ROWS / HEADS;
    const TOKENS = BLOCKS * LANES;
    let first = (sizes.block + group.x) * TOKENS + thread;
    let head = (sizes.head + group.y) * HEADS;
    let row = sizes.row + group.z;
    let last = sizes.context - 1;

    var q: array<array<vec4f, QUADS>, ROWS>;
    var gradient: array<array<vec4f, QUADS>, ROWS>;
    var dq: array<array<vec4f, QUADS>, ROWS>;
    var its_lse: array<f32, ROWS>;
    var its_delta: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < QUADS; c++) {
            q[r][c] = vec4f();
            gradient[r][c] = vec4f();
            dq[r][c] = vec4f();
        }
        its_delta[r] = 0.0;
    }
    for (var at = 0u; at < QUADS; at++) {
        for (var r = 0u; r < ROWS; r++) {
            let token = token_of(row, min(first + r % BLOCKS * LANES, last));
            let its_head = head + r / BLOCKS;
            let result = (token * sizes.q_heads + its_head) * QUADS + at;
            let x = load4_qkv(token * width() + its_head * QUADS + at) * (sizes.scale * LOG2_E);
            let y = load4_dout(result);
            its_delta[r] += dot(y, load4_out(result));
            for (var c = 0u; c < QUADS; c++) {
                q[r][c] = select(q[r][c], x, at == c);
                gradient[r][c] = select(gradient[r][c], y, at == c);
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        let token = first + r % BLOCKS * LANES;
        let at = saved_at(row, head + r / BLOCKS, min(token, last));
        its_lse[r] = lse[at] * LOG2_E;
        if token < sizes.context { delta[at] = its_delta[r]; }
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
        var ds: array<vec4f, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            scores[r] = vec4f();
            ds[r] = vec4f();
        }
        for (var c = 0u; c < QUADS; c++) {
            let its_k = four(&k, c);
            let its_v = four(&v, c);
            for (var r = 0u; r < ROWS; r++) {
                scores[r] += q[r][c] * its_k;
                ds[r] += gradient[r][c] * its_v;
            }
        }
        for (var r = 0u; r < ROWS; r++) {
            let key = start + vec4u(0, 1, 2, 3);
            let seen = (key <= vec4u(first + r % BLOCKS * LANES)) & (key >= vec4u(first_keys[r % BLOCKS]));
            let p = exp2(select(vec4f(LOWEST), scores[r] - its_lse[r], seen));
            ds[r] = p * (ds[r] - its_delta[r]) * sizes.scale;
        }
        for (var c = 0u; c < QUADS; c++) {
            let its_k = four(&k, c);
            for (var r = 0u; r < ROWS; r++) { dq[r][c] += its_k * ds[r]; }
        }
    }

    for (var at = 0u; at < QUADS; at++) {
        for (var r = 0u; r < ROWS; r++) {
            var x = dq[r][0];
            for (var c = 0u; c < QUADS; c++) { x = select(x, dq[r][c], at == c); }
            let token = first + r % BLOCKS * LANES;
            if token < sizes.context {
                store4_dqkv(token_of(row, token) * width() + (head + r / BLOCKS) * QUADS + at, x);
            }
        }
    }
}

// A thread owns ROWS keys with their values.
@compute @workgroup_size(LANES)
fn attention_registers_kv(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first = (sizes.block + group.x) * ROWS * LANES;
    let kv = sizes.head + group.y;
    let row = sizes.row + group.z;
    let last = sizes.context - 1;

    var k: array<array<vec4f, QUADS>, ROWS>;
    var v: array<array<vec4f, QUADS>, ROWS>;
    var dk: array<array<vec4f, QUADS>, ROWS>;
    var dv: array<array<vec4f, QUADS>, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < QUADS; c++) {
            k[r][c] = vec4f();
            v[r][c] = vec4f();
            dk[r][c] = vec4f();
            dv[r][c] = vec4f();
        }
    }
    for (var at = 0u; at < QUADS; at++) {
        for (var r = 0u; r < ROWS; r++) {
            let token = min(first + r * LANES + thread, last);
            let packed = token_of(row, token) * width() + at;
            let x = load4_qkv(packed + key_column(kv)) * (sizes.scale * LOG2_E);
            let y = load4_qkv(packed + value_column(kv));
            for (var c = 0u; c < QUADS; c++) {
                k[r][c] = select(k[r][c], x, at == c);
                v[r][c] = select(v[r][c], y, at == c);
            }
        }
    }

    var ends: array<u32, ROWS>; // of the queries that see the own keys
    for (var r = 0u; r < ROWS; r++) { ends[r] = end_of_queries(row, first + r * LANES + thread); }
    let end = end_of_queries(row, first + ROWS * LANES - 1);
    let heads = sizes.q_heads / sizes.kv_heads;
    for (var head = kv * heads; head < (kv + 1) * heads; head++) {
        // Queries before the first key don't see it.
        for (var start = first; start < end; start += 4) {
            var q: array<vec4f, SHARE>;
            var gradient: array<vec4f, SHARE>;
            for (var i = 0u; i < SHARE; i++) {
                let it = spot(i, lane);
                let token = token_of(row, min(start + it / QUADS, last));
                q[i] = load4_qkv(token * width() + head * QUADS + it % QUADS);
                gradient[i] = load4_dout((token * sizes.q_heads + head) * QUADS + it % QUADS);
            }
            let mine = saved_at(row, head, min(start + lane % 4, last));
            let its_lse = of_four(lse[mine] * LOG2_E);
            let its_delta = of_four(delta[mine]);
            var p: array<vec4f, ROWS>;
            var ds: array<vec4f, ROWS>;
            for (var r = 0u; r < ROWS; r++) {
                p[r] = vec4f();
                ds[r] = vec4f();
            }
            for (var c = 0u; c < QUADS; c++) {
                let its_q = four(&q, c);
                let its_gradient = four(&gradient, c);
                for (var r = 0u; r < ROWS; r++) {
                    p[r] += k[r][c] * its_q;
                    ds[r] += v[r][c] * its_gradient;
                }
            }
            let query = start + vec4u(0, 1, 2, 3);
            for (var r = 0u; r < ROWS; r++) {
                let sees = (query >= vec4u(first + r * LANES + thread))
                    & (query < vec4u(ends[r]));
                p[r] = exp2(select(vec4f(LOWEST), p[r] - its_lse, sees));
                ds[r] = p[r] * (ds[r] - its_delta) * sizes.scale;
            }
            for (var c = 0u; c < QUADS; c++) {
                let its_q = four(&q, c);
                let its_gradient = four(&gradient, c);
                for (var r = 0u; r < ROWS; r++) {
                    dk[r][c] += its_q * ds[r];
                    dv[r][c] += its_gradient * p[r];
                }
            }
        }
    }

    for (var at = 0u; at < QUADS; at++) {
        for (var r = 0u; r < ROWS; r++) {
            var x = dk[r][0];
            var y = dv[r][0];
            for (var c = 0u; c < QUADS; c++) {
                x = select(x, dk[r][c], at == c);
                y = select(y, dv[r][c], at == c);
            }
            let token = first + r * LANES + thread;
            if token < sizes.context {
                let packed = token_of(row, token) * width() + at;
                store4_dqkv(packed + key_column(kv), x);
                store4_dqkv(packed + value_column(kv), y);
            }
        }
    }
}
