//! Rounding to f16.

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Rounds to f16: to the nearest, ties to even, to infinity beyond 65,520.
pub(super) fn round(x: &mut [f32]) {
    /// Elements of a task: enough to pay for its overhead.
    const TASK: usize = 1 << 14;
    /// Elements that are converted at a time: their halves stay in the first-level cache.
    const BLOCK: usize = 1 << 10;
    x.par_chunks_mut(TASK).for_each(|x| {
        let mut halves = [f16::ZERO; BLOCK];
        for x in x.chunks_mut(BLOCK) {
            let halves = &mut halves[..x.len()];
            halves.convert_from_f32_slice(x);
            halves.convert_to_f32_slice(x);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_as_f16_does() {
        let exact = [0.0, 1.0, -1.5, 65504.0, 2f32.powi(-24), 2f32.powi(-14), f32::INFINITY];
        // Pairs of a number and its rounded value: ties to even, subnormals, overflow and underflow.
        let pairs = [
            (1.0 + 2f32.powi(-11), 1.0),
            (1.0 + 3.0 * 2f32.powi(-11), 1.0 + 2f32.powi(-9)),
            (1.0 + 2f32.powi(-11) + 2f32.powi(-20), 1.0 + 2f32.powi(-10)),
            (2049.0, 2048.0),
            (2051.0, 2052.0),
            (65519.0, 65504.0),
            (65520.0, f32::INFINITY),
            (-1e30, f32::NEG_INFINITY),
            (2f32.powi(-25), 0.0),
            (1.5 * 2f32.powi(-25), 2f32.powi(-24)),
            (2.5 * 2f32.powi(-24), 2.0 * 2f32.powi(-24)),
        ];
        let (mut x, expected): (Vec<f32>, Vec<f32>) =
            pairs.into_iter().chain(exact.map(|x| (x, x))).unzip();
        round(&mut x);
        assert_eq!(x, expected);
        let mut nan = [f32::NAN];
        round(&mut nan);
        assert!(nan[0].is_nan());
    }

    #[test]
    fn every_element_of_a_long_slice_is_rounded() {
        let mut x: Vec<f32> = (0..70_001).map(|i| i as f32 * 0.37).collect();
        let expected: Vec<f32> = x.iter().map(|&x| f16::from_f32(x).to_f32()).collect();
        round(&mut x);
        assert_eq!(x, expected);
    }
}
