// metrics[metric] += scalars[index] * sum(x), by a fixed tree (core/src/ops/accumulate_sum.rs).
// A long x is first summed in blocks, one for each workgroup.

#include "reduce"

struct Sizes { len: u32, block: u32, index: u32, metric: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: f32;       // [len]
storage partial: f32; // [len / block, rounded up]
storage scalars: f32;
storage metrics: f32;

const THREADS: u32 = 64;

fn block_sum(lane: u32, block: u32) -> f32 {
    let first = block * sizes.block;
    let end = min(first + sizes.block, sizes.len);
    var total = 0.0;
    for (var i = first + lane; i < end; i += THREADS) {
        total += x[i];
    }
    return workgroup_sum(lane, total);
}

@compute @workgroup_size(THREADS)
fn block_sums(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let total = block_sum(lane, group.x);
    if lane == 0 { partial[group.x] = total; }
}

@compute @workgroup_size(THREADS)
fn accumulate_sum(@builtin(local_invocation_index) lane: u32) {
    let total = block_sum(lane, 0);
    if lane == 0 { metrics[sizes.metric] += scalars[sizes.index] * total; }
}
