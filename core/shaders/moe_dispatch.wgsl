// A stable counting sort of routed pairs by expert, and the tile list of the grouped GEMM
// (core/src/ops/moe_dispatch.rs). Pairs are divided into chunks. A thread owns one expert in one chunk: it counts the
// expert's pairs in the chunk, and later stores them at their places in order.

struct Sizes {
    pairs: u32,
    num_experts: u32,
    chunks: u32,
    chunk: u32, // pairs of a chunk
    tiles: u32, // length of the tile list
    tile_rows: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage experts: u32;      // [pairs]
storage counts: u32;       // [num_experts]
storage offsets: u32;      // [num_experts + 1]
storage order: u32;        // [pairs]
storage position: u32;     // [pairs]
storage tile_expert: u32;  // [tiles]
storage tile_row: u32;     // [tiles]
storage chunk_counts: u32; // [chunks, num_experts]
storage tile_offsets: u32; // [num_experts + 1]

const THREADS: u32 = 64;
const NO_TILE: u32 = 0xffffffffu;

var<workgroup> shared_sums: array<u32, THREADS>;

// The sum over the lanes before this one. Call it in uniform control flow.
fn sum_before(lane: u32, value: u32) -> u32 {
    shared_sums[lane] = value;
    workgroupBarrier();
    for (var stride = 1u; stride < THREADS; stride <<= 1u) {
        var left = 0u;
        if lane >= stride { left = shared_sums[lane - stride]; }
        workgroupBarrier();
        shared_sums[lane] += left;
        workgroupBarrier();
    }
    return shared_sums[lane] - value;
}

@compute @workgroup_size(THREADS)
fn moe_count(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (group.x + group.y * groups.x) * THREADS + lane;
    let first = id / sizes.num_experts * sizes.chunk;
    let expert = id % sizes.num_experts;
    if first >= sizes.pairs { return; }
    let end = min(first + sizes.chunk, sizes.pairs);
    var count = 0u;
    for (var pair = first; pair < end; pair++) {
        count += u32(experts[pair] == expert);
    }
    chunk_counts[id] = count;
}

// One workgroup for each expert: turns its counts into sums over the chunks before.
@compute @workgroup_size(THREADS)
fn moe_scan_chunks(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let expert = group.x + group.y * groups.x;
    if expert >= sizes.num_experts { return; }
    let share = (sizes.chunks + THREADS - 1) / THREADS;
    let first = min(lane * share, sizes.chunks);
    let end = min(first + share, sizes.chunks);
    var count = 0u;
    for (var chunk = first; chunk < end; chunk++) {
        count += chunk_counts[chunk * sizes.num_experts + expert];
    }
    var before = sum_before(lane, count);
    if lane == THREADS - 1 { counts[expert] = before + count; }
    for (var chunk = first; chunk < end; chunk++) {
        let i = chunk * sizes.num_experts + expert;
        let here = chunk_counts[i];
        chunk_counts[i] = before;
        before += here;
    }
}

fn tiles_of(count: u32) -> u32 {
    return (count + sizes.tile_rows - 1) / sizes.tile_rows;
}

// One workgroup: sums of rows and of tiles over the experts before each.
@compute @workgroup_size(THREADS)
fn moe_scan_experts(@builtin(local_invocation_index) lane: u32) {
    let share = (sizes.num_experts + THREADS - 1) / THREADS;
    let first = min(lane * share, sizes.num_experts);
    let end = min(first + share, sizes.num_experts);
    var rows = 0u;
    var tiles = 0u;
    for (var expert = first; expert < end; expert++) {
        rows += counts[expert];
        tiles += tiles_of(counts[expert]);
    }
    var rows_before = sum_before(lane, rows);
    var tiles_before = sum_before(lane, tiles);
    if lane == THREADS - 1 {
        offsets[sizes.num_experts] = rows_before + rows;
        tile_offsets[sizes.num_experts] = tiles_before + tiles;
    }
    for (var expert = first; expert < end; expert++) {
        offsets[expert] = rows_before;
        tile_offsets[expert] = tiles_before;
        rows_before += counts[expert];
        tiles_before += tiles_of(counts[expert]);
    }
}

@compute @workgroup_size(THREADS)
fn moe_scatter(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (group.x + group.y * groups.x) * THREADS + lane;
    let first = id / sizes.num_experts * sizes.chunk;
    let expert = id % sizes.num_experts;
    if first >= sizes.pairs { return; }
    let end = min(first + sizes.chunk, sizes.pairs);
    var row = offsets[expert] + chunk_counts[id];
    for (var pair = first; pair < end; pair++) {
        if experts[pair] == expert {
            order[row] = pair;
            position[pair] = row;
            row++;
        }
    }
}

@compute @workgroup_size(THREADS)
fn moe_tiles(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = (group.x + group.y * groups.x) * THREADS + lane;
    if tile >= sizes.tiles { return; }
    if tile >= tile_offsets[sizes.num_experts] {
        tile_expert[tile] = NO_TILE;
        tile_row[tile] = NO_TILE;
        return;
    }
    // The last expert whose tiles begin at or before this one.
    var expert = 0u;
    var end = sizes.num_experts;
    while end - expert > 1u {
        let middle = (expert + end) / 2u;
        if tile_offsets[middle] <= tile {
            expert = middle;
        } else {
            end = middle;
        }
    }
    tile_expert[tile] = expert;
    tile_row[tile] = offsets[expert] + (tile - tile_offsets[expert]) * sizes.tile_rows;
}
