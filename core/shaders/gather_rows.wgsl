// y[i] = x[index[i]] for whole rows (core/src/ops/gather_rows.rs, core/src/ops/embedding.rs).
// One workgroup for each row.

struct Sizes { rows: u32, width: u32, source_rows: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: f32;     // [source_rows, width]
storage index: u32; // [rows]
storage y: f32;     // [rows, width]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn gather_rows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let source = min(index[row], sizes.source_rows - 1) * sizes.width;
    for (var i = lane; i < sizes.width; i += THREADS) {
        y[row * sizes.width + i] = x[source + i];
    }
}
