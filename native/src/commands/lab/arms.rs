//! The arms of a comparison: each is a name and the keys of the configuration that it sets.

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::{Config, load};
use serde::{Deserialize, Serialize};

/// An arm of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Unique within the comparison; also the name of a folder.
    pub name: String,
    /// `section.key=value` over the common configuration.
    pub sets: Vec<String>,
}

/// Objectives in addition to next-token prediction, by their sections.
const OBJECTIVES: [&str; 4] = ["nitp", "mtp", "nextlat", "top"];

impl Arm {
    fn new(name: &str, sets: &[&str]) -> Self {
        Self { name: name.to_owned(), sets: sets.iter().map(|&set| set.to_owned()).collect() }
    }

    /// Next-token prediction alone, the baseline.
    pub fn ntp(base: &Config) -> Self {
        Self::of_objectives("ntp", &[], base)
    }

    /// NITP as configured.
    pub fn nitp() -> Self {
        Self::new("nitp", &["nitp.enabled=true"])
    }

    /// Next-token prediction with additional objectives by name: `ntp` for none, or names joined by `+`.
    ///
    /// # Errors
    /// If an objective is unknown, or given twice.
    pub fn objective(name: &str, base: &Config) -> Result<Self> {
        let wanted: Vec<&str> = if name == "ntp" { Vec::new() } else { name.split('+').collect() };
        if let Some(unknown) = wanted.iter().find(|it| !OBJECTIVES.contains(it)) {
            bail!(
                "--arms {name}: there is no objective `{unknown}`. The objectives are ntp (alone), {}, \
                and sums of these, as in nitp+mtp. For other settings use --arm NAME:SECTION.KEY=VALUE",
                OBJECTIVES.join(", ")
            );
        }
        let twice = wanted.iter().enumerate().find(|(index, it)| wanted[..*index].contains(it));
        if let Some((_, twice)) = twice {
            bail!("--arms {name}: `{twice}` is given twice");
        }
        Ok(Self::of_objectives(name, &wanted, base))
    }

    /// Turns on the wanted objectives, and turns off others that are on in the common configuration.
    fn of_objectives(name: &str, wanted: &[&str], base: &Config) -> Self {
        let is_on = [base.nitp.enabled, base.mtp.enabled, base.nextlat.enabled, base.top.enabled];
        let sets = OBJECTIVES.iter().zip(is_on).filter_map(|(objective, is_on)| {
            let on = wanted.contains(objective);
            // Every arm sets NITP explicitly, because the comparison is about NITP.
            (on || is_on || *objective == "nitp").then(|| format!("{objective}.enabled={on}"))
        });
        Self { name: name.to_owned(), sets: sets.collect() }
    }

    /// Parses `NAME:SECTION.KEY=VALUE[,SECTION.KEY=VALUE...]`.
    ///
    /// # Errors
    /// If it is not of this form.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, sets) = text.split_once(':').with_context(|| {
            format!("--arm {text}: expected NAME:SECTION.KEY=VALUE, as in half:nitp.weight=0.5")
        })?;
        let allowed = |c: char| c.is_alphanumeric() || "-_.+=".contains(c);
        ensure!(
            !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed),
            "--arm {text}: the name becomes a folder's name, so it must consist of letters, digits and - _ . + ="
        );
        Ok(Self::new(name, &sets.split(',').collect::<Vec<_>>()))
    }

    /// The configuration of this arm.
    ///
    /// # Errors
    /// If a key or a value is invalid. The error names the arm.
    pub fn config(&self, base: &Config) -> Result<Config> {
        load(base.clone(), None, &self.sets).with_context(|| format!("the arm `{}`", self.name))
    }
}

/// An axis of a grid: a key and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    key: String,
    values: Vec<String>,
}

impl Axis {
    /// Parses `SECTION.KEY=VALUE,VALUE...`.
    ///
    /// # Errors
    /// If it is not of this form.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('=').filter(|(key, _)| key.contains('.'));
        let (key, values) = parts.with_context(|| {
            format!(
                "--axis {text}: expected SECTION.KEY=VALUE,VALUE, as in nitp.target_layer=0,1,2"
            )
        })?;
        let values: Vec<String> = values.split(',').map(str::to_owned).collect();
        ensure!(values.iter().all(|it| !it.is_empty()), "--axis {text}: a value is empty");
        for (index, value) in values.iter().enumerate() {
            ensure!(!values[..index].contains(value), "--axis {text}: {value} is given twice");
        }
        Ok(Self { key: key.to_owned(), values })
    }

    /// An axis of numbers.
    pub fn of_numbers(key: &str, values: &[f64]) -> Self {
        Self { key: key.to_owned(), values: values.iter().map(f64::to_string).collect() }
    }
}

/// Every combination of the values of axes, with NITP on unless an axis turns it off.
pub fn grid(axes: &[Axis]) -> Vec<Arm> {
    let mut arms = vec![Arm { name: String::new(), sets: Vec::new() }];
    for axis in axes {
        let longer = arms.iter().flat_map(|arm| {
            axis.values.iter().map(|value| {
                let short = axis.key.rsplit('.').next().unwrap_or(&axis.key);
                let comma = if arm.name.is_empty() { "" } else { "," };
                let set = format!("{}={value}", axis.key);
                Arm {
                    name: format!("{}{comma}{short}={value}", arm.name),
                    sets: [arm.sets.clone(), vec![set]].concat(),
                }
            })
        });
        arms = longer.collect();
    }
    arms
}

/// Number of arms of a grid, computed without listing them.
pub fn grid_len(axes: &[Axis]) -> usize {
    axes.iter().fold(1, |product: usize, axis| product.saturating_mul(axis.values.len()))
}

/// A factor of the paper's ablations (section 5): its name, a description, and its settings other than the default.
pub struct Factor {
    /// Its name for `nitp ablate`.
    pub name: &'static str,
    /// A description in a few words.
    pub about: &'static str,
    arms: fn(&Config) -> Vec<Arm>,
}

/// The eight factors of the paper's ablations.
pub const FACTORS: &[Factor] = &[
    Factor {
        name: "target-block",
        about: "the block whose output is the target",
        arms: target_blocks,
    },
    Factor {
        name: "shift",
        about: "the position of the target: the next or the same",
        arms: |_| vec![Arm::new("shift=current", &["nitp.shift=current"])],
    },
    Factor {
        name: "loss",
        about: "the loss between prediction and target",
        arms: |_| {
            let arm = |loss: &str| Arm {
                name: format!("loss={loss}"),
                sets: vec![format!("nitp.loss={loss}")],
            };
            ["mse", "smooth_l1", "kl"].map(arm).into()
        },
    },
    Factor {
        name: "cosine-penalty",
        about: "a penalty on similar states, without a target",
        arms: |_| vec![Arm::new("cosine-penalty", &["nitp.regularizer=token_cosine"])],
    },
    Factor {
        name: "stop-gradient",
        about: "with or without gradients through the target",
        arms: |_| vec![Arm::new("stop-gradient=off", &["nitp.stop_gradient=false"])],
    },
    Factor { name: "start-step", about: "the first step of the objective", arms: start_steps },
    Factor {
        name: "projector",
        about: "the head between state and target",
        arms: |_| vec![Arm::new("projector=none", &["nitp.projector=none"])],
    },
    Factor {
        name: "lambda",
        about: "the weight of the objective",
        arms: |_| {
            let arm = |weight: &str| Arm {
                name: format!("lambda={weight}"),
                sets: vec![format!("nitp.weight={weight}")],
            };
            ["0.1", "0.3", "3"].map(arm).into()
        },
    },
];

/// Every block of a shallow model; for a deep one, six blocks from the embedding to the last but one.
fn target_blocks(config: &Config) -> Vec<Arm> {
    const MOST: usize = 6;
    let blocks = config.model.num_hidden_layers;
    let mut layers: Vec<usize> = match blocks < MOST {
        true => (0..=blocks).collect(),
        false => (0..MOST).map(|i| i * (blocks - 1) / (MOST - 1)).collect(),
    };
    layers.retain(|&layer| layer != config.nitp.target_layer);
    let arm = |layer: usize| Arm {
        name: format!("target-block={layer}"),
        sets: vec![format!("nitp.target_layer={layer}")],
    };
    layers.into_iter().map(arm).collect()
}

/// Starts at an eighth, a quarter and a half of the run.
fn start_steps(config: &Config) -> Vec<Arm> {
    let mut starts = [8, 4, 2].map(|part| config.train.steps / part).to_vec();
    starts.retain(|&step| step != config.nitp.start_step);
    starts.dedup();
    let arm = |step: usize| Arm {
        name: format!("start-step={step}"),
        sets: vec![format!("nitp.start_step={step}")],
    };
    starts.into_iter().map(arm).collect()
}

/// The arms of one of the paper's ablations, by the name of its factor, or of `all`: next-token prediction, NITP as
/// configured, and NITP with each other setting.
///
/// # Errors
/// If there is no such factor.
pub fn table(name: &str, config: &Config) -> Result<Vec<Arm>> {
    let factors: Vec<&Factor> =
        FACTORS.iter().filter(|it| name == "all" || it.name == name).collect();
    if factors.is_empty() {
        let names: Vec<String> =
            FACTORS.iter().map(|it| format!("  {:<16}{}", it.name, it.about)).collect();
        bail!("there is no table `{name}`; the tables are `all` and\n{}", names.join("\n"));
    }
    let others = factors.into_iter().flat_map(|factor| (factor.arms)(config));
    let nitp_on = |arm: Arm| Arm { sets: [Arm::nitp().sets, arm.sets].concat(), ..arm };
    Ok([Arm::ntp(config), Arm::nitp()].into_iter().chain(others.map(nitp_on)).collect())
}

/// Checks that no two arms have the same name or the same settings.
///
/// # Errors
/// If two do.
pub fn check(arms: &[Arm]) -> Result<()> {
    for (index, arm) in arms.iter().enumerate() {
        if let Some(same) = arms[..index].iter().find(|it| it.sets == arm.sets) {
            ensure!(
                same.name == arm.name,
                "the arms `{}` and `{}` have the same settings: leave one out",
                same.name,
                arm.name
            );
        }
        ensure!(
            arms[..index].iter().all(|it| it.name != arm.name),
            "two arms are called `{}`: give each its own name",
            arm.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nitp_core::config::preset;

    #[test]
    fn a_grid_has_every_combination() {
        let axes = ["nitp.target_layer=0,1", "train.learning_rate=1e-3,2e-3,3e-3"];
        let axes = axes.map(|text| Axis::parse(text).unwrap());
        let arms = grid(&axes);
        assert_eq!((arms.len(), grid_len(&axes)), (6, 6));
        assert_eq!(arms[1].name, "target_layer=0,learning_rate=2e-3");
        assert_eq!(arms[5].sets, ["nitp.target_layer=1", "train.learning_rate=3e-3"]);
        for bad in ["nitp.weight", "weight=1", "nitp.weight=", "nitp.weight=1,1"] {
            assert!(Axis::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_table_of_every_preset_is_valid_and_differs_from_the_default_in_one_factor() {
        for name in ["nano", "tiny", "tiny-moe"] {
            let base = preset(name).unwrap();
            for factor in FACTORS {
                let arms = table(factor.name, &base).unwrap();
                assert!(arms.len() > 2, "{name}, {}", factor.name);
                check(&arms).unwrap();
                let nitp = arms[1].config(&base).unwrap();
                for arm in &arms[2..] {
                    assert_ne!(arm.config(&base).unwrap(), nitp, "{name}, {}", arm.name);
                }
            }
            let all = table("all", &base).unwrap();
            check(&all).unwrap();
        }
        let error = table("losses", &preset("nano").unwrap()).unwrap_err().to_string();
        assert!(error.contains("stop-gradient") && error.contains("`losses`"), "{error}");
    }

    #[test]
    fn objectives_are_alone_or_joined() {
        let mut base = preset("nano").unwrap();
        let on = |name: &str, base: &Config| {
            let config = Arm::objective(name, base).unwrap().config(base).unwrap();
            [config.nitp.enabled, config.mtp.enabled, config.nextlat.enabled, config.top.enabled]
        };
        assert_eq!(Arm::objective("ntp", &base).unwrap(), Arm::ntp(&base));
        assert_eq!(Arm::objective("nitp", &base).unwrap(), Arm::nitp());
        assert_eq!(on("mtp", &base), [false, true, false, false]);
        assert_eq!(on("nitp+top", &base), [true, false, false, true]);
        base.nextlat.enabled = true;
        assert_eq!(on("ntp", &base), [false; 4]);
        assert_eq!(on("nextlat+mtp", &base), [false, true, true, false]);
        let twice = ["nitp+mtp", "mtp+nitp"].map(|name| Arm::objective(name, &base).unwrap());
        assert!(check(&twice).unwrap_err().to_string().contains("have the same settings"));
        assert!(Arm::objective("nitp+nitp", &base).is_err());
        let error = Arm::objective("nitp+mpt", &base).unwrap_err().to_string();
        assert!(error.contains("`mpt`") && error.contains("nextlat"), "{error}");
    }

    #[test]
    fn arms_are_checked_before_anything_trains() {
        let arm = Arm::parse("half:nitp.weight=0.5,nitp.loss=mse").unwrap();
        assert_eq!(arm.sets, ["nitp.weight=0.5", "nitp.loss=mse"]);
        for bad in ["half", ":nitp.weight=1", "../up:nitp.weight=1", ".x:nitp.weight=1"] {
            assert!(Arm::parse(bad).is_err(), "{bad}");
        }
        let base = preset("nano").unwrap();
        let error = Arm::parse("bad:nitp.lamda=1").unwrap().config(&base).unwrap_err();
        assert!(format!("{error:#}").contains("the arm `bad`"), "{error:#}");
    }
}
