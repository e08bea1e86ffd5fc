//! `nitp bench`: ops and whole training steps, against what the machine can do at most.

mod baseline;
mod generate;
mod matmul;
mod moe;
mod overhead;
mod report;
mod table;

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use nitp_core::config::{Config, load, preset};
use nitp_core::plan::{Node, Plan};
use nitp_core::train::{Ceilings, Rehearsal};

use crate::args::{BenchArgs, BenchWhat};
use crate::device;
use crate::output::{errln, outln};
use report::{PresetReport, Report, Row};

/// Steps that are not counted: caches, clocks and memory come to rest.
const WARM_UP: usize = 2;

/// Measures and prints.
pub fn run(args: &BenchArgs) -> Result<()> {
    ensure!(args.steps > 0, "--steps 0: at least one step is needed to measure anything");
    let default: &[&str] = match args.what {
        BenchWhat::Ops | BenchWhat::Step | BenchWhat::All => &["tiny", "tiny-moe"],
        BenchWhat::Overhead | BenchWhat::Generate => &["tiny", "small"],
        BenchWhat::Moe => &["1.9b-a0.3b"],
        BenchWhat::Matmul => &[],
    };
    let presets = match args.presets.as_slice() {
        [] => default.iter().map(|&name| name.to_owned()).collect(),
        given => given.to_vec(),
    };
    let compared = matches!(args.what, BenchWhat::Ops | BenchWhat::Step | BenchWhat::All);
    if !compared && args.baseline.is_some() {
        bail!("--baseline compares ops and steps: leave it out, or take ops, step or all");
    }
    if !compared && args.way.is_some() {
        bail!("--way is for ops and steps: leave it out, or take ops, step or all");
    }
    match args.what {
        BenchWhat::Overhead => overhead::run(args, &presets),
        BenchWhat::Moe => moe::run(args, &presets),
        BenchWhat::Generate => generate::run(args, &presets),
        BenchWhat::Matmul => matmul::run(args),
        BenchWhat::Ops | BenchWhat::Step | BenchWhat::All => ops(args, &presets),
    }
}

/// Each op and whole steps.
fn ops(args: &BenchArgs, presets: &[String]) -> Result<()> {
    let baseline = args.baseline.as_deref().map(baseline::read).transpose()?;
    let mut report = Report::new(device::choose(&args.device)?.why);
    if !args.json {
        outln!("nitp {} on {}", report.version, report.device);
    }
    for name in presets {
        let config = load(preset(name)?, None, &args.sets)?;
        let mut choice = device::choose_tuned(&args.device, &config)?;
        if let Some(way) = &args.way {
            choice.device = choice.device.forcing(way)?;
        }
        let mut rehearsal = Rehearsal::new(&config, choice.device.executor_for_steps(&config)?)?;
        let ceilings = match report.ceilings() {
            Some(ceilings) => ceilings,
            None => {
                let ceilings = rehearsal.ceilings(5)?;
                report.set_ceilings(ceilings);
                if !args.json {
                    outln!("{}", table::ceilings(&report));
                }
                ceilings
            }
        };
        let measured = measure(name, &config, &mut rehearsal, ceilings, args.steps)?;
        if !args.json {
            outln!("\n{}", table::preset(&measured, args.what));
        }
        report.presets.push(measured);
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&report)?);
    }
    if let Some(baseline) = baseline {
        let words = baseline::compare(&baseline, &report);
        if args.json { errln!("{words}") } else { outln!("\n{words}") }
    }
    Ok(())
}

fn measure(
    name: &str,
    config: &Config,
    rehearsal: &mut Rehearsal,
    ceilings: Ceilings,
    steps: usize,
) -> Result<PresetReport> {
    let mut seconds = Vec::new();
    let mut profiles = Vec::new();
    for step in 0..WARM_UP + steps {
        // In turns, so that both see the same machine.
        let (whole, parts) = (rehearsal.step()?, rehearsal.profile()?);
        if step >= WARM_UP {
            seconds.push(whole);
            profiles.push(parts);
        }
    }
    let train = &config.train;
    let micro = train.gradient_accumulation_steps.max(1);
    let tokens = train.batch_size * train.context_length * micro;
    let rows = rows(rehearsal.plan(), &profiles, ceilings, &rehearsal.ways());
    Ok(PresetReport::new(name, tokens, &seconds, rows))
}

/// One row for each op and shape, dearest first.
fn rows(plan: &Plan, profiles: &[Vec<f64>], ceilings: Ceilings, ways: &[String]) -> Vec<Row> {
    let mut groups: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (index, node) in plan.nodes().enumerate() {
        groups.entry((node.op.name(), shape(plan, node))).or_default().push(index);
    }
    let nodes: Vec<&Node> = plan.nodes().collect();
    let mut rows: Vec<Row> = groups
        .into_iter()
        .map(|((op, shape), indices)| {
            // Of each profile, the mean of the group's calls.
            let calls = indices.len();
            let mean = |times: &Vec<f64>| {
                indices.iter().map(|&index| times[index]).sum::<f64>() / calls as f64
            };
            let means: Vec<f64> = profiles.iter().map(mean).collect();
            let node = nodes[indices[0]];
            Row::new(op, shape, ways[indices[0]].clone(), calls, &means, node.op.cost(), ceilings)
        })
        .collect();
    rows.sort_by(|a, b| b.total().total_cmp(&a.total()));
    rows
}

/// The tensors that an op reads and those that it writes, by their shapes.
fn shape(plan: &Plan, node: &Node) -> String {
    let uses = node.op.uses();
    let list = |written: bool| {
        let some = uses.iter().filter(|used| used.access.writes() == written);
        let shapes = some.map(|used| {
            let info = plan.info(used.view.id);
            if info.len() == used.view.len {
                let sizes: Vec<String> = info.shape.iter().map(ToString::to_string).collect();
                sizes.join("x")
            } else {
                used.view.len.to_string()
            }
        });
        shapes.collect::<Vec<_>>().join(" ")
    };
    format!("{} -> {}", list(false), list(true))
}
/// The middle one.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
