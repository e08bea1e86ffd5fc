// Matrix units for 8 x 8 x 8: a piece consists of four of their matrices, low rows first.

enable wgpu_cooperative_matrix;

alias UnitLeft = coop_mat8x8<f16, A>;
alias UnitRight = coop_mat8x8<f16, B>;
alias UnitSums = coop_mat8x8<f32, C>;

alias Left = array<UnitLeft, 4>;
alias Right = array<UnitRight, 4>;
alias Sums = array<UnitSums, 4>;

#include "matrix_staging"

fn begin_matrices(lane: u32) {}

// Vec4s from a piece's first row to its ninth are 8 strides, from its first column to its ninth 2.
fn left(at: u32, stride: u32) -> Left {
    return Left(
        coopLoadT<UnitLeft>(&halves[at], stride),
        coopLoadT<UnitLeft>(&halves[at + 2], stride),
        coopLoadT<UnitLeft>(&halves[at + 8 * stride], stride),
        coopLoadT<UnitLeft>(&halves[at + 8 * stride + 2], stride),
    );
}

fn right(at: u32, stride: u32) -> Right {
    return Right(
        coopLoadT<UnitRight>(&halves[at], stride),
        coopLoadT<UnitRight>(&halves[at + 2], stride),
        coopLoadT<UnitRight>(&halves[at + 8 * stride], stride),
        coopLoadT<UnitRight>(&halves[at + 8 * stride + 2], stride),
    );
}

fn left_transposed(at: u32, stride: u32) -> Left {
    return Left(
        coopLoad<UnitLeft>(&halves[at], stride),
        coopLoad<UnitLeft>(&halves[at + 8 * stride], stride),
        coopLoad<UnitLeft>(&halves[at + 2], stride),
        coopLoad<UnitLeft>(&halves[at + 8 * stride + 2], stride),
    );
}

fn right_transposed(at: u32, stride: u32) -> Right {
    return Right(
        coopLoad<UnitRight>(&halves[at], stride),
        coopLoad<UnitRight>(&halves[at + 8 * stride], stride),
        coopLoad<UnitRight>(&halves[at + 2], stride),
        coopLoad<UnitRight>(&halves[at + 8 * stride + 2], stride),
    );
}

fn multiply_add(a: Left, b: Right, sums: Sums) -> Sums {
    return Sums(
        coopMultiplyAdd(a[1], b[2], coopMultiplyAdd(a[0], b[0], sums[0])),
        coopMultiplyAdd(a[1], b[3], coopMultiplyAdd(a[0], b[1], sums[1])),
        coopMultiplyAdd(a[3], b[2], coopMultiplyAdd(a[2], b[0], sums[2])),
        coopMultiplyAdd(a[3], b[3], coopMultiplyAdd(a[2], b[1], sums[3])),
    );
}

fn keep(sums: Sums, at: u32, stride: u32) {
    let low_low = sums[0];
    let low_high = sums[1];
    let high_low = sums[2];
    let high_high = sums[3];
    let high = at + 8 * stride;
    coopStoreT(low_low, &reals[at], stride);
    coopStoreT(low_high, &reals[at + 2], stride);
    coopStoreT(high_low, &reals[high], stride);
    coopStoreT(high_high, &reals[high + 2], stride);
}
