// Which tokens attention pairs: a query sees the keys of its own document up to itself.

storage documents: vec2<u32>; // [batch, context]: first token of the document in the row, and the token after its last

fn document_of(row: u32, token: u32) -> vec2u {
    return documents[row * sizes.context + min(token, sizes.context - 1)];
}

// The first key that a query sees.
fn first_key(row: u32, query: u32) -> u32 { return document_of(row, query).x; }

// The end of the queries that see a key.
fn end_of_queries(row: u32, key: u32) -> u32 { return document_of(row, key).y; }

// The same for all threads of a workgroup, in a form that compilers know to be equal in all of them. Loops with
// barriers need this. A vec4, so that other workgroup memory stays aligned for matrix units.
var<workgroup> bound_of_group: vec4u;

fn first_key_of_group(lane: u32, row: u32, query: u32) -> u32 {
    if lane == 0 { bound_of_group.x = first_key(row, query); }
    return workgroupUniformLoad(&bound_of_group).x;
}

fn end_of_queries_of_group(lane: u32, row: u32, key: u32) -> u32 {
    if lane == 0 { bound_of_group.x = end_of_queries(row, key); }
    return workgroupUniformLoad(&bound_of_group).x;
}
