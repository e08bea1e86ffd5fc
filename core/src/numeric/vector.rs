//! Building blocks of the fast paths. Inlined into functions under `#[multiversion]`, they compile to the machine's
//! widest vectors. The number of lanes is fixed, so results depend on the machine only by fused multiply-adds.

/// Partial sums that run side by side.
const LANES: usize = 16;

/// Rows of a task: enough to pay for its overhead, and independent of the number of threads.
pub const ROWS_PER_TASK: usize = 16;

/// `Σ f(a_i, b_i)` in [`LANES`] partial sums.
#[inline(always)]
pub fn reduce(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 =
        a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&x, &y)| f(x, y)).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f(x[lane], y[lane]);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// `Σ a_i b_i`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    reduce(a, b, |x, y| x * y)
}

/// `Σ a_i`.
#[inline(always)]
pub fn sum(a: &[f32]) -> f32 {
    reduce(a, a, |x, _| x)
}

/// The largest element; `-inf` for none.
#[inline(always)]
pub fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let tail = chunks.remainder().iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
    for x in chunks {
        for lane in 0..LANES {
            lanes[lane] = if x[lane] > lanes[lane] { x[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().fold(tail, |m, &x| if x > m { x } else { m })
}

/// `y += scale x`.
#[inline(always)]
pub fn axpy(y: &mut [f32], scale: f32, x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += scale * x;
    }
}

/// 1.5 * 2^23: added to a small number, it leaves its nearest integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// `e^x` to about 2 units in the last place. It calls no function, so that loops over it vectorise.
///
/// `2^n e^r` with `r` in `±ln2/2` and a polynomial for `e^r` (Cephes' coefficients).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons and bit operations instead of casts: Rust's casts from floats to integers saturate, and the checks
    // for that do not vectorise.
    let x = if x < -87.336_54 { -87.336_54 } else { x };
    let x = if x > 88.722_83 { 88.722_83 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // n is in -126..=128: 2^n may exceed the range of the exponent, and its two factors 2^(n/2) do not.
    let n = shifted.to_bits().wrapping_sub(ROUNDER.to_bits()) as i32;
    let half = n >> 1;
    let scale = |e: i32| f32::from_bits((e.wrapping_add(127) << 23) as u32);
    y * scale(half) * scale(n.wrapping_sub(half))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -8700..=8800 {
            let x = i as f32 * 0.01;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}): relative error {error:e}");
        }
        assert!(exp(-1000.0) < 1e-37 && exp(0.0) == 1.0);
    }

    #[test]
    fn reductions_match_plain_sums_at_every_length() {
        for len in 0..70 {
            let a: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..len).map(|i| (i as f32 * 0.3).cos()).collect();
            let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert!((dot(&a, &b) - plain).abs() < 1e-4);
            assert!((sum(&a) - a.iter().sum::<f32>()).abs() < 1e-4);
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
