//! Alignment of projected clouds over time: principal axes have no sign, and axes with nearly equal variances rotate
//! freely.

use nalgebra::{Matrix3, Vector3};

/// Turns (and mirrors) `points` about the origin to where they lie nearest to `reference`, the
/// same points at another time: the orthogonal Procrustes problem (Schönemann 1966). Distances
/// between points stay as they are.
///
/// # Panics
/// If there are not as many points as reference points.
pub fn align(points: &mut [[f32; 3]], reference: &[[f32; 3]]) {
    assert_eq!(points.len(), reference.len(), "the same points at another time");
    let mut product = Matrix3::<f64>::zeros();
    for (p, q) in points.iter().zip(reference) {
        for i in 0..3 {
            for j in 0..3 {
                product[(i, j)] += f64::from(p[i]) * f64::from(q[j]);
            }
        }
    }
    let svd = product.svd(true, true);
    let (Some(u), Some(v_t)) = (svd.u, svd.v_t) else { return };
    let rotation = u * v_t;
    for p in points {
        let turned = rotation.tr_mul(&Vector3::from(p.map(f64::from)));
        *p = [turned[0] as f32, turned[1] as f32, turned[2] as f32];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud() -> Vec<[f32; 3]> {
        (0..40).map(|i| [0, 1, 2].map(|k| ((i * (k + 3)) as f32 * 0.77 + k as f32).sin())).collect()
    }

    #[test]
    fn flipped_and_swapped_axes_come_back() {
        let reference = cloud();
        let mut points: Vec<_> = reference.iter().map(|&[x, y, z]| [-y, x, -z]).collect();
        align(&mut points, &reference);
        for (p, q) in points.iter().flatten().zip(reference.iter().flatten()) {
            assert!((p - q).abs() < 1e-5);
        }
    }

    #[test]
    fn distances_stay() {
        let before = cloud();
        let mut points = before.clone();
        align(&mut points, &before.iter().rev().copied().collect::<Vec<_>>());
        let length = |p: &[f32; 3]| p.iter().map(|x| x * x).sum::<f32>();
        for (p, q) in points.iter().zip(&before) {
            assert!((length(p) - length(q)).abs() < 1e-4);
        }
    }
}
