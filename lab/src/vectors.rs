//! Vectors from hidden states, and their similarity.

use crate::Error;
use crate::error::{check_feature, finite, not_empty, same_length};

/// The mean of the token states whose mask is set, `[width]`.
///
/// `states` is row-major `[tokens, width]`, in f32 or f64; `mask` is `[tokens]` and false for padding and other tokens
/// that don't count.
///
/// # Errors
/// [`Error::Empty`] without a token whose mask is set; [`Error::Shape`]; [`Error::Lengths`];
/// [`Error::Feature`] for a state that counts, its token being the row.
pub fn mean_pool<T: Copy + Into<f64>>(
    states: &[T],
    width: usize,
    mask: &[bool],
) -> Result<Vec<f64>, Error> {
    if width == 0 || !states.len().is_multiple_of(width) {
        return Err(Error::Shape { elements: states.len(), width });
    }
    same_length(("token states", states.len() / width), ("entries of the mask", mask.len()))?;
    let mut sum = vec![0.0; width];
    let mut count = 0.0;
    for (row, state) in states.chunks_exact(width).enumerate().filter(|&(row, _)| mask[row]) {
        count += 1.0;
        for (column, (sum, &value)) in sum.iter_mut().zip(state).enumerate() {
            let value = value.into();
            check_feature(row, column, value)?;
            *sum += value;
        }
    }
    if count == 0.0 {
        return Err(Error::Empty { what: "tokens whose mask is set" });
    }
    sum.iter_mut().for_each(|sum| *sum /= count);
    Ok(sum)
}

/// The vector scaled to a Euclidean length of 1. A vector of zeros is unchanged, as in scikit-learn's `normalize`.
///
/// # Errors
/// [`Error::NotFinite`].
pub fn l2_normalized(vector: &[f64]) -> Result<Vec<f64>, Error> {
    finite(vector, "element")?;
    Ok(normalized(vector))
}

fn normalized(vector: &[f64]) -> Vec<f64> {
    let largest = vector.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return vector.to_vec();
    }
    // Squares of numbers that are at most 1 don't overflow.
    let scaled: Vec<f64> = vector.iter().map(|x| x / largest).collect();
    let length = scaled.iter().map(|x| x * x).sum::<f64>().sqrt();
    scaled.into_iter().map(|x| x / length).collect()
}

/// The cosine of two vectors, -1 to 1; 0 if one of them is all zeros, as in scikit-learn's
/// `cosine_similarity`.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`]; [`Error::NotFinite`].
pub fn cosine(left: &[f64], right: &[f64]) -> Result<f64, Error> {
    let what = "elements of a vector";
    same_length((what, left.len()), ("of the other", right.len()))?;
    not_empty(left, what)?;
    finite(left, "element")?;
    finite(right, "element")?;
    let products = normalized(left).into_iter().zip(normalized(right)).map(|(a, b)| a * b);
    Ok(products.sum::<f64>().clamp(-1.0, 1.0))
}
