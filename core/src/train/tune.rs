//! Measurements of a model's ops on an adapter before training.

use std::time::Duration;

use super::ceilings::flops_ceiling;
use super::inputs::{self, step_inputs};
use super::rehearsal::MadeUp;
use super::store::{self, Tensors};
use crate::config::Config;
use crate::executor::ExecutorError;
use crate::gpu::{GpuDevice, GpuExecutor, Tuning};
use crate::kernel::BASELINE;
use crate::model::{parameter_layout, parameters, train_plan};

/// Measures the variants of a model's ops that are not in `known`, in a step on random tokens. Returns the new
/// measurements together with `known`. The model takes device memory during the call.
///
/// # Errors
/// What the device reports.
pub async fn tune(
    gpu: &GpuDevice,
    config: &Config,
    known: Tuning,
    time: Duration,
) -> Result<Tuning, ExecutorError> {
    let layout = parameter_layout(config, gpu.summary.limits)?;
    let planned = train_plan(config, &layout);
    let needs_ceiling = known.flops.is_none() && !cfg!(target_arch = "wasm32");
    let all_measured =
        planned.plan.micro.iter().all(|node| gpu.is_measured(node.op.as_ref(), &known));
    if all_measured && !needs_ceiling {
        return Ok(known);
    }
    // Other variants may not compile on this adapter.
    let mut executor = GpuExecutor::new(gpu.clone().forcing(BASELINE), layout)?;
    store::initialize(&mut executor, &parameters(config), config.train.seed, &Tensors::new())?;
    let plan = inputs::load_plan(&mut executor, config, planned)?;
    let source = MadeUp { config: config.clone() };
    let micro = step_inputs(config, &plan.inputs, &source, 0);
    let mut tuning = executor.tune(plan.id, &micro[0], known, time).await?;
    // A browser can't wait for this measurement.
    if needs_ceiling {
        tuning.flops = Some(flops_ceiling(&mut executor, 3)?);
    }
    Ok(tuning)
}
