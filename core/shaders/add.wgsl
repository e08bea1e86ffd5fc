// y += x (core/src/ops/add.rs).

struct Sizes { len: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: f32; // [len]
storage y: f32; // [len]

const THREADS: u32 = 256;

@compute @workgroup_size(THREADS)
fn add(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    if i < sizes.len { y[i] += x[i]; }
}
