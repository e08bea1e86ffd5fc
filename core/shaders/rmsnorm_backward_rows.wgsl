// Gradients of rmsnorm (core/src/ops/rmsnorm.rs) for real GPUs, for rows of whole vec4s. A workgroup computes several
// rows, one after the other, and holds a row in registers: it loads each element once. It also adds up its rows' part of
// the gain's gradient, in registers. A second kernel sums the parts of all workgroups in a fixed order.

#include "reduce"

override ACCUMULATE: bool = false;
override COLUMNS: u32 = 2; // vec4s of a row that a thread holds

struct Sizes { rows: u32, quads: u32, rows_per_partial: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage dy: vec4<real>; // [rows, width]
storage x: vec4f;       // [rows, width]
storage gain: vec4f;    // [width]
storage rstd: f32;      // [rows]
storage dx: vec4f;      // [rows, width]
storage partial: vec4f; // [partials, width]
storage dgain: vec4f;   // [width]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn rmsnorm_backward_rows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = group.x + group.y * groups.x;
    let first = id * sizes.rows_per_partial;
    if first >= sizes.rows { return; }
    let end = min(first + sizes.rows_per_partial, sizes.rows);
    // Columns past the last read the last one, without a branch, and count as zeros.
    var gains: array<vec4f, COLUMNS>;
    var totals: array<vec4f, COLUMNS>;
    for (var c = 0u; c < COLUMNS; c++) { // unroll
        let quad = c * THREADS + lane;
        gains[c] = select(vec4f(), gain[min(quad, sizes.quads - 1)], quad < sizes.quads);
    }
    for (var row = first; row < end; row++) {
        let scale = rstd[row];
        var gradients: array<vec4f, COLUMNS>; // of the normalised row
        var normals: array<vec4f, COLUMNS>;
        var products = 0.0;
        for (var c = 0u; c < COLUMNS; c++) { // unroll
            let at = row * sizes.quads + min(c * THREADS + lane, sizes.quads - 1);
            let its = load4_dy(at);
            normals[c] = x[at] * scale;
            totals[c] += its * normals[c];
            gradients[c] = its * gains[c];
            products += dot(gradients[c], normals[c]);
        }
        let mean = workgroup_sum(lane, products) / f32(4 * sizes.quads);
        for (var c = 0u; c < COLUMNS; c++) { // unroll
            let quad = c * THREADS + lane;
            if quad < sizes.quads {
                let at = row * sizes.quads + quad;
                let gradient = scale * (gradients[c] - normals[c] * mean);
                if ACCUMULATE {
                    dx[at] += gradient;
                } else {
                    dx[at] = gradient;
                }
            }
        }
    }
    for (var c = 0u; c < COLUMNS; c++) { // unroll
        let quad = c * THREADS + lane;
        if quad < sizes.quads { partial[id * sizes.quads + quad] = totals[c]; }
    }
}

// A workgroup sums FEW neighbouring vec4s of all parts; each of its threads sums every SHARES-th part.
const FEW: u32 = 4;
const SHARES: u32 = THREADS / FEW;

var<workgroup> shares: array<vec4f, THREADS>;

// Here sizes.rows is the number of parts.
@compute @workgroup_size(THREADS)
fn rmsnorm_backward_sum(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = group.x * FEW + lane % FEW;
    let column = min(quad, sizes.quads - 1);
    var total = vec4f();
    for (var part = lane / FEW; part < sizes.rows; part += SHARES) {
        total += partial[part * sizes.quads + column];
    }
    shares[lane] = total;
    workgroupBarrier();
    if lane < FEW && quad < sizes.quads {
        var all = dgain[quad];
        for (var share = 0u; share < SHARES; share++) {
            all += shares[share * FEW + lane];
        }
        dgain[quad] = all;
    }
}
