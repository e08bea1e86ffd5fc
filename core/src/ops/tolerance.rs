//! Tolerances of f32 executors against the f64 twin, one row for each op.

/// `|x - reference| <= atol + rtol * |reference|`, element by element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub atol: f64,
    /// Relative part.
    pub rtol: f64,
}

/// For the inputs of the op tests: numbers of the order of 1, and sums of some hundred terms.
const TABLE: &[(&str, Tolerance)] = &[
    ("accumulate_sum", Tolerance { atol: 1e-5, rtol: 1e-5 }),
    ("adamw", Tolerance { atol: 1e-6, rtol: 2e-6 }),
    ("add", Tolerance { atol: 0.0, rtol: 1e-6 }),
    ("attention", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("attention_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("attention_cached", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("clip_factor", Tolerance { atol: 1e-6, rtol: 5e-6 }),
    ("copy", Tolerance { atol: 0.0, rtol: 0.0 }),
    ("cross_entropy", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("embedding", Tolerance { atol: 0.0, rtol: 0.0 }),
    ("embedding_backward", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("gather_rows", Tolerance { atol: 0.0, rtol: 0.0 }),
    ("grouped_matmul", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("grouped_matmul_backward_weight", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("grouped_matmul_swiglu", Tolerance { atol: 5e-5, rtol: 5e-5 }),
    ("grouped_matmul_swiglu_backward", Tolerance { atol: 5e-5, rtol: 5e-5 }),
    ("head_norm", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("head_norm_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("matmul", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("matmul_rope", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("matmul_swiglu", Tolerance { atol: 5e-5, rtol: 5e-5 }),
    ("matmul_swiglu_backward", Tolerance { atol: 5e-5, rtol: 5e-5 }),
    ("moe_balance", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("moe_combine", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("moe_combine_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    // Integers and copies are exact.
    ("moe_dispatch", Tolerance { atol: 0.0, rtol: 0.0 }),
    ("moe_gather", Tolerance { atol: 0.0, rtol: 0.0 }),
    ("moe_gather_backward", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("moe_route", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("moe_route_backward", Tolerance { atol: 5e-6, rtol: 2e-5 }),
    ("multiply_add", Tolerance { atol: 0.0, rtol: 2e-6 }),
    ("nitp", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("rmsnorm", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("rmsnorm_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("rope", Tolerance { atol: 1e-6, rtol: 2e-6 }),
    ("rope_backward", Tolerance { atol: 1e-6, rtol: 2e-6 }),
    // sum_of_squares has no row: executors divide the sum into different parts. The test of clip_factor checks the
    // total.
    ("scale_losses", Tolerance { atol: 0.0, rtol: 1e-6 }),
    ("sigmoid_gate", Tolerance { atol: 1e-6, rtol: 5e-6 }),
    ("sigmoid_gate_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("swiglu", Tolerance { atol: 1e-6, rtol: 5e-6 }),
    ("swiglu_backward", Tolerance { atol: 2e-6, rtol: 5e-6 }),
    ("token_cosine", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("token_order", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("update_loss_scale", Tolerance { atol: 1e-6, rtol: 5e-6 }),
];

/// Additional tolerances of ops that round intermediate results to halves, or add to halves.
const HALVES: &[(&str, Tolerance)] = &[
    // Matrix units read halves, so the weights of attention are rounded.
    ("attention", Tolerance { atol: 5e-4, rtol: 1e-3 }),
    // The gradients of scores are rounded, and the output from which delta is computed.
    ("attention_backward", Tolerance { atol: 5e-4, rtol: 1e-3 }),
    // The product is rounded if the ops run separately, and it is larger than the result.
    ("grouped_matmul_swiglu", Tolerance { atol: 4e-3, rtol: 2e-3 }),
    ("grouped_matmul_swiglu_backward", Tolerance { atol: 4e-3, rtol: 2e-3 }),
    ("matmul_rope", Tolerance { atol: 4e-3, rtol: 1e-3 }),
    ("matmul_swiglu", Tolerance { atol: 4e-3, rtol: 2e-3 }),
    ("matmul_swiglu_backward", Tolerance { atol: 4e-3, rtol: 2e-3 }),
];

/// Additional tolerances of products of halves with results in f32: matrix units align the terms of a piece before they
/// add them, so terms much smaller than the largest lose bits.
const SUMS_OF_HALVES: &[(&str, Tolerance)] = &[
    ("grouped_matmul", Tolerance { atol: 1e-4, rtol: 2e-5 }),
    ("grouped_matmul_backward_weight", Tolerance { atol: 1e-4, rtol: 2e-5 }),
    ("matmul", Tolerance { atol: 1e-4, rtol: 2e-5 }),
];

/// Names of all ops with a row: all except `sum_of_squares`.
pub fn ops() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The row of an op.
///
/// # Panics
/// If the op has no row: every op has one.
pub fn of(op: &str) -> Tolerance {
    TABLE
        .iter()
        .find(|(name, _)| *name == op)
        .unwrap_or_else(|| panic!("ops/tolerance.rs has no row for {op}: add one"))
        .1
}

/// The tolerance of an op whose operands and results are halves: that of f32, plus one rounding to 11 bits and the
/// least half, or the row of `HALVES`.
///
/// # Panics
/// As [`of`].
pub fn of_halves(op: &str) -> Tolerance {
    const ROUNDING: Tolerance = Tolerance { atol: 6e-8, rtol: 4.9e-4 };
    let Tolerance { atol, rtol } = of(op);
    let more = HALVES.iter().find(|(name, _)| *name == op).map_or(ROUNDING, |(_, row)| *row);
    Tolerance { atol: atol + more.atol, rtol: rtol + more.rtol }
}

/// The tolerance of an op with results in f32 and some operands in halves.
///
/// # Panics
/// As [`of`].
pub fn of_sums_of_halves(op: &str) -> Tolerance {
    SUMS_OF_HALVES.iter().find(|(name, _)| *name == op).map_or_else(|| of(op), |(_, row)| *row)
}
