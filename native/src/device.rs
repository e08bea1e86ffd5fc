//! The choice of a run's device.

use anyhow::{Result, bail};
use nitp_core::config::{Config, Precision};
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::{Executor, ExecutorError};
use nitp_core::gpu::{AdapterSummary, DeviceRequest, GpuDevice, GpuExecutor, adapters, open};
use nitp_core::model::parameter_layout;
use nitp_core::plan::Limits;
use nitp_core::train::Rehearsal;

use crate::args::{DeviceArgs, Tune};
use crate::machine::Machine;
use crate::output::errln;
use crate::reasons::reasons;
use crate::{memory, tuning};

/// A chosen device.
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An opened adapter.
    Gpu(Box<GpuDevice>),
}

/// A chosen device and its description.
pub struct Choice {
    /// The device.
    pub device: Device,
    /// Its description, and the reason for the choice.
    pub why: String,
}

/// Every adapter of this machine, real GPUs first.
pub fn list() -> Vec<AdapterSummary> {
    pollster::block_on(adapters())
}

/// Chooses by the value of `--device` and fixed rules. For short tasks.
///
/// # Errors
/// If no adapter fits.
pub fn choose(args: &DeviceArgs) -> Result<Choice> {
    let Choice { device, why } = pick(args, Precision::F32)?;
    let device = match device {
        Device::Cpu => Device::Cpu,
        Device::Gpu(gpu) => Device::Gpu(Box::new(tuning::known(*gpu, args.tune))),
    };
    Ok(Choice { device, why })
}

/// The adapters that `auto` could not choose for mixed precision, in words.
fn without_half(all: &[AdapterSummary]) -> String {
    match all {
        [] => "there is no GPU adapter".to_owned(),
        [only] if only.software => format!("the only one, {}, is software", only.quoted()),
        [only] => format!("the only one, {}, lacks it", only.quoted()),
        all => {
            let names: Vec<String> = all.iter().map(AdapterSummary::quoted).collect();
            format!("no GPU among {} has it", names.join(", "))
        }
    }
}

/// Like [`choose`], and measures the kernels for this model. For benchmarks.
///
/// # Errors
/// If no adapter fits; errors of the device.
pub fn choose_tuned(args: &DeviceArgs, config: &Config) -> Result<Choice> {
    tuned(pick(args, config.train.precision)?, args, config, None)
}

/// Chooses for training this model. Like [`choose_tuned`], but if `auto` finds a real GPU, the faster of the GPU and
/// the CPU in a short step of the model is taken, except in mixed precision, which the CPU only emulates. A continued
/// run keeps its device, unless another one is requested.
///
/// # Errors
/// As [`choose_tuned`].
pub fn choose_for(args: &DeviceArgs, config: &Config, before: Option<&Machine>) -> Result<Choice> {
    if let Some(machine) = before.filter(|_| args.device == "auto")
        && let Some(choice) = same(machine)
    {
        return tuned(choice, args, config, before);
    }
    let precision = config.train.precision;
    let picked = pick(args, precision)?;
    let may_be_cpu = args.device == "auto" && precision == Precision::F32;
    let name = picked.why.clone();
    let choice = match tuned(picked, args, config, before) {
        Err(error) if may_be_cpu => {
            let why = format!("{}: {name} can't train this model: {}", cpu(), reasons(&error));
            return Ok(Choice { device: Device::Cpu, why });
        }
        other => other?,
    };
    let raced = may_be_cpu && matches!(choice.device, Device::Gpu(_));
    if raced && memory::check_machine(config).is_ok() {
        return race(config, choice.device, choice.why);
    }
    Ok(choice)
}

/// The device that a run trained on, or none with a warning.
fn same(machine: &Machine) -> Option<Choice> {
    const WHY: &str = "as before";
    match machine {
        Machine::Cpu => Some(Choice { device: Device::Cpu, why: format!("{} ({WHY})", cpu()) }),
        Machine::Gpu { adapter, .. } => gpu(&DeviceRequest::Named(adapter.clone()), WHY)
            .inspect_err(|error| {
                errln!(
                    "warning: the run trained on {adapter} before ({}). It continues on another \
                    device, so its results will differ in their last digits.",
                    reasons(error)
                );
            })
            .ok(),
    }
}

/// The choice with measured kernels for this model. An error if the device lacks the model's precision.
fn tuned(
    Choice { device, mut why }: Choice,
    args: &DeviceArgs,
    config: &Config,
    before: Option<&Machine>,
) -> Result<Choice> {
    let mixed = config.train.precision == Precision::Mixed;
    let device = match device {
        Device::Cpu => {
            if mixed {
                why += ", emulating mixed precision: slower than f32";
            }
            Device::Cpu
        }
        Device::Gpu(gpu) => {
            if mixed {
                gpu.summary.check_half()?;
                if let (Some(machine), Tune::Auto) = (before, args.tune) {
                    machine.check_matrix_units(&gpu)?;
                }
            }
            let own = before.and_then(|machine| machine.tuning(&gpu.summary));
            Device::Gpu(Box::new(tuning::measured(*gpu, config, args.tune, own)?))
        }
    };
    Ok(Choice { device, why })
}

fn pick(args: &DeviceArgs, precision: Precision) -> Result<Choice> {
    match args.device.as_str() {
        // Emulation has no advantage, so the CPU is used only on request.
        "auto" if precision == Precision::Mixed => {
            let all = list();
            if !all.iter().any(|adapter| !adapter.software && adapter.half) {
                return Err(ExecutorError::NoHalf { adapter: without_half(&all) }.into());
            }
            gpu(&DeviceRequest::RealGpuWithHalf, "the first GPU with shader-f16")
        }
        "cpu" => Ok(Choice { device: Device::Cpu, why: format!("{} (asked for)", cpu()) }),
        "gpu" => gpu(&DeviceRequest::AnyGpu, "asked for"),
        "auto" => match software_only() {
            Some(why) => Ok(Choice { device: Device::Cpu, why }),
            None => gpu(&DeviceRequest::RealGpu, "the first GPU; others with --device NAME"),
        },
        name => gpu(&DeviceRequest::Named(name.to_owned()), "asked for"),
    }
}

/// The faster of a GPU and the CPU in a short step of this model.
fn race(config: &Config, device: Device, name: String) -> Result<Choice> {
    let short = short_step(config);
    let tokens = short.train.tokens_per_step();
    let on_gpu = match step_seconds(&short, device.again(), f64::INFINITY) {
        Ok(seconds) => seconds,
        Err(error) => {
            let why = format!(
                "{}: {name} fails in a short training step of this model: {}",
                cpu(),
                reasons(&error)
            );
            return Ok(Choice { device: Device::Cpu, why });
        }
    };
    let on_cpu = step_seconds(&short, Device::Cpu, 2.0 * on_gpu)?;
    let seconds = |it: f64| format!("{it:.3} s");
    let (on_gpu_words, on_cpu_words) = (seconds(on_gpu), seconds(on_cpu));
    Ok(if on_gpu <= on_cpu {
        let why =
            format!("{name}: {tokens} tokens in {on_gpu_words}, on the CPU in {on_cpu_words}");
        Choice { device, why }
    } else {
        let cpu = cpu();
        let why = format!("{cpu}: {tokens} tokens in {on_cpu_words}, on {name} in {on_gpu_words}");
        Choice { device: Device::Cpu, why }
    })
}

/// The model with a micro-batch of about a thousand tokens.
fn short_step(config: &Config) -> Config {
    const TOKENS: usize = 1024;
    let mut short = config.clone();
    let rows = TOKENS / config.train.context_length.max(1);
    short.train.batch_size = rows.clamp(1, config.train.batch_size);
    short.train.gradient_accumulation_steps = 1;
    short
}

/// Seconds of the faster of two steps, after a warm-up step. If the warm-up step takes longer than `hopeless`, its time
/// is returned.
fn step_seconds(config: &Config, device: Device, hopeless: f64) -> Result<f64> {
    let mut rehearsal = Rehearsal::new(config, device.executor(config)?)?;
    let first = rehearsal.step()?;
    if first > hopeless {
        return Ok(first);
    }
    Ok(rehearsal.step()?.min(rehearsal.step()?))
}

fn gpu(request: &DeviceRequest, why: &str) -> Result<Choice> {
    let device = pollster::block_on(open(request))?;
    let why = format!("{} ({why})", describe(&device.summary));
    Ok(Choice { device: Device::Gpu(Box::new(device)), why })
}

/// The reason for the CPU, if there is no real GPU.
fn software_only() -> Option<String> {
    let all = list();
    if all.iter().any(|adapter| !adapter.software) {
        return None;
    }
    let mut why = cpu();
    match all.first() {
        Some(adapter) => {
            why += &format!(
                " (the only GPU adapter, {}, is software on this CPU, and the CPU executor is \
                 faster)",
                adapter.label()
            );
        }
        None => why.push_str(" (no GPU adapter found)"),
    }
    Some(why)
}

/// Description of an adapter.
pub fn describe(adapter: &AdapterSummary) -> String {
    format!("{}, {}", adapter.label(), adapter.backend)
}

fn cpu() -> String {
    let threads = rayon::current_num_threads();
    format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" })
}

impl Device {
    /// Largest buffer and binding.
    fn limits(&self) -> Limits {
        match self {
            Device::Cpu => Limits::NONE,
            Device::Gpu(gpu) => gpu.summary.limits,
        }
    }

    /// The same adapter, with this kernel variant forced in all ops that have it.
    ///
    /// # Errors
    /// On the CPU, which has no variants.
    pub fn forcing(self, way: &str) -> Result<Self> {
        match self {
            Device::Cpu => {
                bail!("--way {way} needs a GPU: add --device gpu or --device NAME")
            }
            Device::Gpu(gpu) => Ok(Device::Gpu(Box::new(gpu.forcing(way)))),
        }
    }

    /// The same device once more.
    pub fn again(&self) -> Self {
        match self {
            Device::Cpu => Device::Cpu,
            Device::Gpu(gpu) => Device::Gpu(gpu.clone()),
        }
    }

    /// Like [`Device::executor`], for training steps without a checkpoint. On the CPU, checks the machine's memory
    /// first.
    ///
    /// # Errors
    /// If the memory is too small.
    pub fn executor_for_steps(self, config: &Config) -> Result<Box<dyn Executor>> {
        if matches!(self, Device::Cpu) {
            memory::check_steps(config)?;
        }
        self.executor(config)
    }

    /// An executor that holds the parameters of this model.
    ///
    /// # Errors
    /// If the device can't hold them.
    pub fn executor(self, config: &Config) -> Result<Box<dyn Executor>> {
        let layout = parameter_layout(config, self.limits())?;
        Ok(match self {
            Device::Cpu => Box::new(CpuExecutor::fast(layout)),
            Device::Gpu(gpu) => Box::new(GpuExecutor::new(*gpu, layout)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_machine_is_taken_and_both_times_are_told() {
        let config = nitp_core::config::preset("nano").expect("a preset");
        let software = gpu(&DeviceRequest::AnyGpu, "asked for").expect("an adapter");
        let choice = race(&config, software.device, "the adapter".to_owned()).expect("a race");
        // Either device may be faster.
        let (cpu, gpu) = (choice.why.starts_with("CPU"), choice.why.starts_with("the adapter"));
        assert!(cpu == matches!(choice.device, Device::Cpu) && cpu != gpu, "{}", choice.why);
        assert_eq!(choice.why.matches(" s").count(), 2, "{}", choice.why);
    }
}
