// Attention of one new token a slot over cached keys and values (core/src/ops/attention/cached.rs):
// first every slot's keys and values go to the cache, then every slot's queries read it.

#include "reduce"

struct Sizes { slots: u32, context: u32, q_heads: u32, kv_heads: u32, head_dim: u32, scale: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage qkv: f32;        // [slots, (q_heads + 2 kv_heads) head_dim]
storage table: f32;      // [context, cos half | sin half]
storage positions: u32;  // [slots], past the context where a slot is idle
storage cache_rows: u32; // [slots]
storage keys: f32;       // [rows, context, kv_heads head_dim]
storage values: f32;     // as keys
storage out: f32;        // [slots, q_heads head_dim]

const THREADS: u32 = 64;
const LOWEST: f32 = -1e30;

// The first element of a position's keys, or values.
fn cached(row: u32, position: u32) -> u32 {
    return (row * sizes.context + position) * sizes.kv_heads * sizes.head_dim;
}

// One thread a pair (x_i, x_{i+half}) of a head.
@compute @workgroup_size(THREADS)
fn append_to_cache(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = (group.x + group.y * groups.x) * THREADS + lane;
    let half = sizes.head_dim / 2;
    let turned = sizes.q_heads + sizes.kv_heads;
    let heads = turned + sizes.kv_heads;
    let slot = pair / (half * heads);
    if slot >= sizes.slots { return; }
    let position = positions[slot];
    if position >= sizes.context { return; }
    let i = pair % half;
    let head = pair / half % heads;
    let at = (slot * heads + head) * sizes.head_dim + i;
    var a = qkv[at];
    var b = qkv[at + half];
    let to = cached(cache_rows[slot], position) + i;
    if head >= turned {
        let value = to + (head - turned) * sizes.head_dim;
        values[value] = a;
        values[value + half] = b;
        return;
    }
    let cosine = table[position * sizes.head_dim + i];
    let sine = table[position * sizes.head_dim + half + i];
    let first = a * cosine - b * sine;
    b = b * cosine + a * sine;
    a = first;
    qkv[at] = a;
    qkv[at + half] = b;
    if head >= sizes.q_heads {
        let key = to + (head - sizes.q_heads) * sizes.head_dim;
        keys[key] = a;
        keys[key + half] = b;
    }
}

var<workgroup> query: array<f32, 256>;
var<workgroup> weights: array<f32, THREADS>;
var<workgroup> positions_seen: u32;

// One workgroup a query head of a slot; 64 keys pass by at a time, a thread each, then a thread adds up
// four features of their values. The softmax is online, as in attention.wgsl.
@compute @workgroup_size(THREADS)
fn attention_cached(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    if index >= sizes.slots * sizes.q_heads { return; }
    let slot = index / sizes.q_heads;
    let head = index % sizes.q_heads;
    if lane == 0 {
        let position = positions[slot];
        positions_seen = select(0u, position + 1, position < sizes.context);
    }
    let seen = workgroupUniformLoad(&positions_seen);
    let width = (sizes.q_heads + 2 * sizes.kv_heads) * sizes.head_dim;
    for (var i = lane; i < sizes.head_dim; i += THREADS) {
        query[i] = qkv[slot * width + head * sizes.head_dim + i] * sizes.scale;
    }
    workgroupBarrier();
    let stride = sizes.kv_heads * sizes.head_dim;
    let column = cached(cache_rows[slot], 0) + head / (sizes.q_heads / sizes.kv_heads) * sizes.head_dim;
    var largest = LOWEST;
    var total = 0.0;
    var sums = array<f32, 4>(); // of features lane, lane + 64, ..
    for (var start = 0u; start < seen; start += THREADS) {
        let count = min(THREADS, seen - start);
        var score = LOWEST;
        if lane < count {
            let key = column + (start + lane) * stride;
            score = 0.0;
            for (var i = 0u; i < sizes.head_dim; i++) { score += query[i] * keys[key + i]; }
        }
        let next = max(largest, workgroup_max(lane, score));
        let weight = select(0.0, exp(score - next), lane < count);
        weights[lane] = weight;
        let rescale = exp(largest - next);
        total = total * rescale + workgroup_sum(lane, weight);
        for (var part = 0u; part < 4; part++) {
            let feature = lane + part * THREADS;
            if feature < sizes.head_dim {
                var sum = sums[part] * rescale;
                for (var i = 0u; i < count; i++) {
                    sum += weights[i] * values[column + (start + i) * stride + feature];
                }
                sums[part] = sum;
            }
        }
        largest = next;
        // The next keys' weights overwrite those that slower threads still read.
        workgroupBarrier();
    }
    for (var part = 0u; part < 4; part++) {
        let feature = lane + part * THREADS;
        if feature < sizes.head_dim {
            out[index * sizes.head_dim + feature] = select(0.0, sums[part] / total, seen > 0);
        }
    }
}
