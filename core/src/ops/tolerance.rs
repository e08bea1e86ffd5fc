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
    ("matmul", Tolerance { atol: 2e-5, rtol: 2e-5 }),
    ("rmsnorm", Tolerance { atol: 5e-6, rtol: 1e-5 }),
    ("rmsnorm_backward", Tolerance { atol: 2e-5, rtol: 2e-5 }),
];

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
