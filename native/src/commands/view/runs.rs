//! The runs to show: reading them, unique names, and their last metrics.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::figures::lines::{Series, expert_blocks, expert_shares};
use crate::history::History;
use crate::output::quoted;
use crate::run_folder;

/// A run.
pub struct Run {
    /// A short, unique name.
    pub name: String,
    /// Its events.
    pub history: History,
}

/// The columns of the table.
pub const COLUMNS: [&str; 7] =
    ["run", "steps", "held-out loss", "bits per byte", "effective rank", "mean cosine", "tokens/s"];

/// Every run once, in the given order, and notes for the user.
///
/// # Errors
/// If one is no run, or no run has data.
pub fn read(paths: &[PathBuf]) -> Result<(Vec<Run>, Vec<String>)> {
    let mut notes = Vec::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut histories = Vec::new();
    for path in paths {
        check_no_comparison(path)?;
        let run = run_folder::find(path)?;
        let folder = fs::canonicalize(run.path())
            .with_context(|| format!("reading {}", run.path().display()))?;
        if folders.contains(&folder) {
            notes.push(format!("{} was given twice and is shown once", path.display()));
            continue;
        }
        let config = run.config()?;
        let history = match run.metrics().exists() {
            true => Some(History::read(&run.metrics(), config)?),
            false => None,
        };
        match history.filter(|it| !it.is_empty()) {
            Some(history) => {
                folders.push(folder);
                histories.push(history);
            }
            None => notes.push(format!(
                "the run {} has no data yet: its first step is not finished",
                path.display()
            )),
        }
    }
    if folders.is_empty() {
        bail!("{}. Repeat the command after the first step", notes.join("; "));
    }
    let runs = names(&folders).into_iter().zip(histories);
    Ok((runs.map(|(name, history)| Run { name, history }).collect(), notes))
}

/// Rejects the folder of a comparison, which also has a configuration, and many runs.
fn check_no_comparison(path: &Path) -> Result<()> {
    ensure!(
        !path.join("experiment.json").is_file(),
        "{} is a comparison, not a run: see its report.html, or give its runs, as in `nitp view \
         {}/runs/*/seed-0`",
        path.display(),
        quoted(path)
    );
    Ok(())
}

/// The last component of each path, with as many components before it as make names unique.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let with_parts = |count: usize| -> Vec<String> {
        let name = |folder: &PathBuf| {
            let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
            parts[parts.len().saturating_sub(count)..].join("/").replace("//", "/")
        };
        folders.iter().map(name).collect()
    };
    let differ = |names: &Vec<String>| (1..names.len()).all(|at| !names[..at].contains(&names[at]));
    let longest = folders.iter().map(|folder| folder.iter().count()).max().unwrap_or(1);
    let found = (1..=longest).map(with_parts).find(differ);
    found.unwrap_or_else(|| with_parts(longest))
}

/// One line for each run.
pub fn series(runs: &[Run]) -> Vec<Series<'_>> {
    runs.iter().map(|run| Series { runs: vec![&run.history] }).collect()
}

/// A row of the table, the name first.
pub fn row(run: &Run) -> [String; 7] {
    let history = &run.history;
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let (evaluation, geometry) = (history.evaluations.last(), history.geometries.last());
    let speed = history.tokens_per_second();
    [
        run.name.clone(),
        format!("{} of {}", history.done(), history.config.train.steps),
        number(evaluation.map(|it| it.val_loss), 4),
        number(evaluation.and_then(|it| it.bits_per_byte), 4),
        number(geometry.map(|it| it.effective_rank), 1),
        number(geometry.map(|it| it.mean_cosine), 4),
        speed.map_or_else(|| "-".to_owned(), crate::progress::thousands),
    ]
}

/// For each MoE block: the largest and the smallest share of an expert.
pub fn loads(run: &Run) -> Vec<String> {
    let block = |block: usize| {
        let shares = expert_shares(&run.history, block)?;
        let percent = |share: &f64| format!("{:4.1} %", 100.0 * share);
        Some(format!(
            "MoE block {}  largest {}  smallest {}  of {} experts",
            block + 1,
            percent(shares.first()?),
            percent(shares.last()?),
            shares.len()
        ))
    };
    (0..expert_blocks(&run.history)).filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be_and_differ() {
        let names = |paths: &[&str]| names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["/w/runs/tiny-1"]), ["tiny-1"]);
        assert_eq!(names(&["/w/runs/tiny-1", "/w/runs/tiny-2"]), ["tiny-1", "tiny-2"]);
        let lab = ["/w/runs/ntp/seed-0", "/w/runs/nitp/seed-0"];
        assert_eq!(names(&lab), ["ntp/seed-0", "nitp/seed-0"]);
        assert_eq!(names(&["/a/b/c", "/d/b/c", "/d/b/e"]), ["a/b/c", "d/b/c", "d/b/e"]);
        assert_eq!(names(&["/c", "/d/c"]), ["/c", "d/c"]);
    }
}
