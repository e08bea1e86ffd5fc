//! The fast CPU path of the NITP loss.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Nitp, SHORTEST_SQUARED};
use crate::config::NitpLoss;
use crate::numeric::vector::{ROWS_PER_TASK, dot, exp, max, reduce};
use crate::tensor::OpMemory;

/// Some pairs of one sequence. Slices of outputs that are not requested are empty.
struct Task<'a> {
    p: &'a [f32],
    z: &'a [f32],
    mask: &'a [u32],
    loss: &'a mut [f32],
    dp: &'a mut [f32],
    dz: &'a mut [f32],
}

pub(super) fn run(op: &Nitp, memory: &OpMemory<f32>) {
    let (p, z, mask) = (memory.read(op.p), memory.read(op.z), memory.read_u32(op.mask));
    let mut loss = memory.write(op.loss);
    let (mut dp, mut dz, mut factor): (&mut [f32], &mut [f32], f32) = (&mut [], &mut [], 0.0);
    if let Some(gradient) = op.gradient {
        dp = memory.write(gradient.dp);
        dz = gradient.dz.map(|dz| memory.write(dz)).unwrap_or_default();
        factor = gradient.weight as f32 * memory.read(gradient.scalars)[gradient.index];
    }
    let (width, distance) = (op.width, op.distance());
    let mut tasks = Vec::with_capacity(op.rows * op.pairs().div_ceil(ROWS_PER_TASK));
    for row in 0..op.rows {
        // The predictions of the first `pairs` positions are compared with the targets of the last `pairs` positions.
        take(&mut dz, distance * width).fill(0.0);
        for first in (0..op.pairs()).step_by(ROWS_PER_TASK) {
            let pairs = ROWS_PER_TASK.min(op.pairs() - first);
            let t = row * op.context + first;
            tasks.push(Task {
                p: &p[t * width..][..pairs * width],
                z: &z[(t + distance) * width..][..pairs * width],
                mask: &mask[t..][..pairs],
                loss: take(&mut loss, pairs),
                dp: take(&mut dp, pairs * width),
                dz: take(&mut dz, pairs * width),
            });
        }
        take(&mut loss, distance).fill(0.0);
        take(&mut dp, distance * width).fill(0.0);
    }
    tasks.into_par_iter().for_each(|task| compare_rows(op.kind, task, factor, width));
}

/// Splits off the first `len` elements; an empty slice for an output that is not requested.
fn take<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let len = len.min(rest.len());
    rest.split_off_mut(..len).expect("no longer than what is left")
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn compare_rows(kind: NitpLoss, task: Task, factor: f32, width: usize) {
    for (t, loss) in task.loss.iter_mut().enumerate() {
        let at = t * width..(t + 1) * width;
        let (p, z) = (&task.p[at.clone()], &task.z[at.clone()]);
        let dp = task.dp.get_mut(at.clone()).unwrap_or_default();
        let dz = task.dz.get_mut(at).unwrap_or_default();
        if task.mask[t] == 0 {
            *loss = 0.0;
            dp.fill(0.0);
            dz.fill(0.0);
            continue;
        }
        *loss = match kind {
            NitpLoss::Cosine => cosine(p, z, factor, dp, dz),
            NitpLoss::Mse => {
                let slope = |e: f32| 2.0 * e;
                mean(p, z, factor, dp, dz, |e| e * e, slope)
            }
            NitpLoss::SmoothL1 => {
                let clamp = |e: f32| e.clamp(-1.0, 1.0);
                // e²/2 for |e| <= 1, else |e| - 1/2.
                mean(p, z, factor, dp, dz, |e| clamp(e) * (e - 0.5 * clamp(e)), clamp)
            }
            NitpLoss::Kl => divergence(p, z, factor, dp, dz),
        };
    }
}

#[inline(always)]
fn cosine(p: &[f32], z: &[f32], factor: f32, dp: &mut [f32], dz: &mut [f32]) -> f32 {
    let inverse = |squares: f32| {
        if squares > SHORTEST_SQUARED as f32 { 1.0 / squares.sqrt() } else { 0.0 }
    };
    let (p_inverse, z_inverse) = (inverse(dot(p, p)), inverse(dot(z, z)));
    let both = p_inverse * z_inverse;
    let c = dot(p, z) * both;
    let (of_p, of_z) = (factor * c * p_inverse * p_inverse, factor * both);
    for ((dp, &p), &z) in dp.iter_mut().zip(p).zip(z) {
        *dp = of_p * p - of_z * z;
    }
    let (of_z, of_p) = (factor * c * z_inverse * z_inverse, factor * both);
    for ((dz, &p), &z) in dz.iter_mut().zip(p).zip(z) {
        *dz = of_z * z - of_p * p;
    }
    1.0 - c
}

/// The mean of `value(p - z)` over the width, and its gradient from the derivative `slope`.
#[inline(always)]
fn mean(
    p: &[f32],
    z: &[f32],
    factor: f32,
    dp: &mut [f32],
    dz: &mut [f32],
    value: impl Fn(f32) -> f32,
    slope: impl Fn(f32) -> f32,
) -> f32 {
    let per_element = factor / p.len() as f32;
    for ((dp, &p), &z) in dp.iter_mut().zip(p).zip(z) {
        *dp = per_element * slope(p - z);
    }
    for ((dz, &p), &z) in dz.iter_mut().zip(p).zip(z) {
        *dz = per_element * slope(z - p);
    }
    reduce(p, z, |p, z| value(p - z)) / p.len() as f32
}

/// KL divergence of `s = softmax(p)` from `q = softmax(z)`, in terms of `ln(s / q)`: see [`Nitp`].
#[inline(always)]
fn divergence(p: &[f32], z: &[f32], factor: f32, dp: &mut [f32], dz: &mut [f32]) -> f32 {
    let (p_max, z_max) = (max(p), max(z));
    let total = |x: &[f32], largest: f32| reduce(x, x, |x, _| exp(x - largest));
    let (p_sum, z_sum) = (total(p, p_max), total(z, z_max));
    let (p_log, z_log) = (p_max + p_sum.ln(), z_max + z_sum.ln());
    // ln s - ln q = p - z - offset
    let offset = p_max - z_max + (p_sum / z_sum).ln();
    let both = |p: f32, z: f32| differences(exp(p - p_log), exp(z - z_log), p - z - offset);
    let divergence = reduce(p, z, |p, z| both(p, z).1);
    for ((dp, &p), &z) in dp.iter_mut().zip(p).zip(z) {
        *dp = factor * both(p, z).0;
    }
    for ((dz, &p), &z) in dz.iter_mut().zip(p).zip(z) {
        *dz = factor * exp(z - z_log) * (z - p + offset - divergence);
    }
    divergence
}

/// `s - q` and `s - q - q r` with `r = ln s - ln q`. For close `s` and `q` they are computed from `r`, which avoids
/// cancellation.
#[inline(always)]
fn differences(s: f32, q: f32, ratio: f32) -> (f32, f32) {
    let term = q * excess(ratio);
    let near = ratio.abs() < 1.0;
    (if near { q * ratio + term } else { s - q }, if near { term } else { s - q - q * ratio })
}

/// `e^x - 1 - x` for `x` in ±1, to about 2 units in the last place: its series up to `x¹⁰`.
#[inline(always)]
fn excess(x: f32) -> f32 {
    let tail = 1.0 + x * (1.0 / 10.0);
    let tail = 1.0 + x * (1.0 / 9.0) * tail;
    let tail = 1.0 + x * (1.0 / 8.0) * tail;
    let tail = 1.0 + x * (1.0 / 7.0) * tail;
    let tail = 1.0 + x * (1.0 / 6.0) * tail;
    let tail = 1.0 + x * (1.0 / 5.0) * tail;
    let tail = 1.0 + x * (1.0 / 4.0) * tail;
    let tail = 1.0 + x * (1.0 / 3.0) * tail;
    0.5 * x * x * tail
}

#[cfg(test)]
mod tests {
    use super::excess;

    #[test]
    fn excess_is_within_two_units_in_the_last_place() {
        for i in -1000..=1000 {
            let x = i as f32 * 0.001;
            let exact = f64::from(x).exp_m1() - f64::from(x);
            let error = (f64::from(excess(x)) - exact).abs();
            assert!(error <= 2.5e-7 * exact, "of {x}: error {error:e}");
        }
    }
}
