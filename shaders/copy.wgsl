// y = x (core/src/ops/copy.rs); in mixed precision, also a working copy of a weight.

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real2 = f32;

struct Sizes { len: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> x: array<Real1>; // [len]
@group(0) @binding(2) var<storage, read_write> y: array<Real2>; // [len]

const THREADS: u32 = 256;

@compute @workgroup_size(THREADS)
fn copy(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    if i < sizes.len { y[i] = Real2(x[i]); }
}
