// c (+)= the sum of the shares of a split matmul, in their order (core/src/ops/matmul).

override ACCUMULATE: bool = false;
override SPLITS: u32 = 2;

struct Sizes { quads: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage shares: vec4f; // [SPLITS, quads]
storage c: vec4<real>;  // [quads]

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
        store4_c(i, load4_c(i) + sum);
    } else {
        store4_c(i, sum);
    }
}
