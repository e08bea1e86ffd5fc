//! Arithmetic on the CPU: the number types of a run, building blocks of vector code, and products of matrices.

pub(crate) mod gemm;
mod half;
mod real;
pub(crate) mod vector;

pub use real::Real;
