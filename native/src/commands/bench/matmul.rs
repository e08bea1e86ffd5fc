//! `nitp bench matmul`: every variant of a product, beside each other.

use anyhow::{Result, ensure};
use comfy_table::CellAlignment;
use nitp_core::executor::{Executor, MicroInputs};
use nitp_core::gpu::{GpuDevice, GpuExecutor};
use nitp_core::ops::DynOp;
use nitp_core::ops::matmul::{Matmul, Transpose};
use nitp_core::plan::{DType, Limits, ParameterLayout, Plan, PlanBuilder, Role};
use serde::Serialize;

use super::report::least_and_median;
use super::table;
use crate::args::BenchArgs;
use crate::device::{self, Device};
use crate::output::outln;

/// Rows, columns and depth.
const SIZE: usize = 512;

/// A way and its times.
#[derive(Debug, Serialize)]
struct Row {
    storage: &'static str,
    variant: &'static str,
    seconds_min: f64,
    seconds_median: f64,
    gflops: f64,
    /// Against the textbook's tile, at the median.
    times_plain: f64,
}

/// Measures and prints.
pub fn run(args: &BenchArgs) -> Result<()> {
    ensure!(
        args.presets.is_empty() && args.sets.is_empty(),
        "`nitp bench matmul` multiplies squares of {SIZE}, of no model: leave --preset and --set out"
    );
    let choice = device::choose(&args.device)?;
    let Device::Gpu(gpu) = choice.device else {
        anyhow::bail!("`nitp bench matmul` compares GPU kernels: give --device gpu or a name");
    };
    let mut rows = Vec::new();
    for (storage, transpose) in
        [("a b", Transpose::None), ("a bT", Transpose::B), ("aT b", Transpose::A)]
    {
        rows.extend(measure(&gpu, storage, transpose, args.steps)?);
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    outln!("nitp {} on {}", env!("CARGO_PKG_VERSION"), choice.why);
    outln!("c = a b, {SIZE} x {SIZE} x {SIZE}, f32\n");
    let header = ["storage", "variant", "median", "at least", "GFLOP/s", "of plain16"];
    let mut table = table::table(header, 2);
    for row in &rows {
        table.add_row([
            row.storage.to_owned(),
            row.variant.to_owned(),
            table::time(row.seconds_median),
            table::time(row.seconds_min),
            format!("{:.1}", row.gflops),
            format!("{:.1}x", row.times_plain),
        ]);
    }
    table.column_mut(0).into_iter().for_each(|it| it.set_cell_alignment(CellAlignment::Left));
    outln!("{table}");
    Ok(())
}

/// In turns, so that all see the same machine.
fn measure(
    gpu: &GpuDevice,
    storage: &'static str,
    transpose: Transpose,
    rounds: usize,
) -> Result<Vec<Row>> {
    let (_, op) = product(transpose);
    let mut ways = Vec::new();
    for variant in gpu.usable(&op) {
        let layout = ParameterLayout::new(std::iter::empty(), Limits::NONE)?;
        let mut executor = GpuExecutor::new(gpu.clone().forcing(variant.name), layout)?;
        let (plan, op) = product(transpose);
        let plan = executor.load(plan)?;
        for (factor, view) in [op.a, op.b].into_iter().enumerate() {
            executor.write_constant(plan, view, &reals(factor, view.len))?;
        }
        ways.push((variant.name, executor, plan, Vec::new()));
    }
    // The first round compiles.
    for round in 0..=rounds {
        for (_, executor, plan, seconds) in &mut ways {
            let times = executor.profile(*plan, &MicroInputs::default())?;
            if round > 0 {
                seconds.extend(times);
            }
        }
    }
    let plain = ways.iter().find(|(name, ..)| *name == "plain16");
    ensure!(plain.is_some(), "no plain16 among the variants");
    let plain = plain.map_or(0.0, |(.., seconds)| least_and_median(seconds).1);
    let rows = ways.iter().map(|(variant, .., seconds)| {
        let (seconds_min, seconds_median) = least_and_median(seconds);
        Row {
            storage,
            variant,
            seconds_min,
            seconds_median,
            gflops: 1e-9 * DynOp::cost(&op).flops / seconds_median,
            times_plain: plain / seconds_median,
        }
    });
    Ok(rows.collect())
}

fn product(transpose: Transpose) -> (Plan, Matmul) {
    let mut builder = PlanBuilder::new("matmul");
    let [a, b, c] = [("a", Role::Constant), ("b", Role::Constant), ("c", Role::State)]
        .map(|(name, role)| builder.shared(name, &[SIZE, SIZE], DType::Real, role));
    let op = Matmul { a, b, c, m: SIZE, n: SIZE, k: SIZE, transpose, accumulate: false };
    builder.push(op);
    (builder.finish(), op)
}

/// Reals in -1..1 that have no pattern: a GPU multiplies zeros at a higher clock.
fn reals(factor: usize, len: usize) -> Vec<f32> {
    let mixed = |i: usize| (i + factor * len + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (0..len).map(|i| mixed(i) as f32 / (1u32 << 23) as f32 - 1.0).collect()
}
