// c [m, n] (+)= a b (core/src/ops/matmul/variants.rs), by tiles in shared memory.

#include "product_tile"

// The grid's z shares k out; each share's product goes to a matrix of its own, c [SPLITS, m, n].
override SPLITS: u32 = 1;

@compute @workgroup_size(THREADS, THREADS)
fn matmul_tile(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let slices = (sizes.k + TILE_K - 1) / TILE_K;
    let share = (slices + SPLITS - 1) / SPLITS * TILE_K;
    let begin = min(group.z * share, sizes.k);
    let end = min(begin + share, sizes.k);
    let matrix = group.z * (sizes.m * sizes.n / 4);
    let part = Part(group.y * TILE_M, sizes.m, group.x * TILE_N, begin, end, 0, matrix);
    multiply(part, thread, lane);
}
