//! The report for people.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::HumanCount;

use super::report::{PresetReport, Report, Row};
use crate::args::BenchWhat;

/// What the machine can do at most.
pub fn ceilings(report: &Report) -> String {
    format!(
        "  at most {:.1} GFLOP/s (multiply-adds in registers), {:.1} GB/s (a large copy)",
        report.ceiling_gflops, report.ceiling_gigabytes_per_second
    )
}

/// A preset's step, its ops together or by shape.
pub fn preset(it: &PresetReport, what: BenchWhat) -> String {
    let mut text = format!(
        "{}: a training step of {} tokens takes {} (at least {}), {} tokens/s; its ops by \
         themselves {}\n",
        it.preset,
        HumanCount(it.tokens as u64),
        time(it.seconds_median),
        time(it.seconds_min),
        HumanCount(it.tokens_per_second() as u64),
        time(it.seconds_of_ops()),
    );
    if what != BenchWhat::Ops {
        text += &format!("\n{}\n", together(it));
    }
    if what != BenchWhat::Step {
        text += &format!("\n{}\n", by_shape(it));
    }
    text.trim_end().to_owned()
}

fn together(it: &PresetReport) -> Table {
    let mut ops: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    it.ops.iter().for_each(|row| ops.entry(&row.op).or_default().push(row));
    let mut ops: Vec<(&str, Vec<&Row>)> = ops.into_iter().collect();
    let total = |rows: &[&Row]| rows.iter().map(|row| row.total()).sum::<f64>();
    ops.sort_by(|a, b| total(&b.1).total_cmp(&total(&a.1)));
    let all = it.seconds_of_ops();
    let mut table = table(["op", "calls", "time", "share", "GFLOP/s", "GB/s", "of ceiling"], 1);
    for (op, rows) in ops {
        let seconds = total(&rows);
        // Rates of a group are those of its whole work in its whole time.
        let mean = |of: fn(&Row) -> f64| {
            rows.iter().map(|row| of(row) * row.total()).sum::<f64>() / seconds
        };
        table.add_row([
            op.to_owned(),
            rows.iter().map(|row| row.calls).sum::<usize>().to_string(),
            time(seconds),
            format!("{:.1} %", 100.0 * seconds / all),
            format!("{:.1}", mean(|row| row.gflops)),
            format!("{:.1}", mean(|row| row.gigabytes_per_second)),
            format!("{:.0} %", mean(|row| row.percent_of_ceiling)),
        ]);
    }
    table
}

fn by_shape(it: &PresetReport) -> Table {
    let header = ["op", "read -> written", "kernel", "calls", "a call", "at least", "GFLOP/s"];
    let mut table =
        table([&header[..], &["GB/s", "of ceiling"]].concat().try_into().unwrap_or([""; 9]), 3);
    for row in &it.ops {
        table.add_row([
            row.op.clone(),
            row.shape.clone(),
            row.variant.clone(),
            row.calls.to_string(),
            time(row.seconds_median),
            time(row.seconds_min),
            format!("{:.1}", row.gflops),
            format!("{:.1}", row.gigabytes_per_second),
            format!("{:.0} %", row.percent_of_ceiling),
        ]);
    }
    table
}

/// Columns from `numbers` on are aligned to the right.
fn table<const N: usize>(header: [&str; N], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table.column_iter_mut().skip(numbers).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table
}

/// In the unit that suits it.
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", 1e3 * s),
        s => format!("{:.1} us", 1e6 * s),
    }
}
