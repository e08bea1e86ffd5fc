// Products of each expert with its own rows (core/src/ops/grouped_matmul/variants.rs), by subgroups.

#include "product_subgroup"
#include "expert_tiles"

@compute @workgroup_size(THREADS)
fn grouped_matmul_subgroup(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) size: u32,
) {
    let part = part_of_tile(group, groups);
    if part.row >= part.row_end { return; }
    multiply(part, thread, Member(lane, size));
}

@compute @workgroup_size(THREADS)
fn grouped_matmul_subgroup_weight(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) size: u32,
) {
    let part = part_of_weight(group);
    if part.begin >= part.end { return; }
    multiply(part, thread, Member(lane, size));
}
