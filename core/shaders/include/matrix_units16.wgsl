// Pieces of matrices, 16 x 16, with the adapter's matrix units. The 32 threads of a subgroup hold a piece together.
// Operands are halves, sums are f32. A piece must be multiplied before the next barrier after its load, because
// matrix_emulated.wgsl reads it only then.

enable wgpu_cooperative_matrix;

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;

#include "matrix_staging"

// Must be called first, with the thread's index in its workgroup.
fn begin_matrices(lane: u32) {}

// Loads the piece that begins at halves[at], with `stride` vec4s from row to row.
fn left(at: u32, stride: u32) -> Left { return coopLoadT<Left>(&halves[at], stride); }
fn right(at: u32, stride: u32) -> Right { return coopLoadT<Right>(&halves[at], stride); }

// Loads a piece that is stored transposed: `stride` vec4s from column to column.
fn left_transposed(at: u32, stride: u32) -> Left { return coopLoad<Left>(&halves[at], stride); }
fn right_transposed(at: u32, stride: u32) -> Right { return coopLoad<Right>(&halves[at], stride); }

fn multiply_add(a: Left, b: Right, sums: Sums) -> Sums { return coopMultiplyAdd(a, b, sums); }

// Stores sums from reals[at] on, with `stride` vec4s from row to row.
fn keep(sums: Sums, at: u32, stride: u32) { coopStoreT(sums, &reals[at], stride); }
