//! Runs as a page: the charts of the lab's report, with one line per run.

use anyhow::Result;
use maud::html;

use super::runs::{COLUMNS, Run, loads, row, series};
use crate::figures::charts::MOST_LINES;
use crate::figures::lines::{X, Y};
use crate::figures::{curves, page};

/// The whole page.
///
/// # Errors
/// Errors of the plotting library.
pub fn page(runs: &[Run]) -> Result<String> {
    let shown = &runs[..runs.len().min(MOST_LINES)];
    let series = series(shown);
    let key = page::key(shown.iter().map(|run| run.name.as_str()));
    let caption = "In nats a token. The training loss is averaged over sixtieths of the run.";
    let groups = [
        curves::curves(
            "Loss",
            caption.to_owned(),
            &series,
            &[(X::Steps, Y::HeldOutLoss), (X::Steps, Y::TrainingLoss)],
        )?,
        curves::geometry(&series, "")?,
        curves::spectra(&series, "")?,
        curves::experts(&series, "")?,
    ];
    let title = match runs.len() {
        ..=4 => runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "),
        _ => format!("{} runs", runs.len()),
    };
    let body = html! {
        div.wide { table {
            thead { tr { @for name in COLUMNS { th { (name) } } } }
            tbody { @for run in runs { tr { @for cell in row(run) { td { (cell) } } } } }
        } }
        @if shown.len() < runs.len() {
            p.small.soft { "The charts show the first " (MOST_LINES) " runs." }
        }
        @for group in &groups { (page::group(group, &key)) }
        @for run in runs {
            @let loads = loads(run);
            @if !loads.is_empty() {
                p.small { (run.name) }
                ul.small { @for line in loads { li { (line) } } }
            }
        }
        p.small.soft { "Made by nitp " (env!("CARGO_PKG_VERSION")) "." }
    };
    Ok(page::page(&title, &body))
}
