// Rows of token states in the order of their experts, and the gradient (core/src/ops/moe_gather.rs). One workgroup for
// each written row.

override ACCUMULATE: bool = false;

struct Sizes { rows: u32, top_k: u32, hidden_size: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: real;       // [tokens, hidden_size]
storage order: u32;    // [pairs]
storage position: u32; // [pairs]
storage y: real;       // [pairs, hidden_size]
storage dy: real;      // like y
storage dx: real;      // like x

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn moe_gather(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let source = order[row] / sizes.top_k * sizes.hidden_size;
    let to = row * sizes.hidden_size;
    for (var i = lane; i < sizes.hidden_size; i += THREADS) {
        store_y(to + i, load_x(source + i));
    }
}

@compute @workgroup_size(THREADS)
fn moe_gather_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let token = group.x + group.y * groups.x;
    if token >= sizes.rows { return; }
    let to = token * sizes.hidden_size;
    for (var i = lane; i < sizes.hidden_size; i += THREADS) {
        var total = 0.0;
        for (var slot = 0u; slot < sizes.top_k; slot++) {
            total += load_dy(position[token * sizes.top_k + slot] * sizes.hidden_size + i);
        }
        if ACCUMULATE {
            store_dx(to + i, load_dx(to + i) + total);
        } else {
            store_dx(to + i, total);
        }
    }
}
