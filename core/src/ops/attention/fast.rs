//! Attention on the CPU: sixteen queries side by side in vector lanes.
//! The scores of a strip of 16 queries are transposed, `[keys, 16]`. The softmax therefore works on whole vectors,
//! without sums across lanes and without remainders. Each of the five products of forward and backward uses one
//! register tile: it broadcasts an element of one factor and multiplies it with 16 elements of the other. Memory in
//! addition to the operands: for each task `context * 16` scores and copies of one head.

use std::marker::PhantomData;

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::tile::{Factor, Fused, LANES, Lane, MultiplyAdd, Plain, ROWS, Wide, tile};
use super::{FirstKeys, Shape};
use crate::numeric::vector::{dot, exp};

/// A tensor that several tasks write, each in ranges of its own.
pub(super) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: the caller of `range` guarantees that no two tasks write the same element.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(x: &'a mut [f32]) -> Self {
        Self { start: x.as_mut_ptr(), len: x.len(), life: PhantomData }
    }

    /// The elements `first..first + len`.
    ///
    /// # Safety
    /// While the result lives, no one else may hold a range that overlaps it.
    #[allow(clippy::mut_from_ref)]
    unsafe fn range(&self, first: usize, len: usize) -> &mut [f32] {
        assert!(first + len <= self.len);
        // SAFETY: within the tensor by the assertion, and exclusive by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
}

/// Results and log-sum-exps of query head `head` in one row of the batch.
///
/// `qkv [context, width]` and `lse [context]` belong to that row; `out` is the whole tensor.
///
/// # Safety
/// No one else may touch the columns of this row and head in `out` meanwhile.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) unsafe fn forward(
    shape: &Shape,
    (row, head): (usize, usize),
    qkv: &[f32],
    first_keys: &FirstKeys<'_>,
    out: &Shared<'_>,
    lse: &mut [f32],
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        if target_cfg_f!(target_feature = "avx512f") {
            forward_tiled::<Wide>(shape, (row, head), qkv, first_keys, out, lse);
        } else if target_cfg_f!(target_feature = "fma") || cfg!(target_arch = "aarch64") {
            forward_tiled::<Fused>(shape, (row, head), qkv, first_keys, out, lse);
        } else {
            forward_tiled::<Plain>(shape, (row, head), qkv, first_keys, out, lse);
        }
    }
}

/// Gradients of key and value head `kv` and of the query heads that read it, in one row.
///
/// `qkv [context, width]`, `out` and `dout [context, q_heads * head_dim]` and
/// `lse [q_heads, context]` belong to that row; `dqkv` is the whole tensor.
///
/// # Safety
/// No one else may touch the columns of this row and these heads in `dqkv` meanwhile.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) unsafe fn backward(
    shape: &Shape,
    (row, kv): (usize, usize),
    (qkv, out, dout, lse): (&[f32], &[f32], &[f32], &[f32]),
    first_keys: &FirstKeys<'_>,
    dqkv: &Shared<'_>,
) {
    let saved = (qkv, out, dout, lse);
    // SAFETY: guaranteed by the caller.
    unsafe {
        if target_cfg_f!(target_feature = "avx512f") {
            backward_tiled::<Wide>(shape, (row, kv), saved, first_keys, dqkv);
        } else if target_cfg_f!(target_feature = "fma") || cfg!(target_arch = "aarch64") {
            backward_tiled::<Fused>(shape, (row, kv), saved, first_keys, dqkv);
        } else {
            backward_tiled::<Plain>(shape, (row, kv), saved, first_keys, dqkv);
        }
    }
}

/// [`forward`] with the multiply-adds of `M`.
#[inline(always)]
unsafe fn forward_tiled<M: MultiplyAdd>(
    shape: &Shape,
    (row, head): (usize, usize),
    qkv: &[f32],
    first_keys: &FirstKeys<'_>,
    out: &Shared<'_>,
    lse: &mut [f32],
) {
    let Shape { context, head_dim, .. } = *shape;
    let (width, padded) = (shape.width(), head_dim.next_multiple_of(LANES));
    let kv = shape.kv_head(head);
    let keys = Rows::copy(qkv, shape.k(kv), width, context, head_dim);
    let values = Rows::copy(qkv, shape.v(kv), width, context, head_dim);
    let mut query = Rows::zeros(LANES, padded);
    let mut queries = vec![[0.0; LANES]; padded]; // [head_dim, query]
    let mut scores = vec![[0.0; LANES]; context.next_multiple_of(LANES)]; // [key, query]
    let mut result = vec![[0.0; LANES]; padded]; // [head_dim, query]
    let mut result_rows = Rows::zeros(LANES, padded);
    for first in (0..context).step_by(LANES) {
        let rows = LANES.min(context - first);
        query.take(qkv, first * width + shape.q(head), width, rows, head_dim, shape.scale());
        transpose(&query.data, &mut queries);
        let seen = Seen::by(first_keys, first, rows);
        let scores = &mut scores[..first + LANES - seen.begin];
        for key in (0..scores.len()).step_by(ROWS) {
            let at = (seen.begin + key) * padded;
            let factor = Factor { x: &keys.data[at..], row: padded, step: 1 };
            tile::<M>(
                head_dim,
                factor,
                flat(&queries),
                LANES,
                flat_mut(&mut scores[key..]),
                LANES,
                false,
            );
        }
        seen.fill_others(scores, f32::NEG_INFINITY);
        let mut largest = [f32::NEG_INFINITY; LANES];
        for score in scores.iter() {
            for lane in 0..LANES {
                largest[lane] =
                    if score[lane] > largest[lane] { score[lane] } else { largest[lane] };
            }
        }
        let mut total = [0.0; LANES];
        for score in scores.iter_mut() {
            for lane in 0..LANES {
                score[lane] = exp(score[lane] - largest[lane]);
                total[lane] += score[lane];
            }
        }
        // `exp` never returns less than 1e-38, and other keys must have a weight of exactly 0.
        seen.fill_others(scores, 0.0);
        for feature in (0..padded).step_by(ROWS) {
            let at = seen.begin * padded + feature;
            let factor = Factor { x: &values.data[at..], row: 1, step: padded };
            tile::<M>(
                scores.len(),
                factor,
                flat(scores),
                LANES,
                flat_mut(&mut result[feature..]),
                LANES,
                false,
            );
        }
        transpose_back(&result, &mut result_rows.data);
        for i in 0..rows {
            let from = &result_rows.data[i * padded..][..head_dim];
            let first_element = (row * context + first + i) * shape.out_width() + shape.q(head);
            // SAFETY: columns of this row and head.
            let to = unsafe { out.range(first_element, head_dim) };
            let scale = 1.0 / total[i];
            to.iter_mut().zip(from).for_each(|(to, &x)| *to = x * scale);
            lse[first + i] = largest[i] + total[i].ln();
        }
    }
}

/// [`backward`] with the multiply-adds of `M`.
#[inline(always)]
unsafe fn backward_tiled<M: MultiplyAdd>(
    shape: &Shape,
    (row, kv): (usize, usize),
    (qkv, out, dout, lse): (&[f32], &[f32], &[f32], &[f32]),
    first_keys: &FirstKeys<'_>,
    dqkv: &Shared<'_>,
) {
    let Shape { context, head_dim, .. } = *shape;
    let (width, out_width) = (shape.width(), shape.out_width());
    let padded = head_dim.next_multiple_of(LANES);
    let padded_context = context.next_multiple_of(LANES);
    let keys = Rows::copy(qkv, shape.k(kv), width, context, head_dim);
    let values = Rows::copy(qkv, shape.v(kv), width, context, head_dim);
    let mut dkeys = Rows::zeros(padded_context, padded);
    let mut dvalues = Rows::zeros(padded_context, padded);
    let (mut query, mut dresult) = (Rows::zeros(LANES, padded), Rows::zeros(LANES, padded));
    let mut queries = vec![[0.0; LANES]; padded]; // [head_dim, query]
    let mut dresults = vec![[0.0; LANES]; padded]; // [head_dim, query]
    let mut dqueries = vec![[0.0; LANES]; padded]; // [head_dim, query]
    let mut dquery = Rows::zeros(LANES, padded);
    let mut dscores = vec![[0.0; LANES]; padded_context]; // [key, query]
    for head in shape.q_heads_of(kv) {
        for first in (0..context).step_by(LANES) {
            let rows = LANES.min(context - first);
            let at = first * out_width + shape.q(head);
            query.take(qkv, first * width + shape.q(head), width, rows, head_dim, shape.scale());
            dresult.take(dout, at, out_width, rows, head_dim, 1.0);
            transpose(&query.data, &mut queries);
            transpose(&dresult.data, &mut dresults);
            // In lanes past the context, query and dout are 0, so they add nothing for any p.
            let (mut log_sum, mut delta) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..rows {
                log_sum[i] = lse[head * context + first + i];
                let result = &out[at + i * out_width..][..head_dim];
                delta[i] = dot(result, &dresult.data[i * padded..][..head_dim]);
            }
            let seen = Seen::by(first_keys, first, rows);
            let dscores = &mut dscores[..first + LANES - seen.begin];
            for (ds, key) in dscores.chunks_exact_mut(LANES).zip((seen.begin..).step_by(LANES)) {
                let mut p = [[0.0; LANES]; LANES]; // [key, query]
                for i in (0..LANES).step_by(ROWS) {
                    let at = (key + i) * padded;
                    let factor = Factor { x: &keys.data[at..], row: padded, step: 1 };
                    tile::<M>(
                        head_dim,
                        factor,
                        flat(&queries),
                        LANES,
                        flat_mut(&mut p[i..]),
                        LANES,
                        false,
                    );
                    let factor = Factor { x: &values.data[at..], row: padded, step: 1 };
                    tile::<M>(
                        head_dim,
                        factor,
                        flat(&dresults),
                        LANES,
                        flat_mut(&mut ds[i..]),
                        LANES,
                        false,
                    );
                }
                for (p, ds) in p.iter_mut().zip(ds.iter_mut()) {
                    for lane in 0..LANES {
                        p[lane] = exp(p[lane] - log_sum[lane]);
                        ds[lane] = p[lane] * (ds[lane] - delta[lane]);
                    }
                }
                seen.fill_others_from(key, &mut p, 0.0);
                seen.fill_others_from(key, ds, 0.0);
                for i in (0..LANES).step_by(ROWS) {
                    for feature in (0..padded).step_by(LANES) {
                        let at = (key + i) * padded + feature;
                        let factor = Factor { x: flat(&p[i..]), row: LANES, step: 1 };
                        tile::<M>(
                            LANES,
                            factor,
                            &dresult.data[feature..],
                            padded,
                            &mut dvalues.data[at..],
                            padded,
                            true,
                        );
                        let factor = Factor { x: flat(&ds[i..]), row: LANES, step: 1 };
                        tile::<M>(
                            LANES,
                            factor,
                            &query.data[feature..],
                            padded,
                            &mut dkeys.data[at..],
                            padded,
                            true,
                        );
                    }
                }
            }
            for feature in (0..padded).step_by(ROWS) {
                let at = seen.begin * padded + feature;
                let factor = Factor { x: &keys.data[at..], row: 1, step: padded };
                tile::<M>(
                    dscores.len(),
                    factor,
                    flat(dscores),
                    LANES,
                    flat_mut(&mut dqueries[feature..]),
                    LANES,
                    false,
                );
            }
            transpose_back(&dqueries, &mut dquery.data);
            for i in 0..rows {
                let from = &dquery.data[i * padded..][..head_dim];
                let first_element = (row * context + first + i) * width + shape.q(head);
                // SAFETY: columns of this row and of a query head of this group.
                let to = unsafe { dqkv.range(first_element, head_dim) };
                to.iter_mut().zip(from).for_each(|(to, &x)| *to = x * shape.scale());
            }
        }
    }
    for (rows, column) in [(&dkeys, shape.k(kv)), (&dvalues, shape.v(kv))] {
        for i in 0..context {
            // SAFETY: columns of this row and of this key or value head.
            let to = unsafe { dqkv.range((row * context + i) * width + column, head_dim) };
            to.copy_from_slice(&rows.data[i * padded..][..head_dim]);
        }
    }
}

/// A contiguous copy of the rows of one head. In the packed tensor, the stride between rows is a power of two, and rows
/// would evict each other from the cache. Both extents are padded with zeros to whole strips.
struct Rows {
    /// `[rows, padded head_dim]`.
    data: Vec<f32>,
    padded: usize,
}

impl Rows {
    fn zeros(rows: usize, padded: usize) -> Self {
        Self { data: vec![0.0; rows * padded], padded }
    }

    #[inline(always)]
    fn copy(x: &[f32], first: usize, stride: usize, rows: usize, len: usize) -> Self {
        let mut copy = Self::zeros(rows.next_multiple_of(LANES), len.next_multiple_of(LANES));
        copy.take(x, first, stride, rows, len, 1.0);
        copy
    }

    /// Overwrites with `scale` times `rows` rows of `len` elements that start at `first`.
    #[inline(always)]
    fn take(
        &mut self,
        x: &[f32],
        first: usize,
        stride: usize,
        rows: usize,
        len: usize,
        scale: f32,
    ) {
        let (taken, rest) = self.data.split_at_mut(rows * self.padded);
        for (i, to) in taken.chunks_exact_mut(self.padded).enumerate() {
            let from = &x[first + i * stride..][..len];
            to.iter_mut().zip(from).for_each(|(to, &x)| *to = x * scale);
        }
        rest.fill(0.0);
    }
}

/// The keys that the queries of a strip see.
struct Seen {
    /// The strip's first query.
    first: usize,
    /// The first key that any of the queries sees, rounded down to a whole strip.
    begin: usize,
    /// The first key that each query sees.
    first_keys: [usize; LANES],
    /// The largest of these.
    last_begin: usize,
}

impl Seen {
    /// For the `rows` queries from `first` on.
    #[inline(always)]
    fn by(keys: &FirstKeys<'_>, first: usize, rows: usize) -> Self {
        let begin = keys.of(first) / LANES * LANES;
        let last_begin = keys.of(first + rows - 1);
        let mut first_keys = [last_begin; LANES];
        for (i, first_key) in first_keys[..rows].iter_mut().enumerate() {
            *first_key = keys.of(first + i);
        }
        Self { first, begin, first_keys, last_begin }
    }

    /// Sets the scores `[keys from begin, queries]` of keys that a query does not see to `value`.
    #[inline(always)]
    fn fill_others(&self, scores: &mut [Lane], value: f32) {
        let past = (self.last_begin - self.begin).min(self.first - self.begin);
        self.fill(self.begin, &mut scores[..past], value);
        self.fill(self.first, &mut scores[self.first - self.begin..], value);
    }

    /// The same for a strip of keys from `key` on.
    #[inline(always)]
    fn fill_others_from(&self, key: usize, scores: &mut [Lane], value: f32) {
        if key == self.first || key < self.last_begin {
            self.fill(key, scores, value);
        }
    }

    #[inline(always)]
    fn fill(&self, key: usize, scores: &mut [Lane], value: f32) {
        for (key, score) in (key..).zip(scores) {
            for lane in 0..LANES {
                let is_seen = self.first_keys[lane] <= key && key <= self.first + lane;
                score[lane] = if is_seen { score[lane] } else { value };
            }
        }
    }
}

/// Transposes `[16, width]` to `[width][16]`.
#[inline(always)]
fn transpose(rows: &[f32], columns: &mut [Lane]) {
    let width = columns.len();
    for (feature, column) in columns.iter_mut().enumerate() {
        for lane in 0..LANES {
            column[lane] = rows[lane * width + feature];
        }
    }
}

/// Transposes `[width][16]` to `[16, width]`.
#[inline(always)]
fn transpose_back(columns: &[Lane], rows: &mut [f32]) {
    let width = columns.len();
    for lane in 0..LANES {
        for (to, column) in rows[lane * width..][..width].iter_mut().zip(columns) {
            *to = column[lane];
        }
    }
}

fn flat(x: &[Lane]) -> &[f32] {
    x.as_flattened()
}

fn flat_mut(x: &mut [Lane]) -> &mut [f32] {
    x.as_flattened_mut()
}
