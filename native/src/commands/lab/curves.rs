//! Which curves a report shows, and their points over seeds.

use std::collections::BTreeSet;

use anyhow::Result;

use super::charts::{Axes, Line, MOST_LINES, chart};
use super::results::RunResult;
use super::summary::Summary;

/// A chart.
pub struct Panel {
    /// For readers who do not see it.
    pub label: String,
    /// The picture.
    pub svg: String,
}

/// Charts that belong together.
pub struct Group {
    /// Above them.
    pub title: &'static str,
    /// Below them.
    pub caption: String,
    /// The charts.
    pub panels: Vec<Panel>,
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

/// What a point of a run is, by step.
type Value<'a> = dyn Fn(&RunResult, usize) -> Option<f64> + 'a;

fn val_loss(run: &RunResult, step: usize) -> Option<f64> {
    run.evaluations.iter().find(|it| it.step == step).map(|it| it.val_loss)
}

fn nitp_loss(run: &RunResult, step: usize) -> Option<f64> {
    let found = run.evaluations.iter().find(|it| it.step == step);
    found.filter(|_| run.config.nitp.enabled).map(|it| it.nitp_loss)
}

fn effective_rank(run: &RunResult, step: usize) -> Option<f64> {
    run.geometries.iter().find(|it| it.step == step).map(|it| it.effective_rank)
}

fn mean_cosine(run: &RunResult, step: usize) -> Option<f64> {
    run.geometries.iter().find(|it| it.step == step).map(|it| it.mean_cosine)
}

/// All charts of a report.
///
/// # Errors
/// What the plotting library says.
pub fn groups(summary: &Summary, results: &[RunResult], shown: &[usize]) -> Result<Vec<Group>> {
    let band = match summary.seeds.len() {
        1 => String::new(),
        _ => " Lines are means over seeds; bands reach from the least to the largest seed."
            .to_owned(),
    };
    let tokens =
        |run: &RunResult, step: usize| step as f64 * run.config.train.tokens_per_step() as f64;
    let x_axes: [(&'static str, &Value<'_>); 4] = [
        ("steps", &|_, step| Some(step as f64)),
        ("tokens", &|run, step| Some(tokens(run, step))),
        ("training FLOPs", &|run, step| Some(tokens(run, step) * run.flops_per_token())),
        ("seconds of training", &|run, step| Some(tokens(run, step) / run.tokens_per_second()?)),
    ];
    let make =
        |x: (&'static str, &Value<'_>), y: &'static str, value: &Value<'_>| -> Result<Panel> {
            let lines = lines(results, shown, x.1, value);
            let label = format!("{y} against {}", x.0);
            let svg = chart(Axes { x: x.0, y: &label, log: false }, &lines)?;
            Ok(Panel { label, svg })
        };
    let losses = x_axes.into_iter().map(|x| make(x, "held-out loss", &val_loss));
    let geometry: [(&'static str, &Value<'_>); 3] = [
        ("effective rank", &effective_rank),
        ("mean cosine", &mean_cosine),
        ("NITP loss, held out", &nitp_loss),
    ];
    let geometry = geometry.into_iter().map(|(y, value)| make(x_axes[0], y, value));
    let groups = [
        Group {
            title: "Held-out loss",
            caption: format!("In nats a token, against four measures of what was spent.{band}"),
            panels: losses.collect::<Result<_>>()?,
        },
        Group {
            title: "Geometry of the last hidden states",
            caption: format!(
                "Effective rank: over how many directions the states spread. Mean cosine: how alike two \
                 states are; 1 if all point one way.{band}"
            ),
            panels: geometry.collect::<Result<_>>()?,
        },
        Group {
            title: "Spectra",
            caption:
                "Eigenvalues of the covariance of the last hidden states, largest first, each as a \
                      share of their sum; means over seeds. A steep fall means few directions."
                    .to_owned(),
            panels: spectra(results, shown)?,
        },
        Group {
            title: "Experts",
            caption:
                "Share of the routed pairs that each expert of a block got at the end, largest \
                      first; means over seeds. Even shares are 1 by the number of experts."
                    .to_owned(),
            panels: experts(results, shown)?,
        },
    ];
    let has_panels = |group: &Group| group.panels.iter().any(|panel| !panel.svg.is_empty());
    let mut groups: Vec<Group> = groups.into_iter().filter(has_panels).collect();
    groups.iter_mut().for_each(|group| group.panels.retain(|panel| !panel.svg.is_empty()));
    Ok(groups)
}

/// A line an arm, of the steps that all its seeds have.
fn lines(results: &[RunResult], shown: &[usize], x: &Value<'_>, y: &Value<'_>) -> Vec<Line> {
    let line = |(colour, &arm): (usize, &usize)| {
        let runs: Vec<&RunResult> = results.iter().filter(|it| it.arm == arm).collect();
        let steps: BTreeSet<usize> = runs
            .iter()
            .flat_map(|run| {
                let evaluations = run.evaluations.iter().map(|it| it.step);
                evaluations.chain(run.geometries.iter().map(|it| it.step))
            })
            .collect();
        let point = |step: usize| {
            let each = |value: &Value<'_>| {
                runs.iter().map(|run| value(run, step)).collect::<Option<Vec<f64>>>()
            };
            let (x, y) = (each(x)?, each(y)?);
            let least = y.iter().copied().fold(f64::INFINITY, f64::min);
            let most = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Some([mean(&x), mean(&y), least, most])
        };
        let points: Vec<[f64; 4]> = steps.into_iter().filter_map(point).collect();
        Line { colour, points }
    };
    shown.iter().enumerate().map(line).filter(|line| !line.points.is_empty()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// At the first look, in the middle and at the end.
fn spectra(results: &[RunResult], shown: &[usize]) -> Result<Vec<Panel>> {
    let steps: BTreeSet<usize> =
        results.iter().flat_map(|it| it.geometries.iter().map(|it| it.step)).collect();
    let steps: Vec<usize> = steps.into_iter().collect();
    let mut wanted = [0, steps.len() / 2, steps.len().saturating_sub(1)]
        .iter()
        .filter_map(|&at| steps.get(at).copied())
        .collect::<Vec<_>>();
    wanted.dedup();
    let panel = |step: usize| {
        let line = |(colour, &arm): (usize, &usize)| {
            let of_arm = results.iter().filter(|it| it.arm == arm);
            let looks = of_arm.filter_map(|it| it.geometries.iter().find(|it| it.step == step));
            let spectra = looks.map(|it| shares(&it.spectrum)).collect::<Vec<_>>();
            ranked(colour, &spectra)
        };
        let lines: Vec<Line> = shown.iter().enumerate().map(line).collect();
        let axes = Axes { x: "direction", y: &format!("step {step}"), log: true };
        Ok(Panel { label: format!("spectrum at step {step}"), svg: chart(axes, &lines)? })
    };
    wanted.into_iter().map(panel).collect()
}

fn shares(spectrum: &[f32]) -> Vec<f64> {
    let sum: f64 = spectrum.iter().map(|&x| f64::from(x)).sum();
    spectrum.iter().map(|&x| f64::from(x) / sum.max(f64::MIN_POSITIVE)).collect()
}

/// The means of lists of one length, by rank from 1.
fn ranked(colour: usize, lists: &[Vec<f64>]) -> Line {
    let len = lists.iter().map(Vec::len).min().unwrap_or(0);
    let point = |rank: usize| {
        let value = mean(&lists.iter().map(|list| list[rank]).collect::<Vec<_>>());
        [(rank + 1) as f64, value, value, value]
    };
    Line { colour, points: (0..len).map(point).collect() }
}

/// A chart for the first, the middle and the last MoE block.
fn experts(results: &[RunResult], shown: &[usize]) -> Result<Vec<Panel>> {
    let blocks =
        results.iter().filter_map(RunResult::evaluation).map(|it| it.expert_load.len()).max();
    let Some(blocks) = blocks.filter(|&it| it > 0) else { return Ok(Vec::new()) };
    let mut wanted = vec![0, blocks / 2, blocks - 1];
    wanted.dedup();
    let panel = |block: usize| {
        let line = |(colour, &arm): (usize, &usize)| {
            let of_arm = results.iter().filter(|it| it.arm == arm);
            let loads = of_arm.filter_map(|it| it.evaluation()?.expert_load.get(block));
            let sorted = loads.map(|load| {
                let mut shares = shares(load);
                shares.sort_by(|a, b| b.total_cmp(a));
                shares
            });
            ranked(colour, &sorted.collect::<Vec<_>>())
        };
        let lines: Vec<Line> = shown.iter().enumerate().map(line).collect();
        let y = &format!("MoE block {}", block + 1);
        let svg = chart(Axes { x: "expert, by load", y, log: false }, &lines)?;
        Ok(Panel { label: format!("expert load of MoE block {}", block + 1), svg })
    };
    wanted.into_iter().map(panel).collect()
}
