// c [m, n] (+)= a b by the 16x16 tile of textbooks in workgroup memory (core/src/ops/matmul), for comparisons.

override ACCUMULATE: bool = false;
override A_BY_K: bool = false; // a [k, m], else [m, k]
override B_BY_K: bool = true;  // b [k, n], else [n, k]

struct Sizes { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage a: real;
storage b: real;
storage c: real;

const TILE: u32 = 16;

var<workgroup> tile_a: array<f32, TILE * TILE>;
var<workgroup> tile_b: array<f32, TILE * TILE>;

fn element_a(row: u32, k: u32) -> f32 {
    if row >= sizes.m || k >= sizes.k { return 0.0; }
    if A_BY_K { return load_a(k * sizes.m + row); }
    return load_a(row * sizes.k + k);
}

fn element_b(k: u32, column: u32) -> f32 {
    if column >= sizes.n || k >= sizes.k { return 0.0; }
    if B_BY_K { return load_b(k * sizes.n + column); }
    return load_b(column * sizes.k + k);
}

@compute @workgroup_size(TILE, TILE)
fn matmul_plain(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    var sum = 0.0;
    for (var k = 0u; k < sizes.k; k += TILE) {
        tile_a[thread.y * TILE + thread.x] = element_a(id.y, k + thread.x);
        tile_b[thread.y * TILE + thread.x] = element_b(k + thread.y, id.x);
        workgroupBarrier();
        for (var p = 0u; p < TILE; p++) {
            sum += tile_a[thread.y * TILE + p] * tile_b[p * TILE + thread.x];
        }
        workgroupBarrier();
    }
    if id.y < sizes.m && id.x < sizes.n {
        let at = id.y * sizes.n + id.x;
        if ACCUMULATE {
            store_c(at, load_c(at) + sum);
        } else {
            store_c(at, sum);
        }
    }
}
