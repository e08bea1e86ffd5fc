//! Rows of features, dense or sparse, and the two products for fitting.

use nalgebra::{DMatrix, DMatrixView, Dyn};

use crate::Error;
use crate::error::check_feature;

/// `rows` rows of `width` features, all of them numbers from -1e100 to 1e100.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    width: usize,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Row-major.
    Dense(Vec<f64>),
    /// Columns and values of the rows one after the other; row `r` is at `starts[r]..starts[r + 1]`.
    Sparse { starts: Vec<usize>, columns: Vec<usize>, values: Vec<f64> },
}

impl Features {
    /// Dense rows: `values` is row-major `[rows, width]`, in f32 or f64.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::Shape`]; [`Error::Feature`].
    pub fn dense<T: Copy + Into<f64>>(values: &[T], width: usize) -> Result<Self, Error> {
        if values.is_empty() {
            return Err(Error::Empty { what: "rows" });
        }
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Error::Shape { elements: values.len(), width });
        }
        let values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
        for (at, &value) in values.iter().enumerate() {
            check_feature(at / width, at % width, value)?;
        }
        Ok(Self { width, kind: Kind::Dense(values) })
    }

    /// Sparse rows: each lists its columns, ascending, with their values; all else is 0.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::Column`]; [`Error::Feature`].
    pub fn sparse<R>(rows: impl IntoIterator<Item = R>, width: usize) -> Result<Self, Error>
    where
        R: IntoIterator<Item = (usize, f64)>,
    {
        let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for (row, entries) in rows.into_iter().enumerate() {
            let mut least = 0;
            for (column, value) in entries {
                if !(least..width).contains(&column) {
                    return Err(Error::Column { row, column, least, width });
                }
                check_feature(row, column, value)?;
                least = column + 1;
                columns.push(column);
                values.push(value);
            }
            starts.push(columns.len());
        }
        if starts.len() == 1 {
            return Err(Error::Empty { what: "rows" });
        }
        Ok(Self { width, kind: Kind::Sparse { starts, columns, values } })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match &self.kind {
            Kind::Dense(values) => values.len() / self.width,
            Kind::Sparse { starts, .. } => starts.len() - 1,
        }
    }

    /// How many features a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows of these indices, in their order: one side of a split.
    ///
    /// # Errors
    /// [`Error::Empty`].
    ///
    /// # Panics
    /// If an index is not below [`Features::rows`].
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        if rows.is_empty() {
            return Err(Error::Empty { what: "rows" });
        }
        let kind = match &self.kind {
            Kind::Dense(values) => {
                let row = |&row: &usize| &values[row * self.width..(row + 1) * self.width];
                Kind::Dense(rows.iter().flat_map(row).copied().collect())
            }
            Kind::Sparse { starts, columns, values } => {
                let ranges = || rows.iter().map(|&row| starts[row]..starts[row + 1]);
                let ends = ranges().scan(0, |end, range| {
                    *end += range.len();
                    Some(*end)
                });
                Kind::Sparse {
                    starts: std::iter::once(0).chain(ends).collect(),
                    columns: ranges().flat_map(|range| &columns[range]).copied().collect(),
                    values: ranges().flat_map(|range| &values[range]).copied().collect(),
                }
            }
        };
        Ok(Self { width: self.width, kind })
    }

    /// The entries of a row, as column and value, columns ascending; of a dense row, all of them.
    ///
    /// # Panics
    /// If `row` is not below [`Features::rows`].
    pub fn row(&self, row: usize) -> Box<dyn Iterator<Item = (usize, f64)> + '_> {
        match &self.kind {
            Kind::Dense(values) => {
                let values = &values[row * self.width..(row + 1) * self.width];
                Box::new(values.iter().copied().enumerate())
            }
            Kind::Sparse { starts, columns, values } => {
                let range = starts[row]..starts[row + 1];
                let columns = columns[range.clone()].iter();
                Box::new(columns.zip(&values[range]).map(|(&column, &value)| (column, value)))
            }
        }
    }

    /// `weights · rowᵀ` for each row: `weights` is `[outputs, width]`, the result `[outputs, rows]`.
    pub(crate) fn weighted(&self, weights: &DMatrixView<'_, f64>) -> DMatrix<f64> {
        match &self.kind {
            // Row-major rows are the columns of a column-major matrix.
            Kind::Dense(values) => {
                weights * DMatrixView::from_slice(values, self.width, self.rows())
            }
            Kind::Sparse { .. } => {
                let mut result = DMatrix::zeros(weights.nrows(), self.rows());
                for (row, mut outputs) in result.column_iter_mut().enumerate() {
                    for (column, value) in self.row(row) {
                        outputs.axpy(value, &weights.column(column), 1.0);
                    }
                }
                result
            }
        }
    }

    /// The sum over rows of `factors · row`: `factors` is `[outputs, rows]`, the result
    /// `[outputs, width]`.
    pub(crate) fn combined(&self, factors: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.kind {
            Kind::Dense(values) => {
                let (rows, width) = (Dyn(self.rows()), Dyn(self.width));
                let strides = (Dyn(self.width), Dyn(1));
                factors
                    * DMatrixView::from_slice_with_strides_generic(
                        values, rows, width, strides.0, strides.1,
                    )
            }
            Kind::Sparse { .. } => {
                let mut result = DMatrix::zeros(factors.nrows(), self.width);
                for (row, factors) in factors.column_iter().enumerate() {
                    for (column, value) in self.row(row) {
                        result.column_mut(column).axpy(value, &factors, 1.0);
                    }
                }
                result
            }
        }
    }

    /// Checks that these rows have the width of the fitted rows.
    pub(crate) fn same_width(&self, expected: usize) -> Result<(), Error> {
        if self.width == expected {
            return Ok(());
        }
        Err(Error::Width { expected, found: self.width })
    }
}
