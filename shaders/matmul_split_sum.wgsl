// c (+)= the sum of the shares of a split matmul, in their order (core/src/ops/matmul).

override ACCUMULATE: bool = false;
override SPLITS: u32 = 2;

// f32, or f16 in mixed precision.
alias Real2 = f32;

struct Sizes { quads: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> shares: array<vec4f>; // [SPLITS, quads]
@group(0) @binding(2) var<storage, read_write> c: array<vec4<Real2>>; // [quads]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn matmul_split_sum(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    if i >= sizes.quads { return; }
    var sum = shares[i];
    for (var split = 1u; split < SPLITS; split++) { sum += shares[split * sizes.quads + i]; }
    if ACCUMULATE {
        c[i] = vec4<Real2>(vec4f(c[i]) + sum);
    } else {
        c[i] = vec4<Real2>(sum);
    }
}
