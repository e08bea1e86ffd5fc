// What is read from memory may differ from thread to thread, for all that a compiler knows; ways with barriers
// want a proof that it does not.

var<workgroup> shared_part: Part;

fn same_for_all(part: Part, thread: Thread) -> Part {
    if !BARRIERS { return part; }
    if thread.lane == 0 { shared_part = part; }
    return workgroupUniformLoad(&shared_part);
}
