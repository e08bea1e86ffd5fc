// Fills a range with one bit pattern, for dead tensors in tests (core/src/gpu/commands.rs).

struct Sizes { len: u32, value: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: u32;

@compute @workgroup_size(256)
fn fill(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * 256 + lane;
    if i < sizes.len { x[i] = sizes.value; }
}
