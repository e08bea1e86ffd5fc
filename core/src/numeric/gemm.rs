//! Matrix products: the `gemm` crate on each thread, and how threads share a product.
//!
//! Each thread computes one rectangle of the results. The crate's own threading is not used, because this is faster at
//! the shapes of small models (bench/README.md), and because the rounding of a sum must not depend on the number of
//! threads.

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
    // SAFETY: `c` is borrowed exclusively.
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
        // SAFETY: `c` is borrowed exclusively, and parts do not overlap.
        unsafe { product.run(rows, columns) };
    });
}

type Range = std::ops::Range<usize>;

/// Equal rectangles of results. Their edges are at whole blocks of the crate's kernels.
struct Grid {
    m: usize,
    n: usize,
    rows: usize,
    columns: usize,
}

impl Grid {
    /// Least number of multiply-adds that pays for one more thread.
    const LEAST_WORK: usize = 1 << 18;

    /// Up to this number of rows and columns, the crate splits long sums at other places than in larger products.
    const SMALL: usize = 64;

    /// Numbers of rows and columns of a part are multiples of these, which are (nearly) the sizes of the kernels'
    /// blocks.
    const ROW_STEP: usize = 12;
    const COLUMN_STEP: usize = 32;

    fn new(m: usize, n: usize, k: usize, threads: usize) -> Self {
        // In f64: as usize, the product of all three is too large for wasm32.
        let work = m as f64 * n as f64 * k as f64;
        let most = threads.min((work / Self::LEAST_WORK as f64) as usize).max(1);
        let mut grids = (1..=most).rev().map(|parts| Self::of(m, n, parts));
        // In a small part, sums would be split at other places, and results would depend on the number of threads.
        grids.find(|grid| !grid.has_small_parts()).unwrap_or(Self::of(m, n, 1))
    }

    /// A grid of `parts` parts, as square as possible: square parts read and pack the least data.
    fn of(m: usize, n: usize, parts: usize) -> Self {
        let grids = (1..=parts).filter(|rows| parts.is_multiple_of(*rows));
        let rows = grids
            .min_by_key(|&rows| m.div_ceil(rows) + n.div_ceil(parts / rows))
            .expect("1 divides everything");
        Self { m, n, rows, columns: parts / rows }
    }

    fn has_small_parts(&self) -> bool {
        let all = (0..self.rows * self.columns).map(|index| self.part(index));
        let mut real = all.filter(|(rows, columns)| !rows.is_empty() && !columns.is_empty());
        real.any(|(rows, columns)| rows.len() <= Self::SMALL && columns.len() <= Self::SMALL)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_rounded_otherwise_than_the_whole() {
        for (m, n, k) in [(352, 64, 768), (65, 65, 4096), (1024, 688, 256), (130, 30, 9999)] {
            for threads in 1..=12 {
                let grid = Grid::new(m, n, k, threads);
                assert!(!grid.has_small_parts(), "{m}x{n}x{k} on {threads} threads");
                let results = (0..grid.rows * grid.columns).map(|index| {
                    let (rows, columns) = grid.part(index);
                    rows.len() * columns.len()
                });
                assert_eq!(results.sum::<usize>(), m * n);
            }
        }
        // A small product is not divided.
        assert_eq!(Grid::new(64, 64, 1 << 20, 8).rows, 1);
    }
}
