// Causal attention with grouped query heads (core/src/ops/attention) by matrix units, in mixed precision.
//
// Sums can't be scaled row by row where they are, so the online softmax of the other kernels won't do. Its
// alternatives are to find each query's largest score first, which computes all scores twice, or to take the
// sums of each block out by way of `reals` and add them up there. Of shared memory, at 64 features and 32 keys
// a block, the first moves 92 KiB a block, the second 84 KiB, and this 52 KiB: a query has a `reference`
// that its scores are taken relative to, at first 0, and it need not be the largest of them: a weight of
// 2^15 is a half as good as one of 1. Only where a score is more than that above it, the results are
// taken out, scaled and taken in again. With scores as models have them this hardly ever happens. It is done for all
// own tokens at once, and rounds the results of all of them to 22 bits.

#include "attention_matrix"

storage qkv: vec4<f16>; // [tokens, (q_heads + 2 kv_heads) head_dim]
storage out: vec4<f16>; // [tokens, q_heads head_dim]
storage lse: f32;       // [batch, q_heads, context]

// What lies in `halves`. Weights take the place of the keys, which are done with by then.
const QUERIES: u32 = 0;
const VALUES: u32 = QUERIES + OWN * STRIDE;
const UNIT: u32 = VALUES + OTHER * STRIDE; // a piece with ones on its diagonal
const UNIT_STRIDE: u32 = PIECE + 2;
const KEYS: u32 = UNIT + SIDE * UNIT_STRIDE;
const WEIGHTS: u32 = KEYS;
const HALVES: u32 = KEYS + max(OTHER * STRIDE, OWN * SCORES_STRIDE);

// How far above its reference a score may be, and below it the largest of the first block's: in bits.
const ABOVE: f32 = 15.0;
const BELOW: f32 = 4.0;

var<workgroup> totals: array<f32, OWN>;
// Up to this many keys, some reference was. As long as four, so that `halves` begin where matrix units load them.
var<workgroup> outgrown: vec4u;

// Weights of a thread's scores, to halves[at] and every SHARERS-th from there; their sum.
fn weigh(scores: ptr<function, Part>, reference: f32, at: u32) -> f32 {
    var sum = 0.0;
    for (var n = 0u; n < PART; n++) { // unroll
        let weights = exp2((*scores)[n] - reference);
        sum += dot(weights, vec4f(1.0));
        halves[at + n * SHARERS] = vec4<f16>(weights);
    }
    return sum;
}

// results *= rescale, of each thread's own token. As halves, twice: what is lost the first time is added.
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
    for (var i = lane; i < OWN * PADDED; i += THREADS) {
        halves[QUERIES + i / PADDED * STRIDE + i % PADDED] =
            load(row, first + i / PADDED, head * QUADS, i % PADDED);
    }
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
    var total = 0.0; // of the thread's own part
    let end = min(first + OWN, sizes.context);
    for (var start = 0u; start < end; start += OTHER) {
        stage(lane, row, start, OTHER, kv, KEYS, VALUES);
        workgroupBarrier();
        score(&queries, subgroup, QUERIES, KEYS);
        workgroupBarrier();
        var scores: Part;
        var largest = LOWEST;
        for (var n = 0u; n < PART; n++) { // unroll
            let seen = until(start + 4 * (sharer + n * SHARERS), first + own);
            let scaled = reals[at + n * SHARERS] * (sizes.scale * LOG2_E);
            scores[n] = select(vec4f(LOWEST), scaled, seen);
            largest = max(largest, max(max(scores[n].x, scores[n].y), max(scores[n].z, scores[n].w)));
        }
        var sum = weigh(&scores, reference, WEIGHTS + at);
        // Of this thread's share: the whole row may be higher, and then nothing changes.
        let is_low = start == 0 && largest < reference - BELOW && largest > LOWEST;
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
            // The largest score so far, or the log-sum-exp so far where that is more: results are then no larger
            // than the largest value, and fit halves.
            var rescale = 1.0;
            if all > 0.0 {
                largest = max(largest, reference + log2(all));
                rescale = exp2(reference - largest);
            }
            reference = largest;
            total = past * rescale;
            if start > 0 { rescale_results(&results, subgroup, at, rescale); }
            sum = weigh(&scores, reference, WEIGHTS + at);
            workgroupBarrier();
        }
        total += sum;
        add_weighted(&results, subgroup, WEIGHTS, VALUES);
        // The next block overwrites what slower subgroups still read.
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
        // What `reals` held is read.
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
