//! The tables of a report.

use maud::{Markup, html};

use super::summary::{Metric, Row, Summary};
use super::words::{SIGNIFICANT, interval, is_one_of_several, number, p_value};

/// Largest number of columns that fits a sheet of paper.
const MOST_COLUMNS: usize = 7;

/// Means: one row for each arm, one column for each metric. Single probes and tasks have their own tables.
pub fn overview(summary: &Summary) -> Markup {
    let (single, main): (Vec<_>, Vec<_>) =
        summary.results.iter().partition(|metric| is_one_of_several(metric));
    html! {
        @for metrics in [main, single] {
            @for metrics in metrics.chunks(MOST_COLUMNS) { (means(summary, metrics)) }
        }
    }
}

fn means(summary: &Summary, metrics: &[&Metric]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "arm" } @for metric in metrics { th { (heading(metric)) } } } }
            tbody { @for (arm, it) in summary.arms.iter().enumerate() { tr {
                td { (it.name) }
                @for metric in metrics {
                    @let row = &metric.rows[arm];
                    td.sure[is_sure(row)] { (mean(summary, metric, arm, row)) }
                }
            } } }
        } }
    }
}

/// A title short enough for a column.
fn heading(metric: &Metric) -> String {
    match metric.key.as_str() {
        "val_loss" => "held-out loss".to_owned(),
        "nitp_loss" => "NITP loss".to_owned(),
        "probe" => "probes, %".to_owned(),
        key => key.replace('_', " "),
    }
}

fn is_sure(row: &Row) -> bool {
    row.difference.and_then(|it| it.p_value).is_some_and(|p| p < SIGNIFICANT)
}

fn mean(summary: &Summary, metric: &Metric, arm: usize, row: &Row) -> String {
    match row.mean {
        Some(mean) => number(mean.mean, metric.digits, false),
        None if has_diverged(summary, arm) => "diverged".to_owned(),
        None => "\u{2013}".to_owned(),
    }
}

/// Metrics as groups of rows, with one row for each arm.
pub fn table(summary: &Summary, metrics: &[Metric]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "arm" } th { "mean" } th { "difference to " (summary.baseline) }
                th.aside { "95 % interval" } th { "p" }
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
            td { (mean(summary, metric, arm, row)) }
            @if let Some(difference) = row.difference {
                @let interval = interval(&difference, digits, true);
                td.sure[is_sure(row)] {
                    (number(difference.mean, digits, true))
                    // On a phone the interval is here, and its column is hidden.
                    @if difference.interval.is_some() { span.below { (interval) } }
                }
                td.aside { (interval) }
                td { (p_value(&difference)) }
            } @else {
                td {} td.aside {} td {}
            }
        }
    }
}

fn has_diverged(summary: &Summary, arm: usize) -> bool {
    summary.arms[arm].runs.iter().any(|run| run.outcome.is_diverged())
}

/// A note on the method of the intervals.
pub fn note(summary: &Summary) -> Markup {
    let arms = summary.arms.len() - 1;
    html! {
        p.small.soft {
            @if summary.seeds.len() > 1 {
                "Means over " (summary.seeds.len()) " seeds. Differences are paired: arms of one seed have the \
                 same initial weights and batches. Intervals and p-values are of Student's t"
                @if arms > 1 { "; p-values are corrected for " (arms) " arms (Holm)" }
                ". Bold: p below 0.05."
            } @else {
                "One seed gives no interval."
            }
        }
    }
}

/// Training FLOPs of each arm.
pub fn flops(summary: &Summary) -> Markup {
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
