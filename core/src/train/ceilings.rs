//! A machine's peak rates: multiply-adds in registers, and a copy too large for caches.

use crate::executor::{Executor, ExecutorError, MicroInputs};
use crate::ops::{Op, copy::Copy, multiply_add::MultiplyAdd};
use crate::plan::{Plan, PlanBuilder};
use crate::tensor::{DType, Role, View};

/// A machine's peak rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Rate of multiply-adds in registers in f32, in floating-point operations a second.
    pub flops: f64,
    /// Rate of a large copy in bytes a second; read and written bytes both count.
    pub bytes: f64,
}

impl Ceilings {
    /// Measures both rates: the best of `repeats` measurements.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn measure(executor: &mut dyn Executor, repeats: usize) -> Result<Self, ExecutorError> {
        let bytes = bytes_ceiling(executor, repeats)?;
        Ok(Self { flops: flops_ceiling(executor, repeats)?, bytes })
    }
}

/// Rate of multiply-adds in registers in f32, in floating-point operations a second: the best of `repeats`
/// measurements.
///
/// # Errors
/// Errors of the executor.
pub fn flops_ceiling(executor: &mut dyn Executor, repeats: usize) -> Result<f64, ExecutorError> {
    /// Enough elements for all cores.
    const LEN: usize = 1 << 20;
    /// Least seconds of a measurement: timers are coarse, and processors must raise their clock rates first.
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

/// Bytes a second that a copy reads and writes: the best of `repeats` measurements.
fn bytes_ceiling(executor: &mut dyn Executor, repeats: usize) -> Result<f64, ExecutorError> {
    /// 64 MiB per vector: more than the caches of processors and of most GPUs.
    const LEN: usize = 1 << 24;
    /// 1 GiB per vector: more than any cache.
    const MOST: usize = 1 << 28;
    /// Least seconds of a copy: a shorter one may partly use caches, and the time of its launch matters.
    const LEAST: f64 = 2e-3;
    let mut len = LEN;
    let mut bytes = 0.0;
    loop {
        let copied = best(executor, pair(len, |x, y| Copy { x, y }), repeats);
        let seconds = match copied {
            // The previous, smaller vector fitted.
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

/// Seconds of the fastest run of a plan without inputs.
fn best(executor: &mut dyn Executor, plan: Plan, repeats: usize) -> Result<f64, ExecutorError> {
    let id = executor.load(plan)?;
    let mut best = f64::INFINITY;
    for _ in 0..repeats.max(1) {
        let times = executor.profile(id, &MicroInputs::default())?;
        best = best.min(times.iter().sum());
    }
    Ok(best)
}

/// A plan of one op that reads a vector and writes another.
fn pair<T: Op + 'static>(len: usize, op: impl FnOnce(View, View) -> T) -> Plan {
    let mut builder = PlanBuilder::new("ceiling");
    let x = builder.shared("x", &[len], DType::Real, Role::State);
    let y = builder.shared("y", &[len], DType::Real, Role::State);
    builder.push(op(x, y));
    builder.finish()
}
