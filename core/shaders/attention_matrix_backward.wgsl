// Gradients of attention (core/src/ops/attention) by matrix units, in mixed precision; the formulas are in
// attention_backward.wgsl. As in attention_tile_backward.wgsl, one kernel owns queries and computes dq, and one owns
// keys and computes dk and dv. Both compute the scores again, so there are no atomics. Rows are own tokens in both
// kernels: the second computes transposed scores, so no product needs transposed weights. The scale is applied to the
// results at the end, in f32, because unscaled gradients of scores are larger, and fit halves better.

#include "attention_matrix"

storage qkv: vec4<f16>;  // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<f16>;  // [tokens, q_heads head_dim]
storage dout: vec4<f16>; // like out
storage lse: f32;        // [batch, q_heads, context]
storage delta: f32;      // like lse
storage dqkv: vec4<f16>; // like qkv

// Layout of `halves`.
const OWN_A: u32 = 0;                         // q, or k
const OWN_B: u32 = OWN_A + OWN * STRIDE;      // dout, or v
const OTHER_A: u32 = OWN_B + OWN * STRIDE;    // k, or q
const OTHER_B: u32 = OTHER_A + OTHER * STRIDE; // v, or dout
const WEIGHTS: u32 = OTHER_B + OTHER * STRIDE; // p, then ds
const HALVES: u32 = WEIGHTS + OWN * SCORES_STRIDE;

var<workgroup> its_lse: array<vec4f, SCORES>; // of the other queries, in bits
var<workgroup> its_delta: array<vec4f, SCORES>;

fn dout_quad(row: u32, token: u32, head: u32, quad: u32) -> vec4<f16> {
    let its = (read_token(row, token) * sizes.q_heads + head) * QUADS;
    return padded(dout[its + read_quad(quad)], quad);
}

// A thread's share of the gradients of a head's results, for other tokens.
fn fetch_gradients(lane: u32, row: u32, first: u32, head: u32) -> Loads {
    var loads: Loads;
    for (var i = 0u; i < LOADS; i++) { // unroll
        let at = i * THREADS + lane;
        loads[i] = dout_quad(row, first + at / PADDED, head, at % PADDED);
    }
    return loads;
}

// Log-sum-exps of four queries from `first` on, in bits, or their deltas.
fn fetch_lse(row: u32, head: u32, first: u32) -> vec4f {
    let tokens = vec4u(first) + vec4u(0, 1, 2, 3);
    let query = vec4u(saved_at(row, head, 0)) + min(tokens, vec4u(sizes.context - 1));
    let saved = vec4f(lse[query.x], lse[query.y], lse[query.z], lse[query.w]) * LOG2_E;
    // Past the end, p = exp2(about -1e30) = 0.
    return select(saved, vec4f(-LOWEST), tokens >= vec4u(sizes.context));
}

fn fetch_delta(row: u32, head: u32, first: u32) -> vec4f {
    let tokens = vec4u(first) + vec4u(0, 1, 2, 3);
    let query = vec4u(saved_at(row, head, 0)) + min(tokens, vec4u(sizes.context - 1));
    return vec4f(delta[query.x], delta[query.y], delta[query.z], delta[query.w]);
}

// A thread's share of a token's delta; `gradient` is the index of its dout in `halves`.
fn share_of_delta(row: u32, token: u32, head: u32, sharer: u32, gradient: u32) -> f32 {
    var sum = 0.0;
    if token < sizes.context {
        let its = (token_of(row, token) * sizes.q_heads + head) * QUADS;
        for (var quad = sharer; quad < QUADS; quad += SHARERS) {
            sum += dot(vec4f(halves[gradient + quad]), vec4f(out[its + quad]));
        }
    }
    return sum;
}

// Stores results times `factor` in dqkv, at the head's columns from `column` on.
fn store(
    results: ptr<function, Results>, lane: u32, row: u32, first: u32, column: u32, factor: f32,
) {
    for (var slice = 0u; slice < SLICES; slice++) { // unroll
        // The previous contents of `reals` have been read.
        workgroupBarrier();
        keep_slice(results, lane / 32, slice);
        workgroupBarrier();
        for (var i = lane; i < OWN * SCORES; i += THREADS) {
            let token = first + i / SCORES;
            let quad = quad_of(slice, i % SCORES);
            if token < sizes.context && quad < QUADS {
                let result = reals[i / SCORES * SCORES_STRIDE + i % SCORES] * factor;
                dqkv[token_of(row, token) * width() + column + quad] = vec4<f16>(result);
            }
        }
    }
}

@compute @workgroup_size(THREADS)
fn attention_matrix_q(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    begin_matrices(lane);
    let subgroup = lane / 32;
    let first = (sizes.block + group.x) * OWN;
    let head = sizes.head + group.y;
    let row = sizes.row + group.z;
    let kv = kv_of(head);
    stage_own(lane, row, first, head * QUADS, OWN_A);
    for (var i = lane; i < OWN * PADDED; i += THREADS) {
        halves[OWN_B + i / PADDED * STRIDE + i % PADDED] =
            dout_quad(row, first + i / PADDED, head, i % PADDED);
    }
    workgroupBarrier();
    var queries: Own;
    var gradients: Own;
    hold(&queries, subgroup, OWN_A);
    hold(&gradients, subgroup, OWN_B);

    let own = lane / SHARERS;
    let sharer = lane % SHARERS;
    let at = own * SCORES_STRIDE + sharer; // of the thread's first vec4 of scores
    let share = share_of_delta(row, first + own, head, sharer, OWN_B + own * STRIDE);
    reals[lane] = vec4f(share, 0.0, 0.0, 0.0);
    workgroupBarrier();
    var own_delta = 0.0;
    for (var i = 0u; i < SHARERS; i++) { own_delta += reals[own * SHARERS + i].x; }
    var own_lse = 0.0;
    if first + own < sizes.context {
        let saved = saved_at(row, head, first + own);
        own_lse = lse[saved] * LOG2_E;
        if sharer == 0 { delta[saved] = own_delta; }
    }

    var dq: Results;
    let own_first_key = first_key(row, first + own);
    let begin = first_key_of_group(lane, row, first) / OTHER * OTHER;
    let end = min(first + OWN, sizes.context);
    var next_keys = fetch(lane, row, begin, key_column(kv));
    var next_values = fetch(lane, row, begin, value_column(kv));
    for (var start = begin; start < end; start += OTHER) {
        put(next_keys, lane, OTHER_A);
        put(next_values, lane, OTHER_B);
        workgroupBarrier();
        if start + OTHER < end {
            next_keys = fetch(lane, row, start + OTHER, key_column(kv));
            next_values = fetch(lane, row, start + OTHER, value_column(kv));
        }
        score(&queries, subgroup, OWN_A, OTHER_A);
        workgroupBarrier();
        var ps: Part;
        for (var n = 0u; n < PART; n++) { // unroll
            let seen = within(start + 4 * (sharer + n * SHARERS), own_first_key, first + own + 1);
            let scaled = reals[at + n * SHARERS] * (sizes.scale * LOG2_E) - own_lse;
            ps[n] = exp2(select(vec4f(LOWEST), scaled, seen));
        }
        workgroupBarrier();
        score(&gradients, subgroup, OWN_B, OTHER_B);
        workgroupBarrier();
        for (var n = 0u; n < PART; n++) { // unroll
            let ds = ps[n] * (reals[at + n * SHARERS] - own_delta);
            halves[WEIGHTS + at + n * SHARERS] = vec4<f16>(ds);
        }
        workgroupBarrier();
        add_weighted(&dq, subgroup, WEIGHTS, OTHER_A);
        // Slower subgroups may still read memory that the next block overwrites.
        workgroupBarrier();
    }
    store(&dq, lane, row, first, head * QUADS, sizes.scale);
}

@compute @workgroup_size(THREADS)
fn attention_matrix_kv(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    begin_matrices(lane);
    let subgroup = lane / 32;
    let first = (sizes.block + group.x) * OWN;
    let kv = sizes.head + group.y;
    let row = sizes.row + group.z;
    stage_own(lane, row, first, key_column(kv), OWN_A);
    stage_own(lane, row, first, value_column(kv), OWN_B);
    workgroupBarrier();
    var keys: Own;
    var values: Own;
    hold(&keys, subgroup, OWN_A);
    hold(&values, subgroup, OWN_B);

    let own = lane / SHARERS;
    let sharer = lane % SHARERS;
    let at = own * SCORES_STRIDE + sharer; // of the thread's first vec4 of scores
    var dk: Results;
    var dv: Results;
    let own_end = end_of_queries(row, first + own);
    let end = end_of_queries_of_group(lane, row, first + OWN - 1);
    // The blocks of queries of one head after the other. Queries before the first key don't see it. A workgroup's own
    // tokens are whole blocks of other tokens.
    let heads = sizes.q_heads / sizes.kv_heads;
    let end_of_heads = (kv + 1) * heads;
    var head = kv * heads;
    var start = first;
    let four = 4 * (lane % SCORES); // queries whose log-sum-exps and deltas this thread loads
    var next_queries = fetch(lane, row, start, head * QUADS);
    var next_gradients = fetch_gradients(lane, row, start, head);
    var next_lse = fetch_lse(row, head, start + four);
    var next_delta = fetch_delta(row, head, start + four);
    while head < end_of_heads {
        let block = start;
        put(next_queries, lane, OTHER_A);
        put(next_gradients, lane, OTHER_B);
        if lane < SCORES {
            its_lse[lane] = next_lse;
            its_delta[lane] = next_delta;
        }
        workgroupBarrier();
        start += OTHER;
        if start >= end {
            start = first;
            head++;
        }
        if head < end_of_heads {
            next_queries = fetch(lane, row, start, head * QUADS);
            next_gradients = fetch_gradients(lane, row, start, head);
            next_lse = fetch_lse(row, head, start + four);
            next_delta = fetch_delta(row, head, start + four);
        }
        score(&keys, subgroup, OWN_A, OTHER_A);
        workgroupBarrier();
        var ps: Part;
        for (var n = 0u; n < PART; n++) { // unroll
            let column = sharer + n * SHARERS;
            let scaled = reals[at + n * SHARERS] * (sizes.scale * LOG2_E) - its_lse[column];
            let seeing = within(block + 4 * column, first + own, own_end);
            ps[n] = exp2(select(vec4f(LOWEST), scaled, seeing));
            halves[WEIGHTS + at + n * SHARERS] = vec4<f16>(ps[n]);
        }
        workgroupBarrier();
        add_weighted(&dv, subgroup, WEIGHTS, OTHER_B);
        score(&values, subgroup, OWN_B, OTHER_B);
        workgroupBarrier();
        for (var n = 0u; n < PART; n++) { // unroll
            let ds = ps[n] * (reals[at + n * SHARERS] - its_delta[sharer + n * SHARERS]);
            halves[WEIGHTS + at + n * SHARERS] = vec4<f16>(ds);
        }
        workgroupBarrier();
        add_weighted(&dk, subgroup, WEIGHTS, OTHER_A);
        // Slower subgroups may still read memory that the next block overwrites.
        workgroupBarrier();
    }
    store(&dk, lane, row, first, key_column(kv), sizes.scale);
    store(&dv, lane, row, first, value_column(kv), 1.0);
}
