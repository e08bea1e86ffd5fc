// c [m, n] (+)= a b (core/src/ops/matmul/variants.rs), by subgroups.

#include "product_subgroup"

@compute @workgroup_size(THREADS)
fn matmul_subgroup(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) size: u32,
) {
    let part = Part(group.y * TILE_M, sizes.m, group.x * TILE_N, 0, sizes.k, 0, 0);
    multiply(part, thread, Member(lane, size));
}
