// y = x (core/src/ops/copy.rs); in mixed precision, also a working copy of a weight.

struct Sizes { len: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: real; // [len]
storage y: real; // [len]

const THREADS: u32 = 256;

@compute @workgroup_size(THREADS)
fn copy(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    if i < sizes.len { store_y(i, load_x(i)); }
}
