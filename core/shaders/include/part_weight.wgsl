// A workgroup's part of the gradients of experts' weights (core/src/ops/grouped_matmul): a [rows, m], b [rows, n],
// summed over an expert's rows, c [num_experts, m, n]. The grid's z enumerates the dispatch's experts; an expert
// without rows has no part.

#include "part_shared"

storage offsets: u32; // [num_experts + 1]

fn part_of(group: vec3u, groups: vec3u) -> Part {
    let expert = sizes.first + group.z;
    let matrix = expert * (sizes.m * sizes.n / 4);
    let begin = offsets[expert];
    let end = offsets[expert + 1];
    let row_end = select(0, sizes.m, begin < end);
    return Part(group.y * TILE_M, row_end, group.x * TILE_N, begin, end, 0, matrix);
}
