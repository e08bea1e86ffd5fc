//! How far an f32 executor may be from the f64 twin, one row an op.

/// `|x - reference| <= atol + rtol * |reference|`, element by element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub atol: f64,
    /// Relative part.
    pub rtol: f64,
}

/// Inputs of the op tests are of the order of 1, reductions of some hundred terms.
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
    // Integers and copies: nothing is rounded.
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
    // sum_of_squares has no row: its parts are each executor's own, clip_factor judges their sum.
    ("scale_losses", Tolerance { atol: 0.0, rtol: 1e-6 }),
    ("sigmoid_gate", Tolerance { atol: 1e-6, rtol: 5e-6 }),
    ("sigmoid_gate_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("swiglu", Tolerance { atol: 1e-6, rtol: 5e-6 }),
    ("swiglu_backward", Tolerance { atol: 2e-6, rtol: 5e-6 }),
    ("token_cosine", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("token_order", Tolerance { atol: 2e-6, rtol: 1e-5 }),
    ("update_loss_scale", Tolerance { atol: 1e-6, rtol: 5e-6 }),
];

/// Ops that round to halves on the way to their results too, or add to a half: what comes to their rows.
const HALVES: &[(&str, Tolerance)] = &[
    // Matrix units take halves: weights are rounded.
    ("attention", Tolerance { atol: 5e-4, rtol: 1e-3 }),
    // So are gradients of scores, and the output that delta is of.
    ("attention_backward", Tolerance { atol: 5e-4, rtol: 1e-3 }),
    // So is the product, which is larger than what is made of it, where that is an op of its own.
    ("grouped_matmul_swiglu", Tolerance { atol: 4e-3, rtol: 2e-3 }),
    ("grouped_matmul_swiglu_backward", Tolerance { atol: 4e-3, rtol: 2e-3 }),
    ("matmul_rope", Tolerance { atol: 4e-3, rtol: 1e-3 }),
    ("matmul_swiglu", Tolerance { atol: 4e-3, rtol: 2e-3 }),
    ("matmul_swiglu_backward", Tolerance { atol: 4e-3, rtol: 2e-3 }),
];

/// Products of halves whose results are f32: matrix units align the terms of a piece before they add them, and
/// what is small beside the largest of them loses bits.
const SUMS_OF_HALVES: &[(&str, Tolerance)] = &[
    ("grouped_matmul", Tolerance { atol: 1e-4, rtol: 2e-5 }),
    ("grouped_matmul_backward_weight", Tolerance { atol: 1e-4, rtol: 2e-5 }),
    ("matmul", Tolerance { atol: 1e-4, rtol: 2e-5 }),
];

/// The ops: each has a row, but for `sum_of_squares`.
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

/// The same for results that are stored as halves, from operands that are: one rounding more, to 11 bits, and
/// none of what is smaller than the least half; and what the rows say.
///
/// # Panics
/// As [`of`].
pub fn of_halves(op: &str) -> Tolerance {
    const ROUNDING: Tolerance = Tolerance { atol: 6e-8, rtol: 4.9e-4 };
    let Tolerance { atol, rtol } = of(op);
    let more = HALVES.iter().find(|(name, _)| *name == op).map_or(ROUNDING, |(_, row)| *row);
    Tolerance { atol: atol + more.atol, rtol: rtol + more.rtol }
}

/// The same for results in f32 from operands of which some are halves.
///
/// # Panics
/// As [`of`].
pub fn of_sums_of_halves(op: &str) -> Tolerance {
    SUMS_OF_HALVES.iter().find(|(name, _)| *name == op).map_or_else(|| of(op), |(_, row)| *row)
}
