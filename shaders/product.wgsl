// A product of matrices with rows of whole vec4s, dense or of experts. Three snippets come before this text: a
// way to multiply (product_*.wgsl), which part of the results a workgroup has (part_*.wgsl), and what is
// done with results on their way to memory (epilogue_*.wgsl).

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
