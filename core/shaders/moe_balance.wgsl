// Balance loss and load of the experts (core/src/ops/moe_balance.rs): first partial sums of the probabilities over some
// tokens each, then one workgroup for the rest.

#include "reduce"

struct Sizes {
    rows: u32, // tokens; moe_balance: partials
    num_experts: u32,
    rows_per_partial: u32,
    scale: u32,       // index into scalars
    metric: u32,      // index into metrics
    loss_scale: f32,  // num_experts / (pairs * tokens)
    share_scale: f32, // 1 / pairs
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage probs: f32;   // [tokens, num_experts]
storage partial: f32; // [partials, num_experts]
storage counts: u32;  // [num_experts]
storage scalars: f32;
storage metrics: f32;
storage load: f32;    // [num_experts]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn moe_balance_partial(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (group.x + group.y * groups.x) * THREADS + lane;
    let chunk = id / sizes.num_experts;
    let expert = id % sizes.num_experts;
    let first = chunk * sizes.rows_per_partial;
    if first >= sizes.rows { return; }
    let end = min(first + sizes.rows_per_partial, sizes.rows);
    var total = 0.0;
    for (var token = first; token < end; token++) {
        total += probs[token * sizes.num_experts + expert];
    }
    partial[id] = total;
}

@compute @workgroup_size(THREADS)
fn moe_balance(@builtin(local_invocation_index) lane: u32) {
    let scale = scalars[sizes.scale];
    var loss = 0.0;
    for (var expert = lane; expert < sizes.num_experts; expert += THREADS) {
        var total = 0.0;
        for (var chunk = 0u; chunk < sizes.rows; chunk++) {
            total += partial[chunk * sizes.num_experts + expert];
        }
        let count = f32(counts[expert]);
        loss += count * total;
        load[expert] += scale * count * sizes.share_scale;
    }
    loss = workgroup_sum(lane, loss);
    if lane == 0 { metrics[sizes.metric] += scale * sizes.loss_scale * loss; }
}
