// A product by subgroups of any size. All threads of a workgroup have the same rows of c, and each has four columns. In
// each step, every lane of a subgroup loads one vec4 of each of these rows of a, and the lanes exchange the vec4s by
// shuffles. There is no workgroup memory and no barrier, and each subgroup loads a once.
//
// Every sum is over ascending k, whatever the size of a subgroup.

#include "product"

override THREADS: u32 = 64;
override TILE_M: u32 = 8; // rows: a multiple of 4

const TILE_N: u32 = 4 * THREADS;

const BARRIERS: bool = false;

// Its index in the workgroup and in its subgroup, and the subgroup's size.
struct Thread {
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) member: u32,
    @builtin(subgroup_size) subgroup: u32,
}

fn multiply(part: Part, thread: Thread) {
    // A small workgroup doesn't fill a large subgroup.
    let lanes = min(thread.subgroup, THREADS);
    // Threads past the last column also run, because other threads need their loads.
    let column = part.column + 4 * thread.lane;
    var sums: array<vec4f, TILE_M>;
    if A_BY_K {
        // A lane loads all rows at a k of its own.
        let step = b_step() / 4;
        var b_at = b_block_at(part, column, part.begin).x;
        for (var k = part.begin; k < part.end; k += lanes) {
            let mine = min(k + thread.member, part.end - 1);
            var left: array<vec4f, TILE_M / 4>;
            for (var i = 0u; i < TILE_M / 4; i++) { left[i] = a_along_m(part.row + 4 * i, mine); }
            for (var other = 0u; other < min(lanes, part.end - k); other++) {
                let right = load4_b(b_at);
                b_at += step;
                for (var i = 0u; i < TILE_M / 4; i++) {
                    let rows = subgroupShuffle(left[i], other);
                    sums[4 * i] += rows.x * right;
                    sums[4 * i + 1] += rows.y * right;
                    sums[4 * i + 2] += rows.z * right;
                    sums[4 * i + 3] += rows.w * right;
                }
            }
        }
    } else {
        // A lane loads four k of its own of each row.
        let step = b_step();
        var b_at = b_block_at(part, column, part.begin);
        for (var k = part.begin; k < part.end; k += 4 * lanes) {
            let mine = min(k + 4 * thread.member, part.end - 4);
            var left: array<vec4f, TILE_M>;
            for (var i = 0u; i < TILE_M; i++) { left[i] = a_along_k(part, part.row + i, mine); }
            for (var other = 0u; other < min(lanes, (part.end - k) / 4); other++) {
                let right = b_block(b_at);
                b_at += step;
                for (var i = 0u; i < TILE_M; i++) {
                    sums[i] += right * subgroupShuffle(left[i], other);
                }
            }
        }
    }
    if column >= sizes.n { return; }
    for (var i = 0u; i < TILE_M; i++) {
        if part.row + i < part.row_end { store(part, part.row + i, column, sums[i]); }
    }
}
