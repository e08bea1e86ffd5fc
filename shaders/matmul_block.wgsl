// c [m, n] (+)= a b (core/src/ops/matmul/variants.rs), a block of ROWS x 4 results a thread.

#include "product_block"

@compute @workgroup_size(THREADS, THREADS)
fn matmul_block(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    multiply(Part(group.y * TILE_M, sizes.m, group.x * TILE_N, 0, sizes.k, 0, 0), thread);
}
