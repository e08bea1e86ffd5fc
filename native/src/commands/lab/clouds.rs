//! The last hidden states of the held-out text on their first two principal axes: `seed-N.cloud.json` next to a run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nitp_core::geometry::geometry;
use nitp_core::train::{BatchSource, Evaluator};
use serde::{Deserialize, Serialize};

use super::experiment::{Experiment, Run};
use super::run::Outcome;
use crate::args::DeviceArgs;
use crate::commands::eval::write_weights;
use crate::device::{self, Device};
use crate::figures::charts::scatter;
use crate::figures::curves::{Group, Panel};
use crate::model::{Heads, Model};
use nitp_files::documents::Named;
use nitp_files::{token_cache, whole_file};

/// Largest number of points in a picture.
const MOST_POINTS: usize = 512;

/// The states of an arm's first seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// Effective rank of all states.
    effective_rank: f64,
    /// Mean cosine of all states.
    mean_cosine: f64,
    /// Share of the variance that lies along the two axes.
    share: f64,
    /// A subset of the states at regular intervals, in units of the root mean square distance from the mean.
    points: Vec<[f64; 2]>,
}

/// The cloud of each of these arms; none for an arm that diverged, and none if no text is held out.
/// States are computed from the run's last checkpoint, not saved during training: a process killed between the last
/// step and the end of the run would lose them.
///
/// # Errors
/// If a run can't be read.
pub fn of_arms(
    experiment: &Experiment,
    (runs, outcomes): (&[Run], &[Outcome]),
    arms: &[usize],
    device: &DeviceArgs,
) -> Result<Vec<Option<Cloud>>> {
    let mut chosen = None;
    let first = experiment.seeds[0];
    let cloud = |&arm: &usize| -> Result<Option<Cloud>> {
        let mut both = runs.iter().zip(outcomes);
        let found = both.find(|(run, _)| run.arm == arm && run.seed == first);
        let Some((run, _)) = found.filter(|(_, outcome)| !outcome.is_diverged()) else {
            return Ok(None);
        };
        let path = run.folder.with_extension("cloud.json");
        // A file of another version, or a truncated one, is made again.
        let kept = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if kept.is_some() {
            return Ok(kept);
        }
        let chosen = match &mut chosen {
            Some(chosen) => chosen,
            none => none.insert(device::choose(device)?.device),
        };
        let cloud = cloud(&run.folder, chosen).with_context(|| {
            format!("the hidden states of {}, seed {first}", experiment.arms[arm].name)
        })?;
        if let Some(cloud) = &cloud {
            whole_file::write(&path, serde_json::to_string(cloud)?.as_bytes())?;
        }
        Ok(cloud)
    };
    arms.iter().map(cloud).collect()
}

fn cloud(run: &Path, device: &Device) -> Result<Option<Cloud>> {
    // Hidden states don't depend on the objective.
    let Model { config, tokenizer, weights, .. } = Model::open(run, Heads::None)?;
    let dataset = token_cache::dataset(&config, Named::Now, &tokenizer, |_| {})?;
    let mut executor = device.again().executor(&config)?;
    let executor = executor.as_mut();
    write_weights(executor, &config, &weights)?;
    let evaluator = Evaluator::new(executor, &config)?;
    let mut states = Vec::new();
    for index in 0..evaluator.geometry_batches(BatchSource::validation_batches(&dataset)) {
        states.extend(evaluator.hidden_now(executor, &dataset.validation_batch(index))?);
    }
    Ok(Cloud::of(&states, config.model.hidden_size))
}

impl Cloud {
    /// The cloud of states `[n, width]`; none for fewer than two states.
    fn of(states: &[f32], width: usize) -> Option<Self> {
        let count = states.len() / width;
        if count < 2 {
            return None;
        }
        let found = geometry(states, width);
        let variance: f64 = found.spectrum.iter().sum();
        let unit = variance.sqrt().max(f64::MIN_POSITIVE);
        // Further digits would differ between machines.
        let round = |x: f32| (1e3 * f64::from(x) / unit).round() / 1e3;
        let every = count.div_ceil(MOST_POINTS);
        let points = found.projected.iter().step_by(every).map(|it| [round(it[0]), round(it[1])]);
        Some(Self {
            effective_rank: found.effective_rank,
            mean_cosine: found.mean_cosine,
            share: found.spectrum.iter().take(2).sum::<f64>() / variance.max(f64::MIN_POSITIVE),
            points: points.collect(),
        })
    }

    /// The points, with each axis flipped to agree with the same tokens in `other`: principal axes have no sign.
    fn turned_like(&self, other: &Self) -> Vec<[f64; 2]> {
        let sign = [0, 1].map(|axis| {
            let pairs = self.points.iter().zip(&other.points);
            let along: f64 = pairs.map(|(a, b)| a[axis] * b[axis]).sum();
            if along < 0.0 { -1.0 } else { 1.0 }
        });
        self.points.iter().map(|point| [0, 1].map(|axis| sign[axis] * point[axis])).collect()
    }
}

/// One picture for each arm, all at the same scale.
///
/// # Errors
/// Errors of the plotting library.
pub fn group(names: &[&str], clouds: &[Option<Cloud>], seed: u64) -> Result<Group> {
    let all = || clouds.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_ref()?)));
    let reach = all().flat_map(|(_, it)| it.points.iter().flatten()).map(|x| x.abs());
    let reach = reach.fold(1.1, f64::max);
    let panels = all().map(|(at, cloud)| {
        let first = all().next().map_or(cloud, |(_, first)| first);
        Ok(Panel {
            label: format!("hidden states of {} on their principal axes", names[at]),
            svg: scatter(at, &cloud.turned_like(first), 1.02 * reach)?,
            note: Some((
                names[at].to_owned(),
                format!(
                    "effective rank {:.1}\nmean cosine {:.3}\n{:.0}\u{a0}% of the variance",
                    cloud.effective_rank,
                    cloud.mean_cosine,
                    100.0 * cloud.share
                )
                .replace("cosine -", "cosine \u{2212}"),
            )),
        })
    });
    Ok(Group {
        title: "Hidden states",
        caption: format!(
            "The last hidden states of held-out tokens, projected on their first two principal axes, \
            after training with seed {seed}. A point is a token; all pictures show the same tokens. \
            The unit is the root mean square distance from the mean, and the circle has radius 1. Axes \
            are flipped to agree with the first picture where possible. A long cloud that leaves the \
            circle means few directions; a small, round cloud means many."
        ),
        panels: panels.collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_has_unit_spread_and_few_points() {
        let states: Vec<f32> =
            (0..3000).map(|i| ((i * i) as f32 * 0.37).sin() * (3 - i % 3) as f32).collect();
        let cloud = Cloud::of(&states, 3).unwrap();
        assert_eq!(cloud.points.len(), 500);
        let spread: f64 = cloud.points.iter().flatten().map(|x| x * x).sum::<f64>() / 500.0;
        assert!((spread - cloud.share).abs() < 0.1 && cloud.share < 1.0, "{spread}");
        assert_eq!(Cloud::of(&states[..3], 3), None);
        let equal = Cloud::of(&[2.0; 6], 3).unwrap();
        assert_eq!((equal.share, &equal.points), (0.0, &vec![[0.0; 2]; 2]));
    }

    #[test]
    fn axes_are_turned_to_agree() {
        let cloud = |points: &[[f64; 2]]| Cloud {
            effective_rank: 1.0,
            mean_cosine: 0.0,
            share: 1.0,
            points: points.to_vec(),
        };
        let (first, other) =
            (cloud(&[[1.0, 2.0], [0.5, -1.0]]), cloud(&[[-0.9, 2.0], [-0.4, -2.0]]));
        assert_eq!(other.turned_like(&first), [[0.9, 2.0], [0.4, -2.0]]);
        let group = group(&["a", "b"], &[Some(first), None], 0).unwrap();
        assert_eq!(group.panels.len(), 1);
        assert!(group.panels[0].svg.matches("<circle").count() == 2, "{}", group.panels[0].svg);
    }
}
