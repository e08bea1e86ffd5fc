// A sum over the 64 threads of a workgroup by a fixed tree, so results are bitwise reproducible.
// Uses `shared_sums`; every thread gets the result. Call it in uniform control flow.

var<workgroup> shared_sums: array<f32, 64>;

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    shared_sums[lane] = value;
    workgroupBarrier();
    for (var stride = 32u; stride > 0u; stride >>= 1u) {
        if lane < stride { shared_sums[lane] += shared_sums[lane + stride]; }
        workgroupBarrier();
    }
    let total = shared_sums[0];
    // Slower threads may still read slots that the next call overwrites.
    workgroupBarrier();
    return total;
}

fn workgroup_max(lane: u32, value: f32) -> f32 {
    shared_sums[lane] = value;
    workgroupBarrier();
    for (var stride = 32u; stride > 0u; stride >>= 1u) {
        if lane < stride { shared_sums[lane] = max(shared_sums[lane], shared_sums[lane + stride]); }
        workgroupBarrier();
    }
    let largest = shared_sums[0];
    workgroupBarrier();
    return largest;
}
