//! Scores of tasks as tables.

use comfy_table::{CellAlignment, Table, presets};
use console::style;

use super::scores::{Scores, TaskScores};
use crate::output::outln;

/// Prints one row per task, those of multiple choice first; then explains the columns, and reports truncated questions.
pub fn print(scores: &[TaskScores]) {
    let of_kind = |is_cloze: bool| {
        let is_kind = move |it: &&TaskScores| matches!(it.scores, Scores::Cloze { .. }) == is_cloze;
        scores.iter().filter(is_kind)
    };
    let mut table =
        with_header(&["task", "items", "acc", "acc_norm", "acc_bytes", "chance", "majority"]);
    for it in of_kind(false) {
        let Scores::Choice {
            acc,
            acc_stderr,
            acc_norm,
            acc_norm_stderr,
            acc_bytes,
            acc_bytes_stderr,
            chance,
            majority,
        } = it.scores
        else {
            continue;
        };
        table.add_row([
            it.task.clone(),
            it.items.to_string(),
            with_error(acc, acc_stderr),
            with_error(acc_norm, acc_norm_stderr),
            with_error(acc_bytes, acc_bytes_stderr),
            percent(chance),
            percent(majority),
        ]);
    }
    show(
        table,
        "Percent, with the standard error over items. acc: the continuation with the largest \
         log-likelihood; acc_norm: per character; acc_bytes: per byte. chance: a random guess. \
         majority: always the most frequent position of the answer.",
    );
    let mut table = with_header(&["task", "items", "acc", "perplexity"]);
    for it in of_kind(true) {
        let Scores::Cloze { acc, acc_stderr, perplexity } = it.scores else { continue };
        table.add_row([
            it.task.clone(),
            it.items.to_string(),
            with_error(acc, acc_stderr),
            perplexity.map_or_else(|| "infinite".to_owned(), short),
        ]);
    }
    show(
        table,
        "acc: percent of continuations in which every token is the model's first choice. perplexity: \
        per continuation, not per token.",
    );
    for it in scores.iter().filter(|it| it.cut > 0) {
        outln!(
            "{}: {} of {} questions were truncated on the left to fit the model's context",
            it.task,
            it.cut,
            it.items
        );
    }
}

fn with_header(names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(names.iter().map(|it| style(it).bold().to_string()));
    for column in 1..names.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn show(table: Table, note: &str) {
    if !table.is_empty() {
        outln!("{table}\n\n{note}\n");
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn with_error(share: f64, error: Option<f64>) -> String {
    match error {
        Some(error) => format!("{} ±{}", percent(share), percent(error)),
        None => percent(share),
    }
}

/// About three digits, even for very large numbers.
fn short(value: f64) -> String {
    if value < 1e4 { format!("{value:.2}") } else { format!("{value:.2e}") }
}
