//! What NITP adds to a training step: time, beside FLOPs.

use anyhow::Result;
use nitp_core::config::{Config, load, preset};
use nitp_core::train::Rehearsal;
use serde::Serialize;

use super::table::time;
use super::{WARM_UP, median};
use crate::args::BenchArgs;
use crate::device;
use crate::output::outln;

/// A preset's step with NITP and without.
#[derive(Debug, Serialize)]
struct Overhead {
    preset: String,
    seconds_with: f64,
    seconds_without: f64,
    /// What it adds, as a part of the step without it: FLOPs by the plans' own count.
    flops_share: f64,
    /// The same of the time: the median of pairs of steps.
    time_share: f64,
    /// The second by the first.
    ratio: f64,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, presets: &[String]) -> Result<()> {
    let mut measured = Vec::new();
    for name in presets {
        let mut config = load(preset(name)?, None, &args.sets)?;
        config.train.gradient_accumulation_steps = 1;
        let overhead = measure(name, config, args)?;
        if !args.json {
            outln!("{}", words(&overhead));
        }
        measured.push(overhead);
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&measured)?);
    }
    Ok(())
}

fn measure(name: &str, config: Config, args: &BenchArgs) -> Result<Overhead> {
    let mut config = config.next_token_alone();
    let mut rehearsal = |enabled: bool| -> Result<Rehearsal> {
        config.nitp.enabled = enabled;
        let choice = device::choose_tuned(&args.device, &config)?;
        Ok(Rehearsal::new(&config, choice.device.executor_for_steps(&config)?)?)
    };
    let (mut with, mut without) = (rehearsal(true)?, rehearsal(false)?);
    let mut pairs = Vec::new();
    for step in 0..WARM_UP + args.steps {
        // In turns, and who begins changes: both see the same machine.
        let pair = if step % 2 == 0 {
            let first = with.step()?;
            (first, without.step()?)
        } else {
            let first = without.step()?;
            (with.step()?, first)
        };
        if step >= WARM_UP {
            pairs.push(pair);
        }
    }
    let flops = |rehearsal: &Rehearsal| rehearsal.plan().cost().flops;
    let flops_share = flops(&with) / flops(&without) - 1.0;
    let time_share = median(pairs.iter().map(|(with, without)| with / without - 1.0));
    Ok(Overhead {
        preset: name.to_owned(),
        seconds_with: median(pairs.iter().map(|pair| pair.0)),
        seconds_without: median(pairs.iter().map(|pair| pair.1)),
        flops_share,
        time_share,
        ratio: time_share / flops_share,
    })
}

fn words(it: &Overhead) -> String {
    format!(
        "{}: a step takes {} with NITP and {} without: {:.1} % more time for {:.1} % more FLOPs, \
         {:.2} times their share",
        it.preset,
        time(it.seconds_with),
        time(it.seconds_without),
        100.0 * it.time_share,
        100.0 * it.flops_share,
        it.ratio
    )
}
