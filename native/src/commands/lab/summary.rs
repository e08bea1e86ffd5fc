//! Results of all arms and seeds as numbers: means, paired differences, intervals.

use anyhow::{Result, ensure};
use nitp_lab::statistics::{Estimate, LEVEL, estimate, holm, paired_difference};
use serde::Serialize;

use super::experiment::Experiment;
use super::measures::{About, COSTS, RESULTS, SCORE};
use super::results::RunResult;
use super::run::Outcome;
use crate::args::MatchBy;
use crate::commands::tasks::scores::{Scores, TaskScores};

/// Results of a comparison; `report.json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Version of the program.
    pub version: String,
    /// Name of the arm that the others are compared with.
    pub baseline: String,
    /// The quantity that is equal in all arms.
    pub matched: MatchBy,
    /// Seeds of weights and batches.
    pub seeds: Vec<u64>,
    /// Each arm.
    pub arms: Vec<ArmSummary>,
    /// Metrics that are determined by the seeds.
    pub results: Vec<Metric>,
    /// Metrics that depend on the machine and its load.
    pub costs: Vec<Metric>,
}

/// An arm.
#[derive(Debug, Serialize)]
pub struct ArmSummary {
    /// Its name.
    pub name: String,
    /// Keys that it sets.
    pub sets: Vec<String>,
    /// Steps of each of its runs.
    pub steps: usize,
    /// Training FLOPs of each of its runs.
    pub flops: f64,
    /// Additional FLOPs per token, as a share of the baseline's.
    pub flops_overhead: f64,
    /// Its runs.
    pub runs: Vec<RunSummary>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct RunSummary {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A metric of every run.
#[derive(Debug, Serialize)]
pub struct Metric {
    /// Its name in files.
    pub key: String,
    /// Its name in reports.
    pub title: String,
    /// Digits after the point.
    pub digits: usize,
    /// Whether less is better; none if neither is.
    pub less_is_better: Option<bool>,
    /// The paper's result.
    pub paper: Option<&'static str>,
    /// A row for each arm, in the order of [`Summary::arms`].
    pub rows: Vec<Row>,
}

/// A metric of an arm's runs.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Values by seed; none for a run without the metric, such as one that diverged.
    pub values: Vec<Option<f64>>,
    /// Mean over seeds; none unless every seed has a value.
    pub mean: Option<Mean>,
    /// Difference to the baseline, paired by seed; none for the baseline itself.
    pub difference: Option<Mean>,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval by Student's t; none with one seed, or if all seeds gave the same number.
    pub interval: Option<[f64; 2]>,
    /// p-value of the hypothesis that the true mean is 0; for differences, after Holm's correction for all arms.
    pub p_value: Option<f64>,
}

impl From<Estimate> for Mean {
    fn from(it: Estimate) -> Self {
        // If all seeds gave the same number, as with counts, there is no spread for an interval.
        let interval = it.interval.filter(|it| it.low < it.high);
        Self {
            mean: it.mean,
            interval: interval.map(|it| [it.low, it.high]),
            p_value: interval.map(|it| it.p_value),
        }
    }
}

impl Summary {
    /// Summarises all runs, in the order of [`Experiment::runs`].
    ///
    /// # Errors
    /// If runs of the same seed had different batches.
    pub fn new(experiment: &Experiment, results: &[RunResult]) -> Result<Self> {
        check_batches(experiment, results)?;
        let of_arm = |arm: usize| results.iter().filter(move |it| it.arm == arm);
        let flops_per_token =
            |arm: usize| of_arm(arm).next().map_or(0.0, |it| it.history.flops_per_token());
        let arms = experiment.arms.iter().enumerate().map(|(index, arm)| {
            let train = of_arm(index).next().map(|it| &it.history.config.train);
            let steps = train.map_or(0, |it| it.steps);
            let tokens = train.map_or(0, |it| it.steps * it.tokens_per_step());
            ArmSummary {
                name: arm.name.clone(),
                sets: arm.sets.clone(),
                steps,
                flops: tokens as f64 * flops_per_token(index),
                flops_overhead: flops_per_token(index) / flops_per_token(0) - 1.0,
                runs: of_arm(index)
                    .map(|it| RunSummary { seed: it.seed, outcome: it.outcome.clone() })
                    .collect(),
            }
        });
        let metrics = |about: &[About]| {
            let all = about
                .iter()
                .map(|about| metric(about, about.key, about.title, &about.of, experiment, results));
            let has_values = |metric: &Metric| {
                metric.rows.iter().any(|row| row.values.iter().any(Option::is_some))
            };
            all.filter(has_values).collect::<Vec<_>>()
        };
        let mut numbers = metrics(RESULTS);
        numbers.extend(probes(experiment, results));
        numbers.extend(tasks(experiment, results));
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            baseline: experiment.arms[0].name.clone(),
            matched: experiment.matched,
            seeds: experiment.seeds.clone(),
            arms: arms.collect(),
            results: numbers,
            costs: metrics(COSTS),
        })
    }
}

/// Checks that runs with the same seed and the same settings of batches had the same batches.
fn check_batches(experiment: &Experiment, results: &[RunResult]) -> Result<()> {
    let batches = |run: &RunResult| match &run.outcome {
        Outcome::Finished { batches } => Some(batches.clone()),
        Outcome::Diverged { .. } => None,
    };
    let shape = |run: &RunResult| {
        let train = &run.history.config.train;
        (train.batch_size, train.context_length, train.gradient_accumulation_steps)
    };
    for (index, run) in results.iter().enumerate() {
        let other = results[..index].iter().find(|it| {
            let differ = batches(it).zip(batches(run)).is_some_and(|(a, b)| a != b);
            it.seed == run.seed && shape(it) == shape(run) && differ
        });
        if let Some(other) = other {
            let [a, b] = [other, run].map(|it| &experiment.arms[it.arm].name);
            ensure!(
                false,
                "{a} and {b} trained on different batches with seed {}: the data changed between the \
                runs. Give another --out",
                run.seed
            );
        }
    }
    Ok(())
}

/// The accuracy on each task.
fn tasks(experiment: &Experiment, results: &[RunResult]) -> Vec<Metric> {
    let Some(first) = results.iter().find(|it| !it.tasks.is_empty()) else { return Vec::new() };
    let of_task = |task: &TaskScores| {
        let of_run = |run: &RunResult| {
            let mut same = run.tasks.iter().filter(|it| it.task == task.task);
            same.next().map(|it| 100.0 * it.acc())
        };
        let key = format!("task_{}_acc", task.task);
        let title = match task.scores {
            Scores::Choice { chance, .. } => {
                format!("task {}: acc, percent (chance {:.1})", task.task, 100.0 * chance)
            }
            Scores::Cloze { .. } => format!("task {}: acc, percent", task.task),
        };
        metric(&SCORE, &key, &title, &of_run, experiment, results)
    };
    first.tasks.iter().map(of_task).collect()
}

/// The mean of a run's main probe scores, then each of them.
fn probes(experiment: &Experiment, results: &[RunResult]) -> Vec<Metric> {
    let mean = |run: &RunResult| {
        let scores: Vec<f64> = run.main_scores().map(|it| 100.0 * it.value).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    };
    let of_all =
        About { paper: Some("39.24 with NTP and 41.56 with NITP, over 25 tasks of MTEB"), ..SCORE };
    let title = "probes: mean over tasks, percent";
    let Some(first) = results.iter().find(|it| it.probed.is_some()) else { return Vec::new() };
    let mut metrics = vec![metric(&of_all, "probe", title, &mean, experiment, results)];
    for score in first.main_scores() {
        let of_task = |run: &RunResult| {
            let mut same = run.main_scores().filter(|it| it.task == score.task);
            same.next().map(|it| 100.0 * it.value)
        };
        let key = format!("probe: {}", score.task);
        let title = format!("probe: {}, {}, percent", score.task, score.measure);
        metrics.push(metric(&SCORE, &key, &title, &of_task, experiment, results));
    }
    metrics
}

fn metric(
    about: &About,
    key: &str,
    title: &str,
    of: &dyn Fn(&RunResult) -> Option<f64>,
    experiment: &Experiment,
    results: &[RunResult],
) -> Metric {
    let values_of = |arm: usize| -> Vec<Option<f64>> {
        let of_seed = |seed: u64| results.iter().find(|it| it.arm == arm && it.seed == seed);
        let finite = |run: &RunResult| of(run).filter(|value| value.is_finite());
        experiment.seeds.iter().map(|&seed| of_seed(seed).and_then(finite)).collect()
    };
    let whole = |values: &[Option<f64>]| values.iter().copied().collect::<Option<Vec<f64>>>();
    let baseline = whole(&values_of(0));
    let mut rows: Vec<Row> = (0..experiment.arms.len())
        .map(|arm| {
            let values = values_of(arm);
            let all = whole(&values);
            let mean = all.as_ref().and_then(|it| estimate(it, LEVEL).ok()).map(Mean::from);
            let compared =
                baseline.as_ref().zip(all.as_ref()).filter(|_| arm > 0 && about.compared);
            let difference =
                compared.and_then(|(baseline, all)| paired_difference(all, baseline, LEVEL).ok());
            Row { values, mean, difference: difference.map(Mean::from) }
        })
        .collect();
    correct(&mut rows);
    Metric {
        key: key.to_owned(),
        title: title.to_owned(),
        digits: about.digits,
        less_is_better: about.less_is_better,
        paper: about.paper,
        rows,
    }
}

/// Holm's correction of p-values, because with several arms one may differ by chance.
fn correct(rows: &mut [Row]) {
    let p_values: Vec<&mut f64> =
        rows.iter_mut().filter_map(|row| row.difference.as_mut()?.p_value.as_mut()).collect();
    let raw: Vec<f64> = p_values.iter().map(|it| **it).collect();
    if let Ok(corrected) = holm(&raw) {
        p_values.into_iter().zip(corrected).for_each(|(to, p)| *to = p);
    }
}
