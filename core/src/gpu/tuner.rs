//! Measures the ways to do an op on the adapter at hand, once for each class of sizes.
//!
//! A step of the model runs on made-up tokens, node by node. Where an op of a class that was not
//! measured comes by, its operands are there, and each way to do it runs on them for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_channel::oneshot;
use web_time::Instant;

use super::GpuDevice;
use super::commands::{Command, encode};
use super::outputs::Outputs;
use super::run::GpuExecutor;
use super::tuning::{Choice, Tuning, key};
use crate::executor::{ExecutorError, MicroInputs, PlanId};
use crate::kernel::BASELINE;

/// A measurement takes at least this long, so that clocks and queues don't count.
const LEAST: Duration = Duration::from_millis(4);

/// Most calls in a measurement.
const MOST_CALLS: usize = 50;

/// Measurements of a variant, of which the least counts.
const ROUNDS: usize = 3;

/// A variant this many times slower than the best so far is not measured again.
const HOPELESS: f64 = 1.5;

/// The baseline stays unless another takes less than this share of its time: a difference that is
/// noise must not decide.
const WORTH: f64 = 0.95;

impl GpuExecutor {
    /// Runs a plan's micro part once on `micro` and measures every variant of its ops that
    /// `known` does not know: `known`, with what was measured. What time does not suffice for is
    /// left out, and measured another time.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn tune(
        &mut self,
        id: PlanId,
        micro: &MicroInputs,
        mut known: Tuning,
        time: Duration,
    ) -> Result<Tuning, ExecutorError> {
        let begin = Instant::now();
        let mut encoder = self.begin(id, std::slice::from_ref(micro))?;
        let loaded = &self.plans[id.0];
        encode(&mut encoder.begin_compute_pass(&Default::default()), &loaded.prepare);
        loaded.put_inputs(&mut encoder, 0);
        let (first, count) = (loaded.plan.prepare.len(), loaded.plan.micro.len());
        let mut seen = BTreeSet::new();
        for node in first..first + count {
            if begin.elapsed() >= time {
                break;
            }
            let op = self.plans[id.0].plan.micro[node - first].op.as_ref();
            let key = key(op, &self.gpu.usable(op));
            if !self.gpu.is_measured(op, &known) && seen.insert(key.clone()) {
                let next = self.gpu.device.create_command_encoder(&Default::default());
                self.gpu.queue.submit([std::mem::replace(&mut encoder, next).finish()]);
                done(&self.gpu).await?;
                if let Some(choice) = self.measure(id, node).await? {
                    known.put(key, choice);
                }
            }
            let commands = self.plans[id.0].micro.iter().filter(|it| it.node == node);
            encode(&mut encoder.begin_compute_pass(&Default::default()), commands);
        }
        self.gpu.queue.submit([encoder.finish()]);
        done(&self.gpu).await?;
        Ok(known)
    }

    /// None if the baseline overflows on these operands: nothing can be compared with it then.
    async fn measure(&mut self, id: PlanId, node: usize) -> Result<Option<Choice>, ExecutorError> {
        let op = self.plans[id.0].plan.nodes().nth(node).expect("a node of it").op.as_ref();
        let variants = self.gpu.candidates(op);
        let outputs = Outputs::of(self, id, node).await;
        let mut expected: Option<Vec<f32>> = None;
        let (mut times, mut failed) = (BTreeMap::new(), BTreeMap::new());
        let mut best = f64::INFINITY;
        for variant in &variants {
            use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
            let scopes = [Internal, OutOfMemory, Validation]
                .map(|filter| self.gpu.device.push_error_scope(filter));
            let commands = self.commands(id, node, variant);
            let mut error = None;
            for scope in scopes.into_iter().rev() {
                error = scope.pop().await.or(error);
            }
            if let Some(error) = error {
                self.forget(variant);
                failed.insert(variant.name.to_owned(), error.to_string());
                continue;
            }
            let found = outputs.by(&self.gpu, &commands).await?;
            // The baseline comes first.
            if expected.is_none() && found.iter().any(|x| !x.is_finite()) {
                outputs.restore(&self.gpu);
                return Ok(None);
            }
            if let Some(difference) =
                outputs.difference(expected.get_or_insert_with(|| found.clone()), &found)
            {
                failed.insert(variant.name.to_owned(), difference);
                continue;
            }
            let seconds = self.seconds(&commands, best).await?;
            best = best.min(seconds);
            times.insert(variant.name.to_owned(), seconds);
        }
        // What adds to its output has added to it in every call.
        outputs.restore(&self.gpu);
        let baseline = times.get(BASELINE).copied().unwrap_or(f64::INFINITY);
        let fastest = times.iter().min_by(|a, b| a.1.total_cmp(b.1));
        let chosen = match fastest {
            Some((name, &seconds)) if seconds < WORTH * baseline => name.clone(),
            _ => BASELINE.to_owned(),
        };
        // Of tenths: more would be noise.
        let tenths = |seconds: f64| (1e7 * seconds).round() / 10.0;
        let microseconds = times.into_iter().map(|(name, seconds)| (name, tenths(seconds)));
        Ok(Some(Choice { variant: chosen, microseconds: microseconds.collect(), failed }))
    }

    /// Of one call: the least of some rounds, or of one that is hopeless against `best`.
    async fn seconds(&self, commands: &[Command], best: f64) -> Result<f64, ExecutorError> {
        let mut least = self.calls(commands, 1).await?;
        if least > HOPELESS * best && least > LEAST.as_secs_f64() {
            return Ok(least);
        }
        let calls = (LEAST.as_secs_f64() / least).ceil().clamp(1.0, MOST_CALLS as f64) as usize;
        for _ in 0..ROUNDS {
            least = least.min(self.calls(commands, calls).await?);
            if least > LEAST.as_secs_f64() {
                break;
            }
        }
        Ok(least)
    }

    async fn calls(&self, commands: &[Command], calls: usize) -> Result<f64, ExecutorError> {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            (0..calls).for_each(|_| encode(&mut pass, commands));
        }
        let commands = encoder.finish();
        let begin = Instant::now();
        self.gpu.queue.submit([commands]);
        done(&self.gpu).await?;
        Ok(begin.elapsed().as_secs_f64() / calls as f64)
    }
}

/// Waits until all that was submitted is done, in a browser too.
pub(super) async fn done(gpu: &GpuDevice) -> Result<(), ExecutorError> {
    let (tell, told) = oneshot::channel();
    gpu.queue.on_submitted_work_done(move || {
        // No one listens if this was dropped.
        let _ = tell.send(());
    });
    #[cfg(not(target_arch = "wasm32"))]
    if let Err(error) = gpu.device.poll(wgpu::PollType::wait_indefinitely()) {
        gpu.check()?;
        return Err(ExecutorError::Gpu { reason: format!("waiting: {error}") });
    }
    let _ = told.await;
    gpu.check()
}
