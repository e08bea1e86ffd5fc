// dweight[v] += sum of dx[t] over the positions t of token v (core/src/ops/embedding.rs).
// One workgroup for each distinct token, which owns the token's row of the table.

struct Sizes { rows: u32, width: u32, vocab: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage tokens: u32;           // [rows]
storage sorted_positions: u32; // [rows]
storage segment_starts: u32;   // [rows + 1]
storage dx: f32;               // [rows, width]
storage dweight: f32;          // [vocab, width]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn embedding_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = group.x + group.y * groups.x;
    if segment >= sizes.rows { return; }
    let first = segment_starts[segment];
    // There are fewer distinct tokens than positions: unused starts equal the end.
    if first >= sizes.rows { return; }
    let end = segment_starts[segment + 1];
    let row = min(tokens[sorted_positions[first]], sizes.vocab - 1) * sizes.width;
    for (var i = lane; i < sizes.width; i += THREADS) {
        var total = 0.0;
        for (var p = first; p < end; p++) {
            total += dx[sorted_positions[p] * sizes.width + i];
        }
        dweight[row + i] += total;
    }
}
