//! What a machine can do at most: multiply-adds in registers, and a copy that no cache holds.

use crate::executor::{Executor, ExecutorError, MicroInputs};
use crate::ops::{Op, copy::Copy, multiply_add::MultiplyAdd};
use crate::plan::{DType, Plan, PlanBuilder, Role, View};

/// What a machine can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Floating-point operations a second, of multiply-adds in registers, in f32.
    pub flops: f64,
    /// Bytes a second, of a large copy: read and written.
    pub bytes: f64,
}

impl Ceilings {
    /// Measures both: the best of `repeats`.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn measure(executor: &mut dyn Executor, repeats: usize) -> Result<Self, ExecutorError> {
        let bytes = bytes_ceiling(executor, repeats)?;
        Ok(Self { flops: flops_ceiling(executor, repeats)?, bytes })
    }
}

/// Floating-point operations a second, of multiply-adds in registers, in f32: the best of `repeats`.
///
/// # Errors
/// What the executor reports.
pub fn flops_ceiling(executor: &mut dyn Executor, repeats: usize) -> Result<f64, ExecutorError> {
    /// Enough for every core.
    const LEN: usize = 1 << 20;
    /// Seconds that a measurement takes at least: clocks are coarse, and have to rise first.
    const LEAST: f64 = 0.02;
    let mut rounds = 16;
    loop {
        let plan = pair(LEN, |x, y| MultiplyAdd { x, y, rounds });
        let flops = plan.cost().flops;
        let seconds = best(executor, plan, repeats)?;
        if seconds >= LEAST {
            return Ok(flops / seconds);
        }
        rounds *= 4;
    }
}

/// Bytes a second that a copy reads and writes: the best of `repeats`.
fn bytes_ceiling(executor: &mut dyn Executor, repeats: usize) -> Result<f64, ExecutorError> {
    /// 64 MiB a vector: beyond the caches of processors and of most GPUs.
    const LEN: usize = 1 << 24;
    /// 1 GiB a vector, which is beyond every cache.
    const MOST: usize = 1 << 28;
    /// A copy that is shorter than this many seconds may come from a cache in part, and its launch counts.
    const LEAST: f64 = 2e-3;
    let mut len = LEN;
    let mut bytes = 0.0;
    loop {
        let copied = best(executor, pair(len, |x, y| Copy { x, y }), repeats);
        let seconds = match copied {
            // A smaller one fitted.
            Err(ExecutorError::Layout(_)) if len > LEN => return Ok(bytes),
            copied => copied?,
        };
        bytes = 8.0 * len as f64 / seconds;
        if seconds >= LEAST || len == MOST {
            return Ok(bytes);
        }
        len *= 4;
    }
}

/// The least seconds of a plan without inputs.
fn best(executor: &mut dyn Executor, plan: Plan, repeats: usize) -> Result<f64, ExecutorError> {
    let id = executor.load(plan)?;
    let mut best = f64::INFINITY;
    for _ in 0..repeats.max(1) {
        let times = executor.profile(id, &MicroInputs::default())?;
        best = best.min(times.iter().sum());
    }
    Ok(best)
}

/// A plan of one op from one vector to another.
fn pair<T: Op + 'static>(len: usize, op: impl FnOnce(View, View) -> T) -> Plan {
    let mut builder = PlanBuilder::new("ceiling");
    let x = builder.shared("x", &[len], DType::Real, Role::State);
    let y = builder.shared("y", &[len], DType::Real, Role::State);
    builder.push(op(x, y));
    builder.finish()
}
