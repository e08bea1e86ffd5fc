// Which tokens attention pairs: a query sees all keys of its row up to itself.

fn first_key(row: u32, query: u32) -> u32 { return 0u; }
fn end_of_queries(row: u32, key: u32) -> u32 { return sizes.context; }
fn first_key_of_group(lane: u32, row: u32, query: u32) -> u32 { return 0u; }
fn end_of_queries_of_group(lane: u32, row: u32, key: u32) -> u32 { return sizes.context; }
