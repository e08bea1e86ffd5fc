// Cross-entropy of logits, and its gradient, which replaces the logits (core/src/ops/cross_entropy.rs).
// One workgroup for each row; one pass computes the largest logit and the sum of exponentials.

#include "logit_share"

struct Sizes { rows: u32, vocab: u32, index: u32, weight: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage logits: f32; // [rows, vocab]
storage labels: u32; // [rows]
storage loss: f32;   // [rows]
storage scalars: f32;

const THREADS: u32 = 256;

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
    let scale = sizes.weight * scalars[sizes.index];
    let factor = scale / share.sum;
    for (var j = lane; j < sizes.vocab; j += THREADS) {
        let x = logits[base + j] - share.largest;
        var gradient = factor * exp(x);
        // The thread that overwrites the label's logit computes the loss from it.
        if j == label {
            loss[row] = log(share.sum) - x;
            gradient -= scale;
        }
        logits[base + j] = gradient;
    }
}
