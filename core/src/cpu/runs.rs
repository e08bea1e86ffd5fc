//! The two kinds of a CPU run: fast paths or twins in f32, and twins in f64.

use crate::numeric::Real;
use crate::ops::DynOp;
use crate::tensor::OpMemory;

/// The number type of a CPU run: f32, or f64 for the oracle.
pub trait Runs: Real {
    /// Runs an op: its twin, or its fast path if this type has one and `fast` is set.
    fn run(op: &dyn DynOp, memory: &OpMemory<Self>, fast: bool);
}

impl Runs for f32 {
    #[cfg(feature = "oracle")]
    fn run(op: &dyn DynOp, memory: &OpMemory<Self>, fast: bool) {
        if fast { op.fast(memory) } else { op.twin_f32(memory) }
    }
    #[cfg(not(feature = "oracle"))]
    fn run(op: &dyn DynOp, memory: &OpMemory<Self>, _fast: bool) {
        op.fast(memory);
    }
}

#[cfg(feature = "oracle")]
impl Runs for f64 {
    fn run(op: &dyn DynOp, memory: &OpMemory<Self>, _fast: bool) {
        op.twin_f64(memory);
    }
}
