//! Matrix products: the `gemm` crate on each thread, and how threads share a product.
//!
//! A product is cut into one rectangle of results a thread, rather than left to the crate's own
//! threading: that is faster at the shapes of small models (bench/README.md), and how a sum is
//! rounded does not depend on the number of threads.

use rayon::prelude::*;

/// A factor of a product: element (i, j) is `x[i * row + j * column]`.
#[derive(Clone, Copy)]
pub(crate) struct Factor<'a> {
    pub x: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl Factor<'_> {
    fn check(&self, rows: usize, columns: usize) {
        let reach = match (rows, columns) {
            (0, _) | (_, 0) => 0,
            _ => (rows - 1) * self.row + (columns - 1) * self.column + 1,
        };
        assert!(self.x.len() >= reach);
    }
}

/// `c [m, n] = a b`, or `c += a b`, on this thread; `size` is (m, n, k).
pub(crate) fn multiply(
    a: Factor<'_>,
    b: Factor<'_>,
    c: &mut [f32],
    size: (usize, usize, usize),
    accumulate: bool,
) {
    let (m, n, _) = size;
    // SAFETY: no one else has `c`.
    unsafe { Product::new(a, b, c, size, accumulate).run(0..m, 0..n) };
}

/// [`multiply`] on all threads.
pub(crate) fn multiply_together(
    a: Factor<'_>,
    b: Factor<'_>,
    c: &mut [f32],
    size: (usize, usize, usize),
    accumulate: bool,
) {
    let (m, n, k) = size;
    let product = Product::new(a, b, c, size, accumulate);
    let grid = Grid::new(m, n, k, rayon::current_num_threads());
    let parts = grid.rows * grid.columns;
    (0..parts).into_par_iter().with_max_len(1).for_each(|part| {
        let (rows, columns) = grid.part(part);
        // SAFETY: no one else has `c`, and parts do not overlap.
        unsafe { product.run(rows, columns) };
    });
}

type Range = std::ops::Range<usize>;

/// Equal rectangles of results, at whole blocks of the crate's kernels.
struct Grid {
    m: usize,
    n: usize,
    rows: usize,
    columns: usize,
}

impl Grid {
    /// Multiply-adds that pay for a thread.
    const LEAST_WORK: usize = 1 << 18;

    /// Results of a part. Up to 64 rows and columns, the crate cuts long sums elsewhere.
    const LEAST_RESULTS: usize = 64 * 64 + 1;

    /// Extents of parts are multiples of these: of the kernels' blocks, or close.
    const ROW_STEP: usize = 12;
    const COLUMN_STEP: usize = 32;

    fn new(m: usize, n: usize, k: usize, threads: usize) -> Self {
        let most = (m * n / Self::LEAST_RESULTS).min(m * n * k / Self::LEAST_WORK);
        let parts = threads.min(most).max(1);
        // The least to read and pack: parts as square as can be.
        let grids = (1..=parts).filter(|rows| parts.is_multiple_of(*rows));
        let rows = grids
            .min_by_key(|&rows| m.div_ceil(rows) + n.div_ceil(parts / rows))
            .expect("1 divides everything");
        Self { m, n, rows, columns: parts / rows }
    }

    fn part(&self, index: usize) -> (Range, Range) {
        let cut = |len: usize, parts: usize, index: usize, step: usize| {
            let extent = len.div_ceil(parts).next_multiple_of(step);
            (index * extent).min(len)..((index + 1) * extent).min(len)
        };
        (
            cut(self.m, self.rows, index / self.columns, Self::ROW_STEP),
            cut(self.n, self.columns, index % self.columns, Self::COLUMN_STEP),
        )
    }
}

/// A checked product; its parts may run at the same time.
struct Product<'a> {
    a: Factor<'a>,
    b: Factor<'a>,
    c: *mut f32,
    n: usize,
    k: usize,
    accumulate: bool,
}

// SAFETY: `run` leaves it to its callers that no two threads write the same results.
unsafe impl Sync for Product<'_> {}

impl<'a> Product<'a> {
    fn new(
        a: Factor<'a>,
        b: Factor<'a>,
        c: &'a mut [f32],
        (m, n, k): (usize, usize, usize),
        accumulate: bool,
    ) -> Self {
        a.check(m, k);
        b.check(k, n);
        assert!(c.len() >= m * n);
        Self { a, b, c: c.as_mut_ptr(), n, k, accumulate }
    }

    /// Computes a rectangle of results, which lies within the product.
    ///
    /// # Safety
    /// No one else may touch these results meanwhile.
    unsafe fn run(&self, rows: Range, columns: Range) {
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let Self { a, b, c, n, k, accumulate } = self;
        // SAFETY: `new` has checked that the strides stay within the slices for every row and
        // column, and no one else touches these results.
        unsafe {
            gemm::gemm(
                rows.len(),
                columns.len(),
                *k,
                c.add(rows.start * n + columns.start),
                1,
                *n as isize,
                *accumulate,
                a.x.as_ptr().add(rows.start * a.row),
                a.column as isize,
                a.row as isize,
                b.x.as_ptr().add(columns.start * b.column),
                b.column as isize,
                b.row as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}
