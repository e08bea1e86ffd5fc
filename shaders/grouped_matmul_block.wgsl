// Products of each expert with its own rows (core/src/ops/grouped_matmul/variants.rs), a block of ROWS x 4 results a thread.

#include "product_block"
#include "expert_tiles"

@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_block(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let part = part_of_tile(group, groups);
    if part.row >= part.row_end { return; }
    multiply(part, thread);
}

@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_block_weight(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let part = part_of_weight(group);
    if part.begin >= part.end { return; }
    multiply(part, thread);
}
