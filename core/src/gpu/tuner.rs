//! Measures the variants of each op on an adapter, once for each class of sizes.
//! A step of the model runs on made-up tokens, node by node. At the first op of a class without measurements, each
//! variant runs for a moment on the op's real operands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_channel::oneshot;
#[cfg(not(target_arch = "wasm32"))]
use rayon::prelude::*;
use web_time::Instant;

use super::GpuDevice;
use super::commands::{Command, encode};
use super::outputs::Outputs;
use super::run::GpuExecutor;
use super::tuning::{Choice, Tuning, key};
use crate::executor::{ExecutorError, MicroInputs, PlanId};
use crate::kernel::{BASELINE, Variant};

/// A measurement takes at least this long, so that the resolution of clocks and the latency of queues don't matter.
const LEAST: Duration = Duration::from_millis(4);

/// Largest number of calls in a measurement.
const MOST_CALLS: usize = 50;

/// Measurements of each variant, in turns; the shortest counts. A variant whose call takes longer than [`LEAST`] is
/// measured [`LONG_ROUNDS`] times.
const ROUNDS: usize = 4;
const LONG_ROUNDS: usize = 2;

/// A variant this many times slower than the best of the same round is not measured again.
const HOPELESS: f64 = 2.0;

/// A variant replaces the baseline only if it takes less than this share of the baseline's time, so that noise does not
/// decide.
const WORTH: f64 = 0.95;

/// Two measurements of the same commands agree if they differ by less than this share.
const AGREE: f64 = 0.05;

/// A class is noisy if the two best measurements of its fastest variant differ by more than this share.
const NOISY: f64 = 0.2;

/// Shortest and longest time of the warm-up. A GPU raises its clocks only under load, in steps, and is idle while
/// kernels are compiled. It counts as warm when two measurements agree after the first time, and at the second time at
/// the latest.
const WARM_UP: [Duration; 2] = [Duration::from_millis(60), Duration::from_millis(500)];

/// A variant that works, and its measurements.
struct Candidate {
    name: &'static str,
    commands: Vec<Command>,
    /// Seconds a call.
    seconds: Vec<f64>,
    is_hopeless: bool,
}

impl Candidate {
    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Whether the two best measurements differ by more than [`NOISY`].
    fn is_noisy(&self) -> bool {
        let least = self.least();
        let agreeing = self.seconds.iter().filter(|&&seconds| seconds <= (1.0 + NOISY) * least);
        self.seconds.len() > 1 && agreeing.count() < 2
    }
}

impl GpuExecutor {
    /// Runs a plan's micro part once on `micro` and measures every variant of its ops that is not in `known`. Returns
    /// the new measurements together with `known`. Ops for which the time does not suffice are left for another call.
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

    /// None if the baseline overflows on these operands, because then no variant can be compared with it.
    async fn measure(&mut self, id: PlanId, node: usize) -> Result<Option<Choice>, ExecutorError> {
        let op = self.plans[id.0].plan.nodes().nth(node).expect("a node of it").op.as_ref();
        let variants = self.gpu.candidates(op);
        let outputs = Outputs::of(self, id, node).await;
        let mut expected: Option<Vec<f32>> = None;
        let (mut candidates, mut failed) = (Vec::new(), BTreeMap::new());
        let compiled = compile(&self.gpu, &variants).await;
        for (variant, error) in variants.iter().zip(compiled) {
            let device = self.gpu.device.clone();
            let (commands, error) = match error {
                Some(error) => (Vec::new(), Some(error)),
                None => caught(&device, || self.commands(id, node, variant)).await,
            };
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
            let (name, seconds) = (variant.name, Vec::new());
            candidates.push(Candidate { name, commands, seconds, is_hopeless: false });
        }
        self.time(&mut candidates).await?;
        // An op that adds to its output did so in every call.
        outputs.restore(&self.gpu);
        let baseline = candidates.iter().find(|it| it.name == BASELINE);
        let baseline = baseline.map_or(f64::INFINITY, Candidate::least);
        let fastest = candidates.iter().min_by(|a, b| a.least().total_cmp(&b.least()));
        let chosen = match fastest {
            Some(fastest) if fastest.least() < WORTH * baseline => fastest.name,
            _ => BASELINE,
        };
        let noisy = fastest.is_some_and(Candidate::is_noisy);
        // In tenths of a microsecond; further digits are noise.
        let tenths = |seconds: f64| (1e7 * seconds).round() / 10.0;
        let microseconds =
            candidates.iter().map(|it| (it.name.to_owned(), tenths(it.least()))).collect();
        Ok(Some(Choice { variant: chosen.to_owned(), microseconds, noisy, failed }))
    }

    /// Measures candidates in turns, so that all have the same clocks and the same noise.
    async fn time(&self, candidates: &mut [Candidate]) -> Result<(), ExecutorError> {
        let Some(first) = candidates.first() else { return Ok(()) };
        if !self.gpu.summary.software {
            self.warm_up(&first.commands).await?;
        }
        for round in 0..ROUNDS {
            let mut best = f64::INFINITY;
            for candidate in candidates.iter_mut() {
                let so_far = candidate.least();
                let is_long = so_far > LEAST.as_secs_f64();
                let is_done = is_long && round >= LONG_ROUNDS;
                if candidate.is_hopeless || (round > 0 && is_done) {
                    continue;
                }
                let calls = match round {
                    0 => 1,
                    _ => {
                        (LEAST.as_secs_f64() / so_far).ceil().clamp(1.0, MOST_CALLS as f64) as usize
                    }
                };
                let seconds = self.calls(&candidate.commands, calls).await?;
                candidate.seconds.push(seconds);
                best = best.min(seconds);
            }
            for candidate in candidates.iter_mut() {
                candidate.is_hopeless |= candidate.least() > HOPELESS * best;
            }
        }
        Ok(())
    }

    /// Keeps the adapter busy until two measurements agree.
    async fn warm_up(&self, commands: &[Command]) -> Result<(), ExecutorError> {
        let begin = Instant::now();
        let once = self.calls(commands, 1).await?;
        let calls = (LEAST.as_secs_f64() / once).ceil().clamp(1.0, MOST_CALLS as f64) as usize;
        let [least, most] = WARM_UP;
        let mut before = f64::INFINITY;
        while begin.elapsed() < most {
            let seconds = self.calls(commands, calls).await?;
            if begin.elapsed() >= least && (seconds / before - 1.0).abs() < AGREE {
                break;
            }
            before = seconds;
        }
        Ok(())
    }

    /// Seconds per call, averaged over `calls` calls.
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

/// Compiles the kernels of variants, in parallel on native machines. Returns the device's error for each variant, if
/// any.
#[cfg(not(target_arch = "wasm32"))]
async fn compile(gpu: &GpuDevice, variants: &[Variant]) -> Vec<Option<wgpu::Error>> {
    // Error scopes belong to a thread, and report at once.
    variants.par_iter().map(|variant| pollster::block_on(compile_one(gpu, variant))).collect()
}

#[cfg(target_arch = "wasm32")]
async fn compile(gpu: &GpuDevice, variants: &[Variant]) -> Vec<Option<wgpu::Error>> {
    let mut errors = Vec::new();
    for variant in variants {
        errors.push(compile_one(gpu, variant).await);
    }
    errors
}

async fn compile_one(gpu: &GpuDevice, variant: &Variant) -> Option<wgpu::Error> {
    let get = |dispatch| drop(gpu.pipelines.get(gpu, dispatch));
    caught(&gpu.device, || variant.dispatches.iter().for_each(get)).await.1
}

/// The result of `make`, and the device's error, if any.
async fn caught<T>(device: &wgpu::Device, make: impl FnOnce() -> T) -> (T, Option<wgpu::Error>) {
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let scopes = [Internal, OutOfMemory, Validation].map(|filter| device.push_error_scope(filter));
    let made = make();
    let mut error = None;
    for scope in scopes.into_iter().rev() {
        error = scope.pop().await.or(error);
    }
    (made, error)
}

/// Waits until all that was submitted is done, in a browser too.
pub(super) async fn done(gpu: &GpuDevice) -> Result<(), ExecutorError> {
    let (tell, told) = oneshot::channel();
    gpu.queue.on_submitted_work_done(move || {
        // The receiver may be dropped already.
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
