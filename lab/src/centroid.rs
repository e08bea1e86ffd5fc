//! Nearest-centroid classifier: predicts the class whose mean is closest to a row. It has no settings and no
//! iterations, so it measures how well classes are separated without fitting.

use std::collections::BTreeMap;

use nalgebra::DMatrix;

use crate::error::{not_empty, same_length};
use crate::{Error, Features};

/// The mean of each class; `NearestCentroid()` of scikit-learn.
#[derive(Clone, Debug, PartialEq)]
pub struct Centroids {
    classes: Vec<usize>,
    /// `[classes, width]`
    means: DMatrix<f64>,
}

/// The centroids of rows by their class ids.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`]; [`Error::OneClass`].
pub fn fit(features: &Features, labels: &[usize]) -> Result<Centroids, Error> {
    not_empty(labels, "labels")?;
    same_length(("rows", features.rows()), ("labels", labels.len()))?;
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for &label in labels {
        *counts.entry(label).or_default() += 1;
    }
    let classes: Vec<usize> = counts.keys().copied().collect();
    if classes.len() == 1 {
        return Err(Error::OneClass { class: classes[0].to_string(), count: labels.len() });
    }
    let place = |label| classes.binary_search(label).expect("classes has each label");
    let places: Vec<usize> = labels.iter().map(place).collect();
    Ok(Centroids { means: means(features, &places, classes.len()), classes })
}

impl Centroids {
    /// The class ids, ascending.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The class id of the centroid closest to each row, in Euclidean distance; ties by the smallest id.
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn predict(&self, features: &Features) -> Result<Vec<usize>, Error> {
        features.same_width(self.means.ncols())?;
        Ok(nearest(features, &self.means).into_iter().map(|place| self.classes[place]).collect())
    }
}

/// The means of the rows of each of `count` classes, `[count, width]`; 0 for a class without rows.
pub(crate) fn means(features: &Features, places: &[usize], count: usize) -> DMatrix<f64> {
    let mut rows_at = vec![0.0; count];
    for &place in places {
        rows_at[place] += 1.0;
    }
    let mut shares = DMatrix::zeros(count, places.len());
    for (row, &place) in places.iter().enumerate() {
        shares[(place, row)] = 1.0 / rows_at[place];
    }
    features.combined(&shares)
}

/// The index of the center, of `[centers, width]`, that is closest to each row; ties by the first.
pub(crate) fn nearest(features: &Features, centers: &DMatrix<f64>) -> Vec<usize> {
    // |x - c|² = |x - o|² - 2 (x - o)·(c - o) + |c - o|² for any o. The first term is the same for
    // all centers. With their mean as o, rows far from 0 lose few digits to rounding.
    let origin = centers.row_mean();
    let mut offsets = centers.clone();
    offsets.row_iter_mut().for_each(|mut offset| offset -= &origin);
    let constants: Vec<f64> = offsets
        .row_iter()
        .map(|offset| offset.norm_squared() + 2.0 * offset.dot(&origin))
        .collect();
    let products = features.weighted(&offsets.as_view());
    let closest = products.column_iter().map(|products| {
        let distances = products.iter().zip(&constants).map(|(product, it)| it - 2.0 * product);
        distances.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
    });
    closest.map(|index| index.expect("there is a center")).collect()
}
