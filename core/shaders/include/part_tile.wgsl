// A workgroup's part of the products of experts with their rows (core/src/ops/grouped_matmul): a [rows, k],
// b [num_experts, ...], c [rows, n]. The number of rows of an expert is known only on the device. The grid covers the
// longest tile list of any routing, and workgroups past the list's end have no rows.

#include "part_shared"

override TILE_ROWS: u32 = 64; // a multiple of TILE_M

storage offsets: u32;     // [num_experts + 1]
storage tile_expert: u32; // [tiles]
storage tile_row: u32;    // [tiles]

const NO_TILE: u32 = 0xffffffffu;

// The grid's y and z enumerate the parts of TILE_M rows of the dispatch's tiles.
fn part_of(group: vec3u, groups: vec3u) -> Part {
    let nothing = Part(0, 0, 0, 0, 0, 0, 0);
    let id = group.y + group.z * groups.y;
    let tile = sizes.first + id / (TILE_ROWS / TILE_M);
    if tile >= sizes.end { return nothing; }
    let expert = tile_expert[tile];
    if expert == NO_TILE { return nothing; }
    let row = tile_row[tile] + id % (TILE_ROWS / TILE_M) * TILE_M;
    let end = min(tile_row[tile] + TILE_ROWS, offsets[expert + 1]);
    let matrix = expert * (sizes.n * sizes.k / 4);
    return Part(row, end, group.x * TILE_N, 0, sizes.k, matrix, 0);
}
