// Products of each expert with its own rows (core/src/ops/grouped_matmul/variants.rs), by tiles in shared memory.

#include "product_tile"
#include "expert_tiles"

// What is read from memory may differ from thread to thread, for all that a compiler knows; barriers
// want a proof.
var<workgroup> shared_part: Part;

fn same_for_all(part: Part, lane: u32) -> Part {
    if lane == 0 { shared_part = part; }
    return workgroupUniformLoad(&shared_part);
}

@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_tile(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = same_for_all(part_of_tile(group, groups), lane);
    if part.row >= part.row_end { return; }
    multiply(part, thread, lane);
}

@compute @workgroup_size(THREADS, THREADS)
fn grouped_matmul_tile_weight(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = same_for_all(part_of_weight(group), lane);
    if part.begin >= part.end { return; }
    multiply(part, thread, lane);
}
