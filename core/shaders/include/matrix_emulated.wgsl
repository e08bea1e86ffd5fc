// The functions of matrix_units16.wgsl in plain code, for tests of its kernels on adapters without matrix units.
// An operand is only its place in `halves`, which is read when it is multiplied. Each of 32 threads has half a row of
// the sums.

#include "matrix_staging"

// In numbers of halves: the start of the piece, and the strides between its rows and its columns.
struct Piece { at: u32, row: u32, column: u32 }

alias Left = Piece;
alias Right = Piece;
alias Sums = array<vec4f, 2>;

var<private> row_of_sums: u32;
var<private> column_of_sums: u32;
// SIDE as a value that compilers don't know. With a constant, they would unroll all loops around a product, which takes
// seconds.
var<private> side: u32;

fn begin_matrices(lane: u32) {
    row_of_sums = lane % 32 / 2;
    column_of_sums = lane % 2 * 8;
    side = SIDE + lane / 65536;
}

fn left(at: u32, stride: u32) -> Left { return Piece(4 * at, 4 * stride, 1); }
fn right(at: u32, stride: u32) -> Right { return Piece(4 * at, 4 * stride, 1); }
fn left_transposed(at: u32, stride: u32) -> Left { return Piece(4 * at, 1, 4 * stride); }
fn right_transposed(at: u32, stride: u32) -> Right { return Piece(4 * at, 1, 4 * stride); }

fn half_at(at: u32) -> f32 { return f32(halves[at / 4][at % 4]); }

fn four_halves(at: u32, apart: u32) -> vec4f {
    return vec4f(half_at(at), half_at(at + apart), half_at(at + 2 * apart), half_at(at + 3 * apart));
}

fn multiply_add(a: Left, b: Right, sums: Sums) -> Sums {
    var low = sums[0];
    var high = sums[1];
    for (var k = 0u; k < side; k++) {
        let x = half_at(a.at + row_of_sums * a.row + k * a.column);
        let y = b.at + k * b.row + column_of_sums * b.column;
        low += x * four_halves(y, b.column);
        high += x * four_halves(y + 4 * b.column, b.column);
    }
    return Sums(low, high);
}

fn keep(sums: Sums, at: u32, stride: u32) {
    let to = at + row_of_sums * stride + column_of_sums / 4;
    reals[to] = sums[0];
    reals[to + 1] = sums[1];
}
