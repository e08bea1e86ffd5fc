// For ways with barriers: what is read from memory may differ from thread to thread, for all that a
// compiler knows; barriers want a proof.

var<workgroup> shared_part: Part;

fn same_for_all(part: Part, thread: Thread) -> Part {
    if !FROM_MEMORY { return part; }
    if thread.lane == 0 { shared_part = part; }
    return workgroupUniformLoad(&shared_part);
}
