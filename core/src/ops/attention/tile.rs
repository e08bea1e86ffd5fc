//! The register tile that computes all five products of attention, near the machine's peak of multiply-adds.

/// Queries of a strip. Keys and features are padded to multiples of it.
pub(super) const LANES: usize = 16;

/// Rows of results of a [`tile`].
pub(super) const ROWS: usize = 8;

/// Values of the 16 queries of a strip at one key or feature.
pub(super) type Lane = [f32; LANES];

/// The broadcast factor of a [`tile`]: element (r, p) is `x[r * row + p * step]`.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    pub x: &'a [f32],
    pub row: usize,
    pub step: usize,
}

/// `c[r][..] (+)= Σ_p a(r, p) b[p][..]`: [`ROWS`] rows of 16. Row p of `b` starts at `p * b_row`, row r
/// of `c` at `r * c_row`.
#[inline(always)]
pub(super) fn tile<M: MultiplyAdd>(
    depth: usize,
    a: Factor<'_>,
    b: &[f32],
    b_row: usize,
    c: &mut [f32],
    c_row: usize,
    accumulate: bool,
) {
    if M::ROWS == ROWS {
        block::<M, ROWS>(depth, a, b, b_row, c, c_row, accumulate);
    } else {
        const HALF: usize = ROWS / 2;
        let below = Factor { x: &a.x[HALF * a.row..], ..a };
        block::<M, HALF>(depth, a, b, b_row, c, c_row, accumulate);
        block::<M, HALF>(depth, below, b, b_row, &mut c[HALF * c_row..], c_row, accumulate);
    }
}

/// Some rows of a [`tile`], summed over `depth` in registers.
#[inline(always)]
fn block<M: MultiplyAdd, const HEIGHT: usize>(
    depth: usize,
    a: Factor<'_>,
    b: &[f32],
    b_row: usize,
    c: &mut [f32],
    c_row: usize,
    accumulate: bool,
) {
    assert!(depth > 0);
    assert!((HEIGHT - 1) * a.row + (depth - 1) * a.step < a.x.len());
    assert!((depth - 1) * b_row + LANES <= b.len());
    assert!((HEIGHT - 1) * c_row + LANES <= c.len());
    let mut sums = [[0.0; LANES]; HEIGHT];
    for p in 0..depth {
        // SAFETY: within `b` by the second assertion; an array of f32 is aligned like an f32.
        let right = unsafe { *b.as_ptr().add(p * b_row).cast::<Lane>() };
        for r in 0..HEIGHT {
            // SAFETY: within `a.x` by the first assertion.
            let left = unsafe { *a.x.get_unchecked(r * a.row + p * a.step) };
            sums[r] = M::multiply_add(left, right, sums[r]);
        }
    }
    for r in 0..HEIGHT {
        let to = &mut c[r * c_row..][..LANES];
        for lane in 0..LANES {
            to[lane] = if accumulate { to[lane] + sums[r][lane] } else { sums[r][lane] };
        }
    }
}

/// `left * right + sum` with a machine's instructions. Operands are passed by value, so that the optimiser keeps whole
/// vectors in registers.
pub(super) trait MultiplyAdd {
    /// Rows that are summed at a time: enough independent vectors to hide the latency of a multiply-add.
    const ROWS: usize;
    fn multiply_add(left: f32, right: Lane, sum: Lane) -> Lane;
}

/// Fused multiply-adds, with all 16 lanes in one register.
pub(super) struct Wide;

/// Fused multiply-adds, with 16 lanes in several registers.
pub(super) struct Fused;

/// A product followed by a sum.
pub(super) struct Plain;

impl MultiplyAdd for Wide {
    const ROWS: usize = 8;

    /// With the instruction's intrinsic: from plain code, the optimiser vectorises over the 8 rows instead of the
    /// lanes.
    #[inline(always)]
    fn multiply_add(left: f32, right: Lane, sum: Lane) -> Lane {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this type is used only with AVX-512; `Lane` and a vector have the same layout.
        unsafe {
            use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_set1_ps};
            let vector = |lane: Lane| std::mem::transmute::<Lane, __m512>(lane);
            let sum = _mm512_fmadd_ps(_mm512_set1_ps(left), vector(right), vector(sum));
            std::mem::transmute::<__m512, Lane>(sum)
        }
        #[cfg(not(target_arch = "x86_64"))]
        Fused::multiply_add(left, right, sum)
    }
}

impl MultiplyAdd for Fused {
    const ROWS: usize = 4;

    #[inline(always)]
    fn multiply_add(left: f32, right: Lane, mut sum: Lane) -> Lane {
        for lane in 0..LANES {
            sum[lane] = left.mul_add(right[lane], sum[lane]);
        }
        sum
    }
}

impl MultiplyAdd for Plain {
    const ROWS: usize = 4;

    #[inline(always)]
    fn multiply_add(left: f32, right: Lane, mut sum: Lane) -> Lane {
        for lane in 0..LANES {
            sum[lane] += left * right[lane];
        }
        sum
    }
}
