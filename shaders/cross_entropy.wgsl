// Cross-entropy of logits and, in their place, its gradient (core/src/ops/cross_entropy.rs).
// One workgroup a row; the largest logit and the sum of exponentials come from one reading.

struct Sizes { rows: u32, vocab: u32, index: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage logits: f32; // [rows, vocab]
storage labels: u32; // [rows]
storage loss: f32;   // [rows]
storage scalars: f32;

const THREADS: u32 = 256;

// Below every logit, and finite: WGSL promises nothing about infinity.
const LOWEST: f32 = -3.0e38;

// The sum is of e^(logit - largest).
struct Share { largest: f32, sum: f32 }

var<workgroup> shares: array<Share, THREADS>;

fn merged(a: Share, b: Share) -> Share {
    let largest = max(a.largest, b.largest);
    return Share(largest, a.sum * exp(a.largest - largest) + b.sum * exp(b.largest - largest));
}

fn row_share(lane: u32, base: u32) -> Share {
    var share = Share(LOWEST, 0.0);
    for (var j = lane; j < sizes.vocab; j += THREADS) {
        let x = logits[base + j];
        // One exponential rescales the sum or is the new term.
        let e = exp(-abs(x - share.largest));
        if x > share.largest {
            share = Share(x, share.sum * e + 1.0);
        } else {
            share.sum += e;
        }
    }
    shares[lane] = share;
    workgroupBarrier();
    for (var stride = THREADS / 2; stride > 0u; stride >>= 1u) {
        if lane < stride { shares[lane] = merged(shares[lane], shares[lane + stride]); }
        workgroupBarrier();
    }
    return shares[0];
}

@compute @workgroup_size(THREADS)
fn cross_entropy(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.vocab;
    let share = row_share(lane, base);
    if lane == 0 {
        let label = labels[row];
        if label < sizes.vocab {
            loss[row] = log(share.sum) - (logits[base + label] - share.largest);
        } else {
            loss[row] = 0.0;
        }
    }
}

@compute @workgroup_size(THREADS)
fn cross_entropy_gradient(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.vocab;
    let share = row_share(lane, base);
    let label = labels[row];
    if label >= sizes.vocab {
        for (var j = lane; j < sizes.vocab; j += THREADS) { logits[base + j] = 0.0; }
        if lane == 0 { loss[row] = 0.0; }
        return;
    }
    let scale = scalars[sizes.index];
    let factor = scale / share.sum;
    for (var j = lane; j < sizes.vocab; j += THREADS) {
        let x = logits[base + j] - share.largest;
        var gradient = factor * exp(x);
        // The thread that overwrites the label's logit is the one that still has it.
        if j == label {
            loss[row] = log(share.sum) - x;
            gradient -= scale;
        }
        logits[base + j] = gradient;
    }
}
