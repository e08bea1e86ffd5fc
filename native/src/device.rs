//! Which machine a run takes, and why.

use anyhow::Result;
use nitp_core::config::{Config, Precision};
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::{Executor, ExecutorError};
use nitp_core::gpu::{AdapterSummary, DeviceRequest, GpuDevice, GpuExecutor, adapters, open};
use nitp_core::model::parameter_layout;
use nitp_core::plan::Limits;
use nitp_core::train::Rehearsal;

use crate::args::{DeviceArgs, Tune};
use crate::{memory, tuning};

/// A chosen machine.
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An opened adapter.
    Gpu(Box<GpuDevice>),
}

/// A machine and the words about it.
pub struct Choice {
    /// The machine.
    pub device: Device,
    /// What it is and why it was taken.
    pub why: String,
}

/// Every adapter of this machine, real GPUs first.
pub fn list() -> Vec<AdapterSummary> {
    pollster::block_on(adapters())
}

/// Chooses by the value of `--device`, by rule: for what is over soon.
///
/// # Errors
/// If no adapter fits.
pub fn choose(args: &DeviceArgs) -> Result<Choice> {
    match args.device.as_str() {
        "cpu" => Ok(Choice { device: Device::Cpu, why: format!("{} (asked for)", cpu()) }),
        "gpu" => gpu(&DeviceRequest::AnyGpu, args.tune, "asked for"),
        "auto" => match software_only() {
            Some(why) => Ok(Choice { device: Device::Cpu, why }),
            None => {
                gpu(&DeviceRequest::RealGpu, args.tune, "the first GPU; others with --device NAME")
            }
        },
        name => gpu(&DeviceRequest::Named(name.to_owned()), args.tune, "asked for"),
    }
}

/// As [`choose`], for steps in mixed precision.
fn choose_mixed(args: &DeviceArgs) -> Result<Choice> {
    let choice = match args.device.as_str() {
        // Nothing is gained by emulating: it is done where it is asked for.
        "auto" => {
            let all = list();
            if !all.iter().any(|adapter| !adapter.software && adapter.half) {
                return Err(ExecutorError::NoHalf { adapter: without_half(&all) }.into());
            }
            gpu(&DeviceRequest::RealGpuWithHalf, args.tune, "the first GPU with shader-f16")?
        }
        _ => choose(args)?,
    };
    match &choice.device {
        Device::Cpu => {
            let why = format!("{}, emulating mixed precision: slower than f32", choice.why);
            Ok(Choice { why, ..choice })
        }
        Device::Gpu(gpu) => {
            gpu.summary.check_half()?;
            Ok(choice)
        }
    }
}

/// Which adapters `auto` could not take for mixed precision.
fn without_half(all: &[AdapterSummary]) -> String {
    match all {
        [] => "there is no GPU adapter".to_owned(),
        [only] if only.software => format!("the only one, `{}`, is software", only.name),
        [only] => format!("the only one, `{}`, lacks it", only.name),
        all => {
            let names: Vec<String> = all.iter().map(|it| format!("`{}`", it.name)).collect();
            format!("no GPU among {} has it", names.join(", "))
        }
    }
}

/// Chooses by rule, and measures the kernels that this model needs: for benchmarks.
///
/// # Errors
/// If no adapter fits, or what a device reports.
pub fn choose_tuned(args: &DeviceArgs, config: &Config) -> Result<Choice> {
    let mixed = config.train.precision == Precision::Mixed;
    let Choice { device, why } = if mixed { choose_mixed(args)? } else { choose(args)? };
    let device = match device {
        Device::Cpu => Device::Cpu,
        Device::Gpu(gpu) => Device::Gpu(Box::new(tuning::measured(*gpu, config, args.tune)?)),
    };
    Ok(Choice { device, why })
}

/// Chooses for training this model: as [`choose_tuned`], but where `auto` finds a real GPU, a short
/// step of the model on it and on the CPU decides, unless the CPU could only emulate.
///
/// # Errors
/// As there.
pub fn choose_for(args: &DeviceArgs, config: &Config) -> Result<Choice> {
    let choice = choose_tuned(args, config)?;
    let emulated = config.train.precision == Precision::Mixed;
    let raced = args.device == "auto" && matches!(choice.device, Device::Gpu(_)) && !emulated;
    if raced && memory::check_machine(config).is_ok() {
        return race(config, choice.device, choice.why);
    }
    Ok(choice)
}

/// The faster of a GPU and the CPU, at a short step of this model.
fn race(config: &Config, device: Device, name: String) -> Result<Choice> {
    let short = short_step(config);
    let tokens = short.train.tokens_per_step();
    let on_gpu = step_seconds(&short, device.again())?;
    let on_cpu = step_seconds(&short, Device::Cpu)?;
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

/// Of the faster of two steps, after one that doesn't count.
fn step_seconds(config: &Config, device: Device) -> Result<f64> {
    let mut rehearsal = Rehearsal::new(config, device.executor(config)?)?;
    rehearsal.step()?;
    Ok(rehearsal.step()?.min(rehearsal.step()?))
}

fn gpu(request: &DeviceRequest, tune: Tune, why: &str) -> Result<Choice> {
    let device = tuning::known(pollster::block_on(open(request))?, tune);
    let why = format!("{} ({why})", describe(&device.summary));
    Ok(Choice { device: Device::Gpu(Box::new(device)), why })
}

/// Why the CPU is taken where there is no real GPU.
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
                adapter.name
            );
        }
        None => why.push_str(" (no GPU adapter found)"),
    }
    Some(why)
}

/// An adapter in a few words.
pub fn describe(adapter: &AdapterSummary) -> String {
    format!("{}, {}", adapter.name, adapter.backend)
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

    /// The same machine once more.
    fn again(&self) -> Self {
        match self {
            Device::Cpu => Device::Cpu,
            Device::Gpu(gpu) => Device::Gpu(gpu.clone()),
        }
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
        let software = gpu(&DeviceRequest::AnyGpu, Tune::Off, "asked for").expect("an adapter");
        let choice = race(&config, software.device, "the adapter".to_owned()).expect("a race");
        // Which one is faster is the machine's business.
        let (cpu, gpu) = (choice.why.starts_with("CPU"), choice.why.starts_with("the adapter"));
        assert!(cpu == matches!(choice.device, Device::Cpu) && cpu != gpu, "{}", choice.why);
        assert_eq!(choice.why.matches(" s").count(), 2, "{}", choice.why);
    }
}
