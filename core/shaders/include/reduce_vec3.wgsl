// Three sums over the 64 threads of a workgroup at once, by the tree of `reduce`.

var<workgroup> shared_vec3_sums: array<vec3f, 64>;

fn workgroup_sum_vec3(lane: u32, value: vec3f) -> vec3f {
    shared_vec3_sums[lane] = value;
    workgroupBarrier();
    for (var stride = 32u; stride > 0u; stride >>= 1u) {
        if lane < stride { shared_vec3_sums[lane] += shared_vec3_sums[lane + stride]; }
        workgroupBarrier();
    }
    let total = shared_vec3_sums[0];
    // Slower threads may still read slots that the next call overwrites.
    workgroupBarrier();
    return total;
}
