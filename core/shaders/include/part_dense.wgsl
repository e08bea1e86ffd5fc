// A workgroup's part of c [m, n] = a b: the tile at the grid's x and y.

// The grid's z divides k into shares; each share's product is a matrix of its own, c [SPLITS, m, n].
override SPLITS: u32 = 1;

// Shares begin at multiples of this, which is a multiple of every variant's depth.
const SHARE_STEP: u32 = 64;

fn same_for_all(part: Part, thread: Thread) -> Part { return part; }

fn part_of(group: vec3u, groups: vec3u) -> Part {
    let steps = (sizes.k + SHARE_STEP - 1) / SHARE_STEP;
    let share = (steps + SPLITS - 1) / SPLITS * SHARE_STEP;
    let begin = min(group.z * share, sizes.k);
    let end = min(begin + share, sizes.k);
    let matrix = group.z * (sizes.m * sizes.n / 4);
    return Part(group.y * TILE_M, sizes.m, group.x * TILE_N, begin, end, 0, matrix);
}
