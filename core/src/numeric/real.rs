//! The number type of a CPU run: f32, or f64 for the oracle.

use std::fmt::Debug;
use std::iter::Sum;

use num_traits::{Float, FromPrimitive, NumAssign};

/// f32 or f64.
pub trait Real:
    Float + FromPrimitive + NumAssign + Sum + Default + Debug + Send + Sync + 'static
{
    /// Rounds an f64 constant.
    fn of(value: f64) -> Self;
    /// Widens.
    fn f64(self) -> f64;
    /// Rounds f32 to the values of f16, as a GPU stores them. Does nothing for f64: the oracle is exact.
    fn round_to_half(x: &mut [Self]);
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn f64(self) -> f64 {
        f64::from(self)
    }
    fn round_to_half(x: &mut [Self]) {
        super::half::round(x);
    }
}

#[cfg(feature = "oracle")]
impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn f64(self) -> f64 {
        self
    }
    fn round_to_half(_: &mut [Self]) {}
}
