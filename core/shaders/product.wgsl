// A product of matrices with rows of whole vec4s, dense or of experts. Three snippets come before this text: a variant
// of the product (product_*.wgsl), a workgroup's part of the results (part_*.wgsl), and the handling of the results
// (epilogue_*.wgsl).

@compute @workgroup_size(THREADS)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    thread: Thread,
) {
    let part = same_for_all(part_of(group, groups), thread);
    if part.row >= part.row_end { return; }
    multiply(part, thread);
}
