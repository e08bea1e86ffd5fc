// A product by threads that each own a 4x4 block: no shared memory, no barrier, and no feature that an
// adapter may lack.

#include "product"

const THREADS: u32 = 8; // a side of the workgroup
const TILE_M: u32 = 4 * THREADS;
const TILE_N: u32 = 4 * THREADS;

fn multiply(part: Part, thread: vec3u) {
    let row = part.row + 4 * thread.y;
    let column = part.column + 4 * thread.x;
    if row >= part.row_end || column >= sizes.n { return; }
    var sums: array<vec4f, 4>;
    if A_BY_K {
        for (var k = part.begin; k < part.end; k++) {
            let left = a_along_m(row, k);
            let right = b_along_n(part, column, k);
            sums[0] += left.x * right;
            sums[1] += left.y * right;
            sums[2] += left.z * right;
            sums[3] += left.w * right;
        }
    } else {
        for (var k = part.begin; k < part.end; k += 4u) {
            let right = b_block(part, column, k);
            sums[0] += right * a_along_k(part, row, k);
            sums[1] += right * a_along_k(part, row + 1, k);
            sums[2] += right * a_along_k(part, row + 2, k);
            sums[3] += right * a_along_k(part, row + 3, k);
        }
    }
    for (var i = 0u; i < 4; i++) {
        if row + i < part.row_end { store(part, row + i, column, sums[i]); }
    }
}
