//! The crates behind one face.

use std::num::NonZeroUsize;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensorView;

use crate::shapes::Product;

/// A product over raw memory, so that parts of it can go to several threads.
#[derive(Clone, Copy)]
pub struct Job {
    size: (usize, usize, usize),
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    /// Row and column.
    a_strides: (usize, usize),
    b_strides: (usize, usize),
    c_row: usize,
    accumulate: bool,
}

// SAFETY: `cut` gives each thread its own part of `c`.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    pub fn new(product: &Product, a: &[f32], b: &[f32], c: &mut [f32], accumulate: bool) -> Self {
        let (m, n, k) = product.size;
        assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
        let [a_strides, b_strides] = product.strides();
        Self {
            size: product.size,
            a: a.as_ptr(),
            b: b.as_ptr(),
            c: c.as_mut_ptr(),
            a_strides,
            b_strides,
            c_row: n,
            accumulate,
        }
    }

    /// Rows `first..first + len` of the result.
    fn rows(self, first: usize, len: usize) -> Self {
        let (_, n, k) = self.size;
        // SAFETY: these rows are within the product.
        let (a, c) =
            unsafe { (self.a.add(first * self.a_strides.0), self.c.add(first * self.c_row)) };
        Self { size: (len, n, k), a, c, ..self }
    }

    /// Columns `first..first + len` of the result.
    fn columns(self, first: usize, len: usize) -> Self {
        let (m, _, k) = self.size;
        // SAFETY: these columns are within the product.
        let (b, c) = unsafe { (self.b.add(first * self.b_strides.1), self.c.add(first)) };
        Self { size: (m, len, k), b, c, ..self }
    }
}

/// A crate, and who shares a product among threads.
pub struct Way {
    pub name: &'static str,
    pub run: fn(Job),
}

/// The first one judges the others' results.
pub const WAYS: [Way; 6] = [
    Way { name: "gemm 0.19, cut", run: |job| cut(job, |part| by_gemm(part, false)) },
    Way { name: "gemm", run: |job| by_gemm(job, true) },
    Way { name: "faer 0.24, cut", run: |job| cut(job, |part| by_faer(part, false)) },
    Way { name: "faer", run: |job| by_faer(job, true) },
    Way { name: "matrixmultiply 0.3", run: by_matrixmultiply },
    Way { name: "rten-gemm 0.27", run: by_rten },
];

/// A part for each thread, along the longer side.
fn cut(job: Job, multiply: fn(Job)) {
    let (m, n, _) = job.size;
    let (length, step) = if m >= n { (m, 12) } else { (n, 32) };
    let extent = length.div_ceil(rayon::current_num_threads()).next_multiple_of(step);
    (0..length.div_ceil(extent)).into_par_iter().with_max_len(1).for_each(|part| {
        let first = part * extent;
        let len = extent.min(length - first);
        multiply(if m >= n { job.rows(first, len) } else { job.columns(first, len) });
    });
}

fn by_gemm(job: Job, together: bool) {
    let (m, n, k) = job.size;
    let parallelism = if together { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    let strides = |(row, column): (usize, usize)| (column as isize, row as isize);
    let ((a_column, a_row), (b_column, b_row)) = (strides(job.a_strides), strides(job.b_strides));
    // SAFETY: a job's pointers and strides are of its product.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            job.c,
            1,
            job.c_row as isize,
            job.accumulate,
            job.a,
            a_column,
            a_row,
            job.b,
            b_column,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn by_faer(job: Job, together: bool) {
    let (m, n, k) = job.size;
    let threads = NonZeroUsize::new(rayon::current_num_threads()).expect("a thread");
    let par = if together { Par::Rayon(threads) } else { Par::Seq };
    let accumulate = if job.accumulate { Accum::Add } else { Accum::Replace };
    let strides = |(row, column): (usize, usize)| (row as isize, column as isize);
    let ((a_row, a_column), (b_row, b_column)) = (strides(job.a_strides), strides(job.b_strides));
    // SAFETY: a job's pointers and strides are of its product.
    let (a, b, c) = unsafe {
        (
            MatRef::from_raw_parts(job.a, m, k, a_row, a_column),
            MatRef::from_raw_parts(job.b, k, n, b_row, b_column),
            MatMut::from_raw_parts_mut(job.c, m, n, job.c_row as isize, 1),
        )
    };
    matmul(c, accumulate, a, b, 1.0f32, par);
}

/// On its own threads.
fn by_matrixmultiply(job: Job) {
    let (m, n, k) = job.size;
    let beta = if job.accumulate { 1.0 } else { 0.0 };
    // SAFETY: a job's pointers and strides are of its product.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            job.a,
            job.a_strides.0 as isize,
            job.a_strides.1 as isize,
            job.b,
            job.b_strides.0 as isize,
            job.b_strides.1 as isize,
            beta,
            job.c,
            job.c_row as isize,
            1,
        );
    }
}

/// On Rayon's threads.
fn by_rten(job: Job) {
    // Choosing a kernel costs next to nothing.
    let executor = GemmExecutor::<f32, f32, f32>::default();
    let (m, n, k) = job.size;
    let reach = |rows: usize, columns: usize, (row, column): (usize, usize)| {
        (rows - 1) * row + (columns - 1) * column + 1
    };
    // SAFETY: a job's pointers and strides are of its product, and no one else has these rows.
    let (a, b, c) = unsafe {
        (
            std::slice::from_raw_parts(job.a, reach(m, k, job.a_strides)),
            std::slice::from_raw_parts(job.b, reach(k, n, job.b_strides)),
            std::slice::from_raw_parts_mut(job.c, m * n),
        )
    };
    let strides = |(row, column): (usize, usize)| [row, column];
    let a = NdTensorView::from_data_with_strides([m, k], a, strides(job.a_strides));
    let b = NdTensorView::from_data_with_strides([k, n], b, strides(job.b_strides));
    let options =
        GemmOptions { beta: if job.accumulate { 1.0 } else { 0.0 }, ..GemmOptions::default() };
    executor
        .gemm(
            c,
            GemmInputA::Unpacked(a.expect("strides of the product")),
            GemmInputB::Unpacked(b.expect("strides of the product")),
            options,
        )
        .expect("sizes of the product");
}
