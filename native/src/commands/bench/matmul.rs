//! `nitp bench matmul`: every variant of a product, beside each other.

use anyhow::{Result, ensure};
use comfy_table::CellAlignment;
use nitp_core::executor::{Executor, MicroInputs};
use nitp_core::gpu::{GpuDevice, GpuExecutor};
use nitp_core::ops::DynOp;
use nitp_core::ops::copy::Copy;
use nitp_core::ops::matmul::{Matmul, Transpose};
use nitp_core::plan::{Limits, ParameterLayout, Plan, PlanBuilder};
use nitp_core::tensor::{DType, Role, View};
use serde::Serialize;

use super::report::least_and_median;
use super::table;
use crate::args::{BenchArgs, Factors};
use crate::device::{self, Device};
use crate::output::outln;

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
        "`nitp bench matmul` multiplies matrices of no model: leave --preset and --set out, and give --size"
    );
    let choice = device::choose(&args.device)?;
    let Device::Gpu(gpu) = choice.device else {
        anyhow::bail!("`nitp bench matmul` compares GPU kernels: give --device gpu or a name");
    };
    let mut rows = Vec::new();
    for (storage, transpose) in
        [("a b", Transpose::None), ("a bT", Transpose::B), ("aT b", Transpose::A)]
    {
        rows.extend(measure(&gpu, storage, transpose, args)?);
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    outln!("nitp {} on {}", env!("CARGO_PKG_VERSION"), choice.why);
    let ([m, n, k], half) = (args.size, args.factors == Factors::F16);
    outln!("c [{m}, {n}] = a b, sums of {k}, {}\n", if half { "f16 with f32 sums" } else { "f32" });
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
    args: &BenchArgs,
) -> Result<Vec<Row>> {
    let (_, op, _) = product(transpose, args);
    let mut ways = Vec::new();
    for variant in gpu.usable(&op) {
        let layout = ParameterLayout::new(std::iter::empty(), Limits::NONE)?;
        let mut executor = GpuExecutor::new(gpu.clone().forcing(variant.name), layout)?;
        let (plan, _, written) = product(transpose, args);
        let plan = executor.load(plan)?;
        for (factor, view) in written.into_iter().enumerate() {
            executor.write_constant(plan, view, &reals(factor, view.len))?;
        }
        ways.push((variant.name, executor, plan, Vec::new()));
    }
    // The first round compiles.
    for round in 0..=args.steps {
        for (_, executor, plan, seconds) in &mut ways {
            let times = executor.profile(*plan, &MicroInputs::default())?;
            if round > 0 {
                // The product comes last.
                seconds.extend(times.last());
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

/// A plan of one product, and where its factors are written.
fn product(transpose: Transpose, args: &BenchArgs) -> (Plan, Matmul, [View; 2]) {
    let mut builder = PlanBuilder::new("matmul");
    let [m, n, k] = args.size;
    let written = [("a", m * k), ("b", k * n)]
        .map(|(name, len)| builder.shared(name, &[len], DType::Real, Role::Constant));
    let factors = match args.factors {
        Factors::F32 => written,
        Factors::F16 => [("a in f16", written[0]), ("b in f16", written[1])].map(|(name, x)| {
            let y = builder.shared(name, &[x.len], DType::Half, Role::Kept);
            builder.push(Copy { x, y });
            y
        }),
    };
    let dtype = if args.factors == Factors::F16 { DType::Half } else { DType::Real };
    let c = builder.shared("c", &[m * n], dtype, Role::Kept);
    let [a, b] = factors;
    let op = Matmul { a, b, c, m, n, k, transpose, accumulate: false };
    builder.push(op);
    (builder.finish(), op, written)
}

/// Reals in -1..1 that have no pattern: a GPU multiplies zeros at a higher clock.
fn reals(factor: usize, len: usize) -> Vec<f32> {
    let mixed = |i: usize| (i + factor * len + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (0..len).map(|i| mixed(i) as f32 / (1u32 << 23) as f32 - 1.0).collect()
}
