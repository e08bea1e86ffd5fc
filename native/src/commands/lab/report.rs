//! The report of a comparison: one HTML file that needs no network, and the same numbers as JSON and CSV.

use std::path::Path;

use anyhow::Result;
use maud::{Markup, html};

use super::clouds::{self, Cloud};
use super::results::RunResult;
use super::run::Outcome;
use super::summary::{Metric, Row, Summary};
use super::words::{findings, interval, number, p_value, question};
use crate::args::MatchBy;
use crate::figures::charts::MOST_LINES;
use crate::figures::curves::{self, Group};
use crate::figures::lines::{Series, X, Y};
use crate::figures::page;
use crate::history::History;
use crate::whole_file;

/// Writes `report.html`, `report.json`, `runs.csv` and `curves.csv`; each whole or not at all.
///
/// # Errors
/// What the file system says.
pub fn write(
    folder: &Path,
    summary: &Summary,
    results: &[RunResult],
    (shown, clouds): (&[usize], &[Option<Cloud>]),
    command: &str,
) -> Result<()> {
    let json = serde_json::to_string_pretty(summary)?;
    whole_file::write(&folder.join("report.json"), json.as_bytes())?;
    whole_file::write(&folder.join("runs.csv"), &runs_csv(summary)?)?;
    whole_file::write(&folder.join("curves.csv"), &curves_csv(summary, results)?)?;
    let groups = groups(summary, results, shown, clouds)?;
    let page = page(summary, results, &groups, &key(summary, shown), command);
    whole_file::write(&folder.join("report.html"), page.as_bytes())
}

/// A row an arm and seed, a column a number.
fn runs_csv(summary: &Summary) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let metrics = || summary.results.iter().chain(&summary.costs);
    let header = ["arm", "seed", "status"].into_iter().chain(metrics().map(|it| it.key.as_str()));
    csv.write_record(header)?;
    for (arm, it) in summary.arms.iter().enumerate() {
        for (index, run) in it.runs.iter().enumerate() {
            let status = if run.outcome.is_diverged() { "diverged" } else { "finished" };
            let values = metrics().map(|metric| {
                let value = metric.rows[arm].values.get(index).copied().flatten();
                value.map_or_else(String::new, |it| it.to_string())
            });
            let start = [it.name.clone(), run.seed.to_string(), status.to_owned()];
            csv.write_record(start.into_iter().chain(values))?;
        }
    }
    Ok(csv.into_inner()?)
}

/// A row for each look at the held-out text.
fn curves_csv(summary: &Summary, results: &[RunResult]) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record([
        "arm",
        "seed",
        "step",
        "tokens",
        "flops",
        "val_loss",
        "bits_per_byte",
        "nitp_loss",
        "effective_rank",
        "mean_cosine",
    ])?;
    for run in results {
        let optional = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
        for it in &run.history.evaluations {
            let geometry = run.history.geometries.iter().find(|geometry| geometry.step == it.step);
            let nitp_loss = Some(it.nitp_loss).filter(|_| run.history.config.nitp.enabled);
            csv.write_record([
                summary.arms[run.arm].name.clone(),
                run.seed.to_string(),
                it.step.to_string(),
                it.tokens.to_string(),
                (it.tokens as f64 * run.history.flops_per_token()).to_string(),
                it.val_loss.to_string(),
                optional(it.bits_per_byte),
                optional(nitp_loss),
                optional(geometry.map(|it| it.effective_rank)),
                optional(geometry.map(|it| it.mean_cosine)),
            ])?;
        }
    }
    Ok(csv.into_inner()?)
}

fn page(
    summary: &Summary,
    results: &[RunResult],
    groups: &[Group],
    key: &Markup,
    command: &str,
) -> String {
    let names: Vec<&str> = summary.arms.iter().map(|it| it.name.as_str()).collect();
    let title = match names.len() {
        ..=4 => format!("Compared: {}", names.join(", ")),
        count => format!("{} settings compared with {}", count - 1, summary.baseline),
    };
    let body = html! {
        p.soft { (question(summary)) }
        h2 { "In words" }
        ul { @for sentence in findings(summary) { li { (sentence) } } }
        h2 { "In numbers" }
        (table(summary, &summary.results))
        (note(summary))
        @for group in groups { (page::group(group, key)) }
        h2 { "What it cost" }
        p.small.soft {
            "Times are of one machine, and of what else it did; they are not the same in the next run."
        }
        (table(summary, &summary.costs))
        (flops(summary))
        h2 { "Settings" }
        (settings(summary, results))
        h2 { "To repeat it" }
        pre { (command) }
        p.small.soft {
            "The same command goes on with what is not finished, and gives the same numbers. \
             Each run is a folder that nitp eval, nitp generate and nitp train --resume take. \
             The numbers of this page are in report.json, runs.csv and curves.csv."
        }
        p.small.soft { "Made by nitp " (summary.version) "." }
    };
    page::page(&title, &body)
}

/// The arms that charts show: all, or the baseline and those whose held-out loss differs most from its.
pub fn shown(summary: &Summary) -> Vec<usize> {
    let mut others: Vec<usize> = (1..summary.arms.len()).collect();
    if summary.arms.len() > MOST_LINES {
        let difference = |arm: usize| {
            let rows = summary.results.first().map(|it| &it.rows);
            let difference = rows.and_then(|rows| rows[arm].difference);
            // An arm without a mean diverged.
            difference.map_or(f64::INFINITY, |it| it.mean.abs())
        };
        others.sort_by(|&a, &b| difference(b).total_cmp(&difference(a)));
        others.truncate(MOST_LINES - 1);
        others.sort_unstable();
    }
    [0].into_iter().chain(others).collect()
}

/// All charts.
fn groups(
    summary: &Summary,
    results: &[RunResult],
    shown: &[usize],
    clouds: &[Option<Cloud>],
) -> Result<Vec<Group>> {
    let runs = |arm: usize| -> Vec<&History> {
        results.iter().filter(|it| it.arm == arm).map(|it| &it.history).collect()
    };
    let series: Vec<Series<'_>> = shown.iter().map(|&arm| Series { runs: runs(arm) }).collect();
    let names: Vec<&str> = shown.iter().map(|&arm| summary.arms[arm].name.as_str()).collect();
    let (band, means) = match summary.seeds.len() {
        1 => ("", ""),
        _ => (
            " Lines are means over seeds; bands reach from the least to the largest seed.",
            "; means over seeds",
        ),
    };
    let losses = [X::Steps, X::Tokens, X::Flops, X::Seconds].map(|x| (x, Y::HeldOutLoss));
    let caption = format!("In nats a token, against four measures of what was spent.{band}");
    Ok(vec![
        curves::curves("Held-out loss", caption, &series, &losses)?,
        curves::geometry(&series, band)?,
        clouds::group(&names, clouds, summary.seeds[0])?,
        curves::spectra(&series, means)?,
        curves::experts(&series, means)?,
    ])
}

/// Metrics as groups of rows, a row an arm.
fn table(summary: &Summary, metrics: &[Metric]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "arm" } th { "mean" } th { "difference to " (summary.baseline) }
                th { "95 % interval" } th { "p" }
            } }
            @for metric in metrics {
                tbody {
                    tr { th colspan="5" {
                        (metric.title)
                        @if let Some(paper) = metric.paper { " " span { "· the paper: " (paper) } }
                    } }
                    @for (arm, row) in metric.rows.iter().enumerate() {
                        @if row.values.iter().any(Option::is_some) || has_diverged(summary, arm) {
                            (table_row(summary, metric, arm, row))
                        }
                    }
                }
            }
        } }
    }
}

fn table_row(summary: &Summary, metric: &Metric, arm: usize, row: &Row) -> Markup {
    let digits = metric.digits;
    html! {
        tr {
            td { (summary.arms[arm].name) }
            @if let Some(mean) = row.mean {
                td { (number(mean.mean, digits, false)) }
            } @else {
                td { @if has_diverged(summary, arm) { "diverged" } @else { "–" } }
            }
            @if let Some(difference) = row.difference {
                @let sure = difference.p_value.is_some_and(|p| p < 0.05);
                td.sure[sure] { (number(difference.mean, digits, true)) }
                td { (interval(&difference, digits, true)) }
                td { (p_value(&difference)) }
            } @else {
                td {} td {} td {}
            }
        }
    }
}

fn has_diverged(summary: &Summary, arm: usize) -> bool {
    summary.arms[arm].runs.iter().any(|run| run.outcome.is_diverged())
}

/// How the intervals were made.
fn note(summary: &Summary) -> Markup {
    let arms = summary.arms.len() - 1;
    html! {
        p.small.soft {
            @if summary.seeds.len() > 1 {
                "Means over " (summary.seeds.len()) " seeds. Differences are paired: arms of one seed have the \
                 same initial weights and batches. Intervals and p-values are of Student's t"
                @if arms > 1 { "; p-values are corrected for " (arms) " arms (Holm)" }
                ". Bold: p below 0.05."
            } @else {
                "One seed: no interval can be told."
            }
        }
    }
}

/// Which colour is which arm.
fn key(summary: &Summary, shown: &[usize]) -> Markup {
    html! {
        (page::key(shown.iter().map(|&arm| summary.arms[arm].name.as_str())))
        @if shown.len() < summary.arms.len() {
            p.small.soft {
                "Shown are " (MOST_LINES) " arms: " (summary.baseline)
                " and those whose held-out loss differs most from it. The table has all."
            }
        }
    }
}

fn flops(summary: &Summary) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "arm" } th { "steps" } th { "training FLOPs" } th { "FLOPs a token" } } }
            tbody { @for arm in &summary.arms { tr {
                td { (arm.name) }
                td { (arm.steps) }
                td { (format!("{:.3e}", arm.flops)) }
                td { (number(100.0 * arm.flops_overhead, 2, true)) " %" }
            } } }
        } }
    }
}

fn settings(summary: &Summary, results: &[RunResult]) -> Markup {
    let matched = match summary.matched {
        MatchBy::Steps => "steps: every arm has the same batches",
        MatchBy::Flops => "training FLOPs: cheaper arms train for more steps",
    };
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let batches = |seed: u64| {
        let runs = summary.arms.iter().flat_map(|arm| &arm.runs).filter(|run| run.seed == seed);
        runs.filter_map(|run| match &run.outcome {
            Outcome::Finished { batches } => Some(batches),
            Outcome::Diverged { .. } => None,
        })
        .next()
    };
    html! {
        dl {
            dt { "matched by" } dd { (matched) }
            dt { "seeds" } dd { (seeds.join(", ")) }
            @for arm in &summary.arms {
                dt { (arm.name) } dd { code { (arm.sets.join("  ")) } }
            }
            @for &seed in &summary.seeds {
                @if let Some(batches) = batches(seed) {
                    dt { "batches of seed " (seed) }
                    dd { code { (batches.sha256[..16]) } " (SHA-256 of the first " (batches.steps) " steps)" }
                }
            }
        }
        @if let Some(run) = results.first() {
            details {
                summary { "The common configuration, with the keys of " (summary.arms[run.arm].name) }
                pre { (run.history.config.to_toml()) }
            }
        }
    }
}
