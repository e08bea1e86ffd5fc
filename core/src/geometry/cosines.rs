//! Cosines of pairs of states, one by one.

/// Cosines of every pair of states `[n, width]`, row-major `[n, n]`; zero states are orthogonal to
/// all but themselves.
///
/// # Panics
/// If `width` is 0 or does not divide the number of elements.
pub fn cosine_matrix(states: &[f32], width: usize) -> Vec<f32> {
    let units = units(states, width);
    let n = units.len() / width;
    let mut cosines = vec![1.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let cosine = dot(&units[i * width..][..width], &units[j * width..][..width]);
            (cosines[i * n + j], cosines[j * n + i]) = (cosine, cosine);
        }
    }
    cosines
}

/// How many pairs of distinct states have a cosine in each of `bins` equal parts of -1 to 1.
///
/// # Panics
/// As [`cosine_matrix`], and for no bins.
pub fn cosine_histogram(states: &[f32], width: usize, bins: usize) -> Vec<u32> {
    let units = units(states, width);
    let n = units.len() / width;
    let mut counts = vec![0; bins];
    for i in 0..n {
        for j in 0..i {
            let cosine = dot(&units[i * width..][..width], &units[j * width..][..width]);
            let bin = (0.5 * (cosine + 1.0) * bins as f32) as usize;
            counts[bin.min(bins - 1)] += 1;
        }
    }
    counts
}

fn units(states: &[f32], width: usize) -> Vec<f32> {
    assert!(width > 0 && states.len().is_multiple_of(width), "states are [n, width]");
    let mut units = states.to_vec();
    for state in units.chunks_exact_mut(width) {
        let norm = dot(state, state).sqrt();
        if norm > 0.0 {
            state.iter_mut().for_each(|x| *x /= norm);
        }
    }
    units
}

/// Eight partial sums, which a compiler can keep in a vector.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (mut sums, tail) = ([0.0f32; 8], a.len() / 8 * 8);
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a[tail..].iter().zip(&b[tail..]).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::mean_cosine;

    #[test]
    fn matrix_and_histogram_agree_with_the_mean() {
        let states: Vec<f32> = (0..90).map(|i| ((i * i) as f32 * 0.41).sin() - 0.1).collect();
        let (width, n) = (9, 10);
        let matrix = cosine_matrix(&states, width);
        let total: f32 = (0..n * n).filter(|i| i / n != i % n).map(|i| matrix[i]).sum();
        let mean = f64::from(total) / (n * (n - 1)) as f64;
        assert!((mean - mean_cosine(&states, width)).abs() < 1e-6);
        let counts = cosine_histogram(&states, width, 4);
        let expected = |bin: usize| {
            let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
            let bin_of = |x: f32| ((0.5 * (x + 1.0) * 4.0) as usize).min(3);
            pairs.filter(|(i, j)| bin_of(matrix[i * n + j]) == bin).count() as u32
        };
        assert_eq!(counts, (0..4).map(expected).collect::<Vec<_>>());
        assert_eq!(counts.iter().sum::<u32>(), 45);
    }

    #[test]
    fn equal_and_zero_states() {
        let states = [3.0, 4.0, 6.0, 8.0, 0.0, 0.0];
        let matrix = cosine_matrix(&states, 2);
        assert!((matrix[1] - 1.0).abs() < 1e-6);
        assert_eq!((matrix[2], matrix[8]), (0.0, 1.0));
        assert_eq!(cosine_histogram(&states, 2, 2), [0, 3]);
    }
}
