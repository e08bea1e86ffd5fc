//! The points of curves: metrics of runs against steps, tokens, FLOPs or time; spectra; expert loads.

use std::collections::BTreeMap;

use crate::history::History;

/// The data of one line: an arm with one run per seed, or a single run.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// One run, or one run per seed.
    pub runs: Vec<&'a History>,
}

/// A line with a band: x, and the mean, least and largest value over seeds.
#[derive(Clone, Debug)]
pub struct Line {
    /// Position of its series.
    pub colour: usize,
    /// `[x, mean, least, largest]`, with ascending x, all finite.
    pub points: Vec<[f64; 4]>,
}

/// A measure of cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X {
    Steps,
    Tokens,
    Flops,
    /// Seconds of training steps at the run's median speed.
    Seconds,
}

impl X {
    /// Label below an axis.
    pub fn title(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Tokens => "tokens",
            Self::Flops => "training FLOPs",
            Self::Seconds => "seconds of training",
        }
    }

    fn of(self, run: &History, step: usize) -> Option<f64> {
        let tokens = step as f64 * run.config.train.tokens_per_step() as f64;
        match self {
            Self::Steps => Some(step as f64),
            Self::Tokens => Some(tokens),
            Self::Flops => Some(tokens * run.flops_per_token()),
            Self::Seconds => Some(tokens / run.tokens_per_second()?),
        }
    }
}

/// A metric that changes during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Y {
    HeldOutLoss,
    /// The training loss, averaged over sixtieths of the run.
    TrainingLoss,
    /// NITP loss on the held-out text, of runs with NITP.
    NitpLoss,
    EffectiveRank,
    MeanCosine,
}

/// Points of a training loss: few enough to average out noise, and enough for a curve.
const TRAINING_POINTS: usize = 60;

impl Y {
    /// Title above a chart.
    pub fn title(self) -> &'static str {
        match self {
            Self::HeldOutLoss => "held-out loss",
            Self::TrainingLoss => "training loss, smoothed",
            Self::NitpLoss => "NITP loss, held out",
            Self::EffectiveRank => "effective rank",
            Self::MeanCosine => "mean cosine",
        }
    }

    /// Its values by step.
    fn of(self, run: &History) -> BTreeMap<usize, f64> {
        let evaluations = run.evaluations.iter();
        let geometries = run.geometries.iter();
        match self {
            Self::HeldOutLoss => evaluations.map(|it| (it.step, it.val_loss)).collect(),
            Self::TrainingLoss => smoothed(run),
            Self::NitpLoss if !run.config.nitp.enabled => BTreeMap::new(),
            Self::NitpLoss => evaluations.map(|it| (it.step, it.nitp_loss)).collect(),
            Self::EffectiveRank => geometries.map(|it| (it.step, it.effective_rank)).collect(),
            Self::MeanCosine => geometries.map(|it| (it.step, it.mean_cosine)).collect(),
        }
    }
}

/// Means over windows that begin at the first step, each at its last step.
fn smoothed(run: &History) -> BTreeMap<usize, f64> {
    let window = (run.config.train.steps / TRAINING_POINTS).max(1);
    let windows = run.steps.chunks_exact(window);
    let point = |steps: &[nitp_core::train::StepEvent]| {
        let losses: Vec<f64> = steps.iter().map(|it| it.ntp_loss).collect();
        (steps[window - 1].step, mean(&losses))
    };
    windows.map(point).collect()
}

/// One line per series, with the steps that all its runs have.
pub fn curves(series: &[Series<'_>], x: X, y: Y) -> Vec<Line> {
    let line = |(colour, it): (usize, &Series<'_>)| {
        let curves: Vec<BTreeMap<usize, f64>> = it.runs.iter().map(|run| y.of(run)).collect();
        let point = |step: &usize| {
            let values = curves.iter().map(|curve| curve.get(step).copied());
            let values = values.collect::<Option<Vec<f64>>>()?;
            let places = it.runs.iter().map(|run| x.of(run, *step));
            let places = places.collect::<Option<Vec<f64>>>()?;
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Some([mean(&places), mean(&values), least, most])
        };
        let steps = curves.first().into_iter().flat_map(BTreeMap::keys);
        Line { colour, points: steps.filter_map(point).filter(is_finite).collect() }
    };
    drawn(series.iter().enumerate().map(line))
}

/// Four steps at which spectra are shown, including the first and the last measurement of geometry.
pub fn spectrum_steps(series: &[Series<'_>]) -> Vec<usize> {
    let runs = series.iter().flat_map(|it| &it.runs);
    let mut steps: Vec<usize> =
        runs.flat_map(|run| run.geometries.iter().map(|it| it.step)).collect();
    steps.sort_unstable();
    steps.dedup();
    let Some(last) = steps.len().checked_sub(1) else { return steps };
    let mut wanted = [0, last / 3, 2 * last / 3, last].map(|at| steps[at]).to_vec();
    wanted.dedup();
    wanted
}

/// Eigenvalues at a step, largest first, each as a share of their sum; means over runs.
pub fn spectra(series: &[Series<'_>], step: usize) -> Vec<Line> {
    let line = |(colour, it): (usize, &Series<'_>)| {
        let at = |run: &&History| run.geometries.iter().find(|it| it.step == step).cloned();
        let looks = it.runs.iter().filter_map(at);
        ranked(colour, &looks.map(|it| shares(&it.spectrum)).collect::<Vec<_>>())
    };
    drawn(series.iter().enumerate().map(line))
}

/// Like [`spectra`], each at its own last measurement.
pub fn last_spectra(series: &[Series<'_>]) -> Vec<Line> {
    let line = |(colour, it): (usize, &Series<'_>)| {
        let looks = it.runs.iter().filter_map(|run| run.geometries.last());
        ranked(colour, &looks.map(|it| shares(&it.spectrum)).collect::<Vec<_>>())
    };
    drawn(series.iter().enumerate().map(line))
}

/// Shares of a block's experts at the last evaluation, largest first; none for a dense model.
pub fn expert_shares(run: &History, block: usize) -> Option<Vec<f64>> {
    let mut shares = shares(run.evaluations.last()?.expert_load.get(block)?);
    shares.sort_by(|a, b| b.total_cmp(a));
    Some(shares)
}

/// Number of MoE blocks.
pub fn expert_blocks(run: &History) -> usize {
    run.evaluations.last().map_or(0, |it| it.expert_load.len())
}

/// Shares of a block's experts at the last evaluation, by rank; means over runs.
pub fn loads(series: &[Series<'_>], block: usize) -> Vec<Line> {
    let line = |(colour, it): (usize, &Series<'_>)| {
        let loads = it.runs.iter().filter_map(|run| expert_shares(run, block));
        ranked(colour, &loads.collect::<Vec<_>>())
    };
    drawn(series.iter().enumerate().map(line))
}

fn drawn(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    lines.filter(|line| !line.points.is_empty()).collect()
}

fn is_finite(point: &[f64; 4]) -> bool {
    point.iter().all(|it| it.is_finite())
}

fn shares(values: &[f32]) -> Vec<f64> {
    let sum: f64 = values.iter().map(|&x| f64::from(x)).sum();
    values.iter().map(|&x| f64::from(x) / sum.max(f64::MIN_POSITIVE)).collect()
}

/// Means of lists of equal length, by rank from 1.
fn ranked(colour: usize, lists: &[Vec<f64>]) -> Line {
    let len = lists.iter().map(Vec::len).min().unwrap_or(0);
    let point = |rank: usize| {
        let value = mean(&lists.iter().map(|list| list[rank]).collect::<Vec<_>>());
        [(rank + 1) as f64, value, value, value]
    };
    Line { colour, points: (0..len).map(point).filter(is_finite).collect() }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The least and the largest number; none without numbers.
pub fn range(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let ends = values.map(|it| [it, it]);
    ends.reduce(|[low, high], [it, _]| [low.min(it), high.max(it)])
}
