// Pieces of matrices, 16 x 16, each held by the 32 threads of a subgroup together: by the adapter's matrix
// units. Operands are halves, sums are f32. A piece is multiplied before the next barrier after it was
// taken: see matrix_emulated.wgsl.

enable wgpu_cooperative_matrix;

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;

#include "matrix_staging"

// To be called first, with the thread's number in its workgroup.
fn begin_matrices(lane: u32) {}

// A piece that begins at halves[at], its rows `stride` vec4s apart.
fn left(at: u32, stride: u32) -> Left { return coopLoadT<Left>(&halves[at], stride); }
fn right(at: u32, stride: u32) -> Right { return coopLoadT<Right>(&halves[at], stride); }

// The same of what is stored transposed: its columns are `stride` vec4s apart.
fn left_transposed(at: u32, stride: u32) -> Left { return coopLoad<Left>(&halves[at], stride); }
fn right_transposed(at: u32, stride: u32) -> Right { return coopLoad<Right>(&halves[at], stride); }

fn multiply_add(a: Left, b: Right, sums: Sums) -> Sums { return coopMultiplyAdd(a, b, sums); }

// Sums go to reals[at] and on, their rows `stride` vec4s apart.
fn keep(sums: Sums, at: u32, stride: u32) { coopStoreT(sums, &reals[at], stride); }
