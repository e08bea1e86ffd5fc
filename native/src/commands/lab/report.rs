//! The report of a comparison: one HTML file that needs no network, and the same numbers as JSON and CSV.

use std::path::Path;

use anyhow::Result;
use maud::{Markup, html};

use super::clouds::{self, Cloud};
use super::results::RunResult;
use super::run::Outcome;
use super::sheets;
use super::summary::Summary;
use super::tables::{flops, note, overview, table};
use super::words::{findings, question};
use crate::args::MatchBy;
use crate::figures::charts::MOST_LINES;
use crate::figures::curves::{self, Group};
use crate::figures::lines::{Series, X, Y};
use crate::figures::page;
use crate::history::History;
use nitp_files::whole_file;

/// Writes `report.html`, `report.json`, `runs.csv` and `curves.csv`; each whole or not at all.
///
/// # Errors
/// Errors of the file system.
pub fn write(
    folder: &Path,
    summary: &Summary,
    results: &[RunResult],
    (shown, clouds): (&[usize], &[Option<Cloud>]),
    command: &str,
) -> Result<()> {
    let json = serde_json::to_string_pretty(summary)?;
    whole_file::write(&folder.join("report.json"), json.as_bytes())?;
    whole_file::write(&folder.join("runs.csv"), &sheets::runs(summary)?)?;
    whole_file::write(&folder.join("curves.csv"), &sheets::curves(summary, results)?)?;
    let groups = groups(summary, results, shown, clouds)?;
    let key = page::key(shown.iter().map(|&arm| summary.arms[arm].name.as_str()));
    let page = page(summary, results, &groups, &key, command);
    whole_file::write(&folder.join("report.html"), page.as_bytes())
}

fn page(
    summary: &Summary,
    results: &[RunResult],
    groups: &[Group],
    key: &Markup,
    command: &str,
) -> String {
    let names: Vec<&str> = summary.arms.iter().map(|it| it.name.as_str()).collect();
    // With many arms, readers need the means first, and look up single differences and intervals.
    let is_long = names.len() > 4;
    let title = match names.len() {
        ..=4 => format!("Compared: {}", names.join(", ")),
        count => format!("{} settings compared with {}", count - 1, summary.baseline),
    };
    let body = html! {
        p.soft { (question(summary)) }
        h2 { "In words" }
        ul { @for sentence in findings(summary) { li { (sentence) } } }
        h2 { "In numbers" }
        @if is_long { (overview(summary)) } @else { (table(summary, &summary.results)) }
        (note(summary))
        @if summary.arms.len() > MOST_LINES {
            p.small.soft {
                "The charts show " (MOST_LINES) " arms: " (summary.baseline) " and the arms with the \
                    largest difference in held-out loss. The tables list all arms."
            }
        }
        @for group in groups { (page::group(group, key)) }
        @if is_long {
            h2 { "Differences" }
            (table(summary, &summary.results))
        }
        h2 { "What it cost" }
        p.small.soft {
            "Times hold for one machine and its load; they vary between runs."
        }
        (table(summary, &summary.costs))
        (flops(summary))
        h2 { "Settings" }
        (settings(summary, results))
        h2 { "To repeat it" }
        pre { (command) }
        p.small.soft {
            "The same command continues an unfinished experiment, and gives the same numbers. Each run \
            is a folder for nitp eval, nitp generate and nitp train --resume. The numbers of this page \
            are in report.json, runs.csv and curves.csv."
        }
        p.small.soft { "Made by nitp " (summary.version) "." }
    };
    page::page(&title, &body)
}

/// The arms in charts: all, or the baseline and the arms with the largest difference in held-out loss.
pub fn shown(summary: &Summary) -> Vec<usize> {
    let mut others: Vec<usize> = (1..summary.arms.len()).collect();
    if summary.arms.len() > MOST_LINES {
        let difference = |arm: usize| {
            let rows = summary.results.first().map(|it| &it.rows);
            let difference = rows.and_then(|rows| rows[arm].difference);
            // An arm without a mean has diverged.
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
    let caption = format!("In nats a token, against four measures of cost.{band}");
    Ok(vec![
        curves::curves("Held-out loss", caption, &series, &losses)?,
        curves::geometry(&series, band)?,
        clouds::group(&names, clouds, summary.seeds[0])?,
        curves::spectra(&series, means)?,
        curves::experts(&series, means)?,
    ])
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
