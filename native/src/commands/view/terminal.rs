//! Runs in the terminal: a key, charts side by side or below each other, expert loads, a table.

use comfy_table::{CellAlignment, Table, presets};
use console::{Term, colors_enabled, style};

use super::drawing::{Ink, chart};
use super::runs::{COLUMNS, Run, loads, row, series};
use crate::figures::charts::MOST_LINES;
use crate::figures::lines::{Line, X, Y, curves, last_spectra};
use crate::output::outln;

/// Columns without a terminal.
const PLAIN_WIDTH: u16 = 80;

/// Least and largest width of a chart in columns.
const CHART_WIDTHS: [u16; 2] = [48, 100];
const CHART_HEIGHT: u16 = 13;
const GAP: u16 = 3;

/// Prints the runs in the width of the terminal.
pub fn show(runs: &[Run]) {
    let ink = if colors_enabled() { Ink::Colours } else { Ink::Letters };
    let width = Term::stdout().size_checked().map_or(PLAIN_WIDTH, |(_, columns)| columns);
    for line in lines(runs, ink, width) {
        outln!("{}", line.trim_end());
    }
    outln!("{}", table(runs, ink));
}

/// Everything above the table.
fn lines(runs: &[Run], ink: Ink, width: u16) -> Vec<String> {
    let shown = &runs[..runs.len().min(MOST_LINES)];
    let mut text: Vec<String> = shown
        .iter()
        .enumerate()
        .map(|(at, run)| format!("{} {}", ink.mark(at), run.name))
        .collect();
    if shown.len() < runs.len() {
        text.push(format!("The charts show the first {MOST_LINES} runs; the table has all."));
    }
    let beside = (width / CHART_WIDTHS[0]).clamp(1, 2);
    let each = ((width - GAP * (beside - 1)) / beside).clamp(20, CHART_WIDTHS[1]);
    let charts: Vec<Vec<String>> = panels(shown)
        .into_iter()
        .filter_map(|(title, lines, log)| chart(&title, &lines, log, ink, [each, CHART_HEIGHT]))
        .collect();
    for row in charts.chunks(beside as usize) {
        text.push(String::new());
        for at in 0..CHART_HEIGHT as usize {
            let parts: Vec<&str> = row.iter().map(|chart| chart[at].as_str()).collect();
            text.push(parts.join(&" ".repeat(GAP as usize)));
        }
    }
    let loads = shown.iter().enumerate().flat_map(|(at, run)| {
        let mark = ink.mark(at);
        loads(run).into_iter().map(move |line| format!("{mark} {line}"))
    });
    let loads: Vec<String> = loads.collect();
    if !loads.is_empty() {
        text.extend([String::new(), title("share of tokens per expert, last measurement", ink)]);
        text.extend(loads);
    }
    text.push(String::new());
    text
}

fn title(text: &str, ink: Ink) -> String {
    if ink == Ink::Colours { style(text).bold().to_string() } else { text.to_owned() }
}

/// Title, lines, and whether the vertical axis is logarithmic.
fn panels(runs: &[Run]) -> Vec<(String, Vec<Line>, bool)> {
    let series = series(runs);
    let over_steps = |y: Y| (format!("{} by step", y.title()), curves(&series, X::Steps, y), false);
    let mut panels =
        [Y::HeldOutLoss, Y::TrainingLoss, Y::NitpLoss, Y::EffectiveRank, Y::MeanCosine]
            .map(over_steps)
            .to_vec();
    panels.push((
        "spectrum at the last measurement: share by direction".to_owned(),
        last_spectra(&series),
        true,
    ));
    panels
}

fn table(runs: &[Run], ink: Ink) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let header = COLUMNS.map(|it| title(it, ink));
    table.set_header([vec![String::new()], header.to_vec()].concat());
    for (at, run) in runs.iter().enumerate() {
        let mark = if at < MOST_LINES { ink.mark(at) } else { String::new() };
        table.add_row([vec![mark], row(run).to_vec()].concat());
    }
    for column in 2..=COLUMNS.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
