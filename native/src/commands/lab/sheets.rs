//! The numbers of a comparison as CSV: `runs.csv` and `curves.csv`.

use anyhow::Result;
use nitp_core::train::RivalLosses;

use super::results::RunResult;
use super::summary::Summary;

/// One row for each arm and seed, one column for each metric.
///
/// # Errors
/// Errors of the CSV library.
pub fn runs(summary: &Summary) -> Result<Vec<u8>> {
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

/// One row for each evaluation.
///
/// # Errors
/// As [`runs`].
pub fn curves(summary: &Summary, results: &[RunResult]) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let before =
        ["arm", "seed", "step", "tokens", "flops", "val_loss", "bits_per_byte", "nitp_loss"];
    let after = ["effective_rank", "mean_cosine"];
    csv.write_record(before.into_iter().chain(RivalLosses::KEYS).chain(after))?;
    for run in results {
        let optional = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
        for it in &run.history.evaluations {
            let geometry = run.history.geometries.iter().find(|geometry| geometry.step == it.step);
            let nitp_loss = Some(it.nitp_loss).filter(|_| run.history.config.nitp.enabled);
            let before = [
                summary.arms[run.arm].name.clone(),
                run.seed.to_string(),
                it.step.to_string(),
                it.tokens.to_string(),
                (it.tokens as f64 * run.history.flops_per_token()).to_string(),
                it.val_loss.to_string(),
                optional(it.bits_per_byte),
                optional(nitp_loss),
            ];
            let rivals = it.rivals.values().map(optional);
            let after = [
                optional(geometry.map(|it| it.effective_rank)),
                optional(geometry.map(|it| it.mean_cosine)),
            ];
            csv.write_record(before.into_iter().chain(rivals).chain(after))?;
        }
    }
    Ok(csv.into_inner()?)
}
