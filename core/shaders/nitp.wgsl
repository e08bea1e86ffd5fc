// The NITP loss of each pair and its gradient (core/src/ops/nitp.rs has the formulas). One workgroup for each pair of a
// prediction and its target: it reads both vectors, reduces the sums for the loss, and owns the prediction's row of dp
// and the target's row of dz.

#include "reduce"
#include "reduce_vec3"

override KIND: u32 = 0;

const COSINE: u32 = 0;
const MSE: u32 = 1;
const SMOOTH_L1: u32 = 2;
const KL: u32 = 3;

struct Sizes { tokens: u32, context: u32, width: u32, distance: u32, index: u32, weight: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage p: f32;    // [tokens, width]
storage z: f32;    // [tokens, width]
storage mask: u32; // [tokens]
storage loss: f32; // [tokens]
storage scalars: f32;
storage dp: f32;   // [tokens, width]
storage dz: f32;   // [tokens, width]

const THREADS: u32 = 64;

// Largest squared length of a vector that counts as 0.
const SHORTEST_SQUARED: f32 = 1e-24;

struct Pair {
    p: u32, // first element of the prediction
    z: u32, // first element of the target
    counts: bool,
}

// The map from positions to targets is one to one: the last position of a sequence, which has no target, is paired with
// the first target. This pair does not count; it only gives that row of dz an owner.
fn pair_of(t: u32) -> Pair {
    let pairs = sizes.context - sizes.distance;
    let inside = t % sizes.context < pairs;
    let partner = select(t - pairs, t + sizes.distance, inside);
    return Pair(t * sizes.width, partner * sizes.width, inside && mask[t] != 0);
}

fn inverse_length(squares: f32) -> f32 {
    // max keeps the argument of the root valid in the branch that is not taken.
    return select(0.0, inverseSqrt(max(squares, SHORTEST_SQUARED)), squares > SHORTEST_SQUARED);
}

// e^x - 1 - x for x in -1..1: its series up to x^10.
fn excess(x: f32) -> f32 {
    var tail = 1.0;
    for (var k = 10.0; k > 2.0; k -= 1.0) { tail = 1.0 + tail * x / k; }
    return 0.5 * x * x * tail;
}

// s - q and s - q - q r with r = ln s - ln q. For close s and q they are computed from r, which avoids cancellation.
fn differences(s: f32, q: f32, ratio: f32) -> vec2f {
    let term = q * excess(clamp(ratio, -1.0, 1.0));
    let far = vec2f(s - q, s - q - q * ratio);
    return select(far, vec2f(q * ratio + term, term), abs(ratio) < 1.0);
}

// Sums over the vectors for the loss and its derivatives; the last element is the loss.
fn statistics(lane: u32, pair: Pair) -> vec3f {
    if KIND == COSINE {
        var sums = vec3f();
        for (var i = lane; i < sizes.width; i += THREADS) {
            let x = p[pair.p + i];
            let y = z[pair.z + i];
            sums += vec3f(x * x, y * y, x * y);
        }
        sums = workgroup_sum_vec3(lane, sums);
        let inverse = vec2f(inverse_length(sums.x), inverse_length(sums.y));
        return vec3f(inverse, 1.0 - sums.z * inverse.x * inverse.y);
    }
    if KIND == KL {
        var largest = vec2f(-3e38);
        for (var i = lane; i < sizes.width; i += THREADS) {
            largest = max(largest, vec2f(p[pair.p + i], z[pair.z + i]));
        }
        largest = vec2f(workgroup_max(lane, largest.x), workgroup_max(lane, largest.y));
        var sums = vec2f(); // of e^(p - largest) and e^(z - largest)
        for (var i = lane; i < sizes.width; i += THREADS) {
            sums += exp(vec2f(p[pair.p + i], z[pair.z + i]) - largest);
        }
        sums = vec2f(workgroup_sum(lane, sums.x), workgroup_sum(lane, sums.y));
        let offset = largest.x - largest.y + log(sums.x / sums.y);
        var divergence = 0.0;
        for (var i = lane; i < sizes.width; i += THREADS) {
            let x = p[pair.p + i];
            let y = z[pair.z + i];
            let both = exp(vec2f(x, y) - largest) / sums;
            divergence += differences(both.x, both.y, x - y - offset).y;
        }
        return vec3f(largest.y + log(sums.y), offset, workgroup_sum(lane, divergence));
    }
    var total = 0.0;
    for (var i = lane; i < sizes.width; i += THREADS) {
        let e = p[pair.p + i] - z[pair.z + i];
        if KIND == MSE {
            total += e * e;
        } else {
            let inner = clamp(e, -1.0, 1.0);
            total += inner * (e - 0.5 * inner);
        }
    }
    return vec3f(0.0, 0.0, workgroup_sum(lane, total) / f32(sizes.width));
}

// Derivatives of the loss in one element x of p and y of z.
fn slopes(about: vec3f, x: f32, y: f32) -> vec2f {
    if KIND == COSINE {
        let u = x * about.x;
        let v = y * about.y;
        let c = 1.0 - about.z;
        return vec2f(c * u - v, c * v - u) * about.xy;
    }
    if KIND == KL {
        let log_q = y - about.x;
        let ratio = x - y - about.y;
        let q = exp(log_q);
        let slope = differences(exp(log_q + ratio), q, ratio).x;
        return vec2f(slope, -q * (ratio + about.z));
    }
    let e = x - y;
    let slope = select(clamp(e, -1.0, 1.0), 2.0 * e, KIND == MSE) / f32(sizes.width);
    return vec2f(slope, -slope);
}

fn keep_loss(lane: u32, t: u32, pair: Pair, about: vec3f) {
    if lane == 0 { loss[t] = select(0.0, about.z, pair.counts); }
}

@compute @workgroup_size(THREADS)
fn nitp(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = group.x + group.y * groups.x;
    if t >= sizes.tokens { return; }
    let pair = pair_of(t);
    keep_loss(lane, t, pair, statistics(lane, pair));
}

@compute @workgroup_size(THREADS)
fn nitp_gradient(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = group.x + group.y * groups.x;
    if t >= sizes.tokens { return; }
    let pair = pair_of(t);
    let about = statistics(lane, pair);
    keep_loss(lane, t, pair, about);
    let factor = sizes.weight * scalars[sizes.index];
    for (var i = lane; i < sizes.width; i += THREADS) {
        let slope = factor * slopes(about, p[pair.p + i], z[pair.z + i]).x;
        dp[pair.p + i] = select(0.0, slope, pair.counts);
    }
}

@compute @workgroup_size(THREADS)
fn nitp_both_gradients(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = group.x + group.y * groups.x;
    if t >= sizes.tokens { return; }
    let pair = pair_of(t);
    let about = statistics(lane, pair);
    keep_loss(lane, t, pair, about);
    let factor = sizes.weight * scalars[sizes.index];
    for (var i = lane; i < sizes.width; i += THREADS) {
        let slope = factor * slopes(about, p[pair.p + i], z[pair.z + i]);
        dp[pair.p + i] = select(0.0, slope.x, pair.counts);
        dz[pair.z + i] = select(0.0, slope.y, pair.counts);
    }
}
