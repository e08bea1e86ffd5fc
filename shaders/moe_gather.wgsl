// Rows of token states in the order of their experts, and the gradient back
// (core/src/ops/moe_gather.rs). One workgroup a row written.

override ACCUMULATE: bool = false;

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real3 = f32;

struct Sizes { rows: u32, top_k: u32, hidden_size: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;

// moe_gather: x, order, y
@group(0) @binding(1) var<storage, read_write> x: array<Real1>;   // [tokens, hidden_size]
@group(0) @binding(2) var<storage, read_write> order: array<u32>; // [pairs]
@group(0) @binding(3) var<storage, read_write> y: array<Real3>;   // [pairs, hidden_size]

// moe_gather_backward: dy, position, dx
@group(0) @binding(1) var<storage, read_write> dy: array<Real1>;     // [pairs, hidden_size]
@group(0) @binding(2) var<storage, read_write> position: array<u32>; // [pairs]
@group(0) @binding(3) var<storage, read_write> dx: array<Real3>;     // [tokens, hidden_size]

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
        y[to + i] = Real3(x[source + i]);
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
            total += f32(dy[position[token * sizes.top_k + slot] * sizes.hidden_size + i]);
        }
        if ACCUMULATE {
            dx[to + i] = Real3(f32(dx[to + i]) + total);
        } else {
            dx[to + i] = Real3(total);
        }
    }
}
