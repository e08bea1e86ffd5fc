// Causal attention with grouped query heads (core/src/ops/attention) by matrix units, in mixed precision.
// The sums in matrix units can't be scaled row by row, so the online softmax of the other kernels is not possible.
// Instead, each query has a `reference`, at first 0, and its weights are exp2(score - reference). The reference need
// not be the largest score, because a weight of 2^15 is as precise in f16 as a weight of 1. Only if a score exceeds the
// reference by more than 15, the results are moved to `reals`, scaled, and loaded again. This hardly ever happens with
// the scores of real models. It is done for all own tokens at once, and rounds their results to 22 bits.
//
// At 64 features and 32 keys per block, this moves 52 KiB of workgroup memory per block. Two alternatives move more:
// finding the largest score of each query first, which computes all scores twice (92 KiB), and adding up the sums of
// all blocks in `reals` (84 KiB).

#include "attention_matrix"

storage qkv: vec4<f16>; // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<f16>; // [tokens, q_heads head_dim]
storage lse: f32;       // [batch, q_heads, context]

// Layout of `halves`. Weights overwrite the keys, which are no longer needed then.
const QUERIES: u32 = 0;
const VALUES: u32 = QUERIES + OWN * STRIDE;
const UNIT: u32 = VALUES + OTHER * STRIDE; // a piece with ones on its diagonal
const UNIT_STRIDE: u32 = PIECE + 2;
const KEYS: u32 = UNIT + SIDE * UNIT_STRIDE;
const WEIGHTS: u32 = KEYS;
const HALVES: u32 = KEYS + max(OTHER * STRIDE, OWN * SCORES_STRIDE);

// Limits in bits: how far a score may exceed its reference, and how far the largest score of the block with the
// first key may be below it.
const ABOVE: f32 = 15.0;
const BELOW: f32 = 4.0;

var<workgroup> totals: array<f32, OWN>;
// End of the last block in which some score exceeded its reference. A vec4, so that `halves` are aligned for matrix
// units.
var<workgroup> outgrown: vec4u;

// Stores the weights of a thread's scores at halves[at] and every SHARERS-th vec4 after it. Returns their sum.
fn weigh(scores: ptr<function, Part>, reference: f32, at: u32) -> f32 {
    var sum = 0.0;
    for (var n = 0u; n < PART; n++) { // unroll
        let weights = exp2((*scores)[n] - reference);
        sum += dot(weights, vec4f(1.0));
        halves[at + n * SHARERS] = vec4<f16>(weights);
    }
    return sum;
}

// results *= rescale, for each thread's own token. Results are loaded as halves in two parts: the rounded values, and
// the rounding errors, which are added.
fn rescale_results(results: ptr<function, Results>, subgroup: u32, at: u32, rescale: f32) {
    for (var slice = 0u; slice < SLICES; slice++) { // unroll
        keep_slice(results, subgroup, slice);
        workgroupBarrier();
        var rest: Part;
        for (var n = 0u; n < PART; n++) { // unroll
            rest[n] = reals[at + n * SHARERS] * rescale;
        }
        for (var time = 0u; time < 2; time++) {
            for (var n = 0u; n < PART; n++) { // unroll
                let rounded = vec4<f16>(rest[n]);
                halves[WEIGHTS + at + n * SHARERS] = rounded;
                rest[n] -= vec4f(rounded);
            }
            workgroupBarrier();
            let unit = right(UNIT, UNIT_STRIDE);
            for (var f = 0u; f < WIDE; f++) { // unroll
                if f / ACROSS == slice {
                    for (var i = 0u; i < DOWN; i++) { // unroll
                        let its = weights_piece(subgroup, WEIGHTS, i, across_of(subgroup) * ACROSS + f % ACROSS);
                        if time == 0 { (*results)[i][f] = Sums(); }
                        (*results)[i][f] = multiply_add(its, unit, (*results)[i][f]);
                    }
                }
            }
            workgroupBarrier();
        }
    }
}

@compute @workgroup_size(THREADS)
fn attention_matrix(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    begin_matrices(lane);
    let subgroup = lane / 32;
    let first = (sizes.block + group.x) * OWN;
    let head = sizes.head + group.y;
    let row = sizes.row + group.z;
    let kv = kv_of(head);
    stage_own(lane, row, first, head * QUADS, QUERIES);
    for (var i = lane; i < SIDE * PIECE; i += THREADS) {
        let column = vec4u(i % PIECE * 4) + vec4u(0, 1, 2, 3);
        let ones = column == vec4u(i / PIECE);
        halves[UNIT + i / PIECE * UNIT_STRIDE + i % PIECE] = vec4<f16>(ones);
    }
    if lane == 0 { outgrown = vec4u(); }
    workgroupBarrier();
    var queries: Own;
    hold(&queries, subgroup, QUERIES);

    let own = lane / SHARERS;
    let sharer = lane % SHARERS;
    let at = own * SCORES_STRIDE + sharer; // of the thread's first vec4 of scores
    var results: Results;
    var reference = 0.0;
    var total = 0.0; // sum of the thread's own weights
    let own_first_key = first_key(row, first + own);
    let begin = first_key_of_group(lane, row, first) / OTHER * OTHER;
    let end = min(first + OWN, sizes.context);
    // Keys and values are loaded one after the other, because the results and the queries take most registers.
    var next = fetch(lane, row, begin, key_column(kv));
    for (var start = begin; start < end; start += OTHER) {
        put(next, lane, KEYS);
        workgroupBarrier();
        next = fetch(lane, row, start, value_column(kv));
        score(&queries, subgroup, QUERIES, KEYS);
        workgroupBarrier();
        var scores: Part;
        var largest = LOWEST;
        for (var n = 0u; n < PART; n++) { // unroll
            let seen = within(start + 4 * (sharer + n * SHARERS), own_first_key, first + own + 1);
            let scaled = reals[at + n * SHARERS] * (sizes.scale * LOG2_E);
            scores[n] = select(vec4f(LOWEST), scaled, seen);
            largest = max(largest, max(max(scores[n].x, scores[n].y), max(scores[n].z, scores[n].w)));
        }
        var sum = weigh(&scores, reference, WEIGHTS + at);
        put(next, lane, VALUES);
        if start + OTHER < end { next = fetch(lane, row, start + OTHER, key_column(kv)); }
        // From this thread's share of the row. If the row's largest score is higher, nothing changes.
        let is_first = start <= own_first_key && own_first_key < start + OTHER;
        let is_low = is_first && largest < reference - BELOW && largest > LOWEST;
        if largest > reference + ABOVE || is_low { outgrown = vec4u(start + OTHER); }
        if workgroupUniformLoad(&outgrown).x == start + OTHER {
            reals[lane] = vec4f(largest, total, 0.0, 0.0);
            workgroupBarrier();
            let past = total;
            var all = 0.0;
            for (var i = 0u; i < SHARERS; i++) {
                let its = reals[own * SHARERS + i];
                largest = max(largest, its.x);
                all += its.y;
            }
            workgroupBarrier();
            // The new reference: the largest score so far, or the log-sum-exp so far, if that is larger. Results are
            // then at most as large as the largest value, and fit halves.
            var rescale = 1.0;
            if all > 0.0 {
                largest = max(largest, reference + log2(all));
                rescale = exp2(reference - largest);
            } else if largest == LOWEST {
                largest = reference; // no key of the query's document yet
            }
            reference = largest;
            total = past * rescale;
            if start > begin { rescale_results(&results, subgroup, at, rescale); }
            sum = weigh(&scores, reference, WEIGHTS + at);
            workgroupBarrier();
        }
        total += sum;
        add_weighted(&results, subgroup, WEIGHTS, VALUES);
        // Slower subgroups may still read memory that the next block overwrites.
        workgroupBarrier();
    }

    reals[lane] = vec4f(total, 0.0, 0.0, 0.0);
    workgroupBarrier();
    var all = 0.0;
    for (var i = 0u; i < SHARERS; i++) { all += reals[own * SHARERS + i].x; }
    if sharer == 0 {
        totals[own] = all;
        if first + own < sizes.context {
            lse[saved_at(row, head, first + own)] = (reference + log2(all)) * LN_2;
        }
    }
    for (var slice = 0u; slice < SLICES; slice++) { // unroll
        // The previous contents of `reals` have been read.
        workgroupBarrier();
        keep_slice(&results, subgroup, slice);
        workgroupBarrier();
        for (var i = lane; i < OWN * SCORES; i += THREADS) {
            let token = first + i / SCORES;
            let quad = quad_of(slice, i % SCORES);
            if token < sizes.context && quad < QUADS {
                let result = reals[i / SCORES * SCORES_STRIDE + i % SCORES] / totals[i / SCORES];
                out[(token_of(row, token) * sizes.q_heads + head) * QUADS + quad] = vec4<f16>(result);
            }
        }
    }
}
