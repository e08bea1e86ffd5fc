// A product by threads that each own a block of ROWS x 4 results, without workgroup memory, barriers and optional
// features. Loops are unrolled by hand: SwiftShader does not unroll loops, and uses memory for indices that are not
// constant.

#include "product"

override ROWS: u32 = 4; // or 8

const SIDE: u32 = 8; // threads in a row and in a column of the workgroup
const THREADS: u32 = SIDE * SIDE;
const TILE_M: u32 = ROWS * SIDE;
const TILE_N: u32 = 4 * SIDE;

const BARRIERS: bool = false;

struct Thread { @builtin(local_invocation_index) lane: u32 }

// The outer product; a row of the results is a column of the matrix.
fn outer(left: vec4f, right: vec4f) -> mat4x4f {
    return mat4x4f(left.x * right, left.y * right, left.z * right, left.w * right);
}

fn multiply(part: Part, thread: Thread) {
    let row = part.row + ROWS * (thread.lane / SIDE);
    let column = part.column + 4 * (thread.lane % SIDE);
    if row >= part.row_end || column >= sizes.n { return; }
    var low: mat4x4f;
    var high: mat4x4f; // of rows 4 to 7
    let a_step = a_step();
    let b_step = b_step();
    var low_at = a_block_at(part, row, part.begin);
    var high_at = a_block_at(part, row + 4, part.begin);
    var b_at = b_block_at(part, column, part.begin);
    var k = part.begin;
    for (; k + 4 <= part.end; k += 4u) {
        let right = b_block(b_at);
        low += right * a_block(low_at);
        if ROWS > 4 { high += right * a_block(high_at); }
        low_at += a_step;
        high_at += a_step;
        b_at += b_step;
    }
    if A_BY_K {
        // The rest of k: only rows consist of whole vec4s.
        for (; k < part.end; k++) {
            let right = b_along_n(part, column, k);
            low += outer(a_along_m(row, k), right);
            if ROWS > 4 { high += outer(a_along_m(row + 4, k), right); }
        }
    }
    store_block(part, row, column, low);
    if ROWS > 4 { store_block(part, row + 4, column, high); }
}

fn store_block(part: Part, row: u32, column: u32, rows: mat4x4f) {
    if row < part.row_end { store(part, row, column, rows[0]); }
    if row + 1 < part.row_end { store(part, row + 1, column, rows[1]); }
    if row + 2 < part.row_end { store(part, row + 2, column, rows[2]); }
    if row + 3 < part.row_end { store(part, row + 3, column, rows[3]); }
}
