// For a compiler, values read from memory may differ between threads. Kernels with barriers need a proof that the part
// is the same for all threads.

var<workgroup> shared_part: Part;

fn same_for_all(part: Part, thread: Thread) -> Part {
    if !BARRIERS { return part; }
    if thread.lane == 0 { shared_part = part; }
    return workgroupUniformLoad(&shared_part);
}
