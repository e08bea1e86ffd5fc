//! The folder of a comparison, with its definition: the same command continues it, and a different comparison is
//! rejected.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::{Config, flops_per_token};
use serde::{Deserialize, Serialize};

use super::arms::Arm;
use crate::args::MatchBy;
use crate::output::quoted;
use crate::run_folder::RUNS;
use nitp_files::whole_file;

const EXPERIMENT: &str = "experiment.json";
const CONFIG: &str = "config.toml";
const LOCK: &str = ".lock";

/// `experiment.json`, beside `config.toml` with the common configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Version of the program that started it.
    pub version: String,
    /// The arms, the baseline first.
    pub arms: Vec<Arm>,
    /// Seeds of weights and batches; each arm trains once per seed.
    pub seeds: Vec<u64>,
    /// The quantity that is equal in all arms.
    pub matched: MatchBy,
    /// The common configuration; in `config.toml`.
    #[serde(skip, default)]
    pub base: Config,
}

/// One training of one arm.
#[derive(Clone, Debug)]
pub struct Run {
    /// Position in [`Experiment::arms`].
    pub arm: usize,
    /// Its seed.
    pub seed: u64,
    /// Its configuration.
    pub config: Config,
    /// Its run folder.
    pub folder: PathBuf,
}

/// The folder of a comparison, held by this process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: fs::File,
}

impl Experiment {
    /// All runs, seed by seed, so that the finished runs of an interrupted experiment can be compared.
    ///
    /// # Errors
    /// If an arm has no valid configuration.
    pub fn runs(&self, folder: &Path) -> Result<Vec<Run>> {
        let configs: Vec<Config> =
            self.arms.iter().map(|arm| arm.config(&self.base)).collect::<Result<_>>()?;
        let steps = steps(&configs, self.matched);
        let run = |&seed: &u64| {
            configs.iter().zip(&steps).zip(&self.arms).enumerate().map(
                move |(arm, ((config, &steps), named))| {
                    let mut config = config.clone();
                    config.train.seed = seed;
                    config.train.steps = steps;
                    let folder = folder.join(RUNS).join(&named.name).join(format!("seed-{seed}"));
                    Run { arm, seed, config, folder }
                },
            )
        };
        Ok(self.seeds.iter().flat_map(run).collect())
    }
}

/// Steps of each arm: as configured, or as many as the FLOPs of the most expensive arm allow.
fn steps(configs: &[Config], matched: MatchBy) -> Vec<usize> {
    let flops = |config: &Config| {
        let cost = flops_per_token(config);
        let tokens = config.train.tokens_per_step() as f64;
        tokens * cost.total()
    };
    let dearest =
        configs.iter().map(|config| flops(config) * config.train.steps as f64).fold(0.0, f64::max);
    let steps = |config: &Config| match matched {
        MatchBy::Steps => config.train.steps,
        MatchBy::Flops => (dearest / flops(config)).round() as usize,
    };
    configs.iter().map(steps).collect()
}

impl Folder {
    /// Opens the folder `out`, or the next free one under `labs/`: a new one, or one with this experiment.
    ///
    /// # Errors
    /// If the folder holds another experiment or other files, or another process uses it.
    pub fn open(out: Option<&Path>, name: &str, experiment: &Experiment) -> Result<Self> {
        let path = match out {
            Some(out) => out.to_owned(),
            None => free(Path::new("labs"), name)?,
        };
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        let file = fs::File::create(path.join(LOCK))
            .with_context(|| format!("writing into {}", path.display()))?;
        if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            bail!(
                "another process works in {}: wait until it ends, or give another --out",
                path.display()
            );
        }
        let folder = Self { path, _lock: file };
        match folder.read()? {
            Some(before) => folder.check_same(&before, experiment)?,
            None => {
                ensure!(
                    folder.is_empty()?,
                    "{} exists and holds no experiment: give another --out",
                    folder.path.display()
                );
                let config = folder.path.join(CONFIG);
                whole_file::write(&config, experiment.base.to_toml().as_bytes())?;
                let text = serde_json::to_string_pretty(experiment)?;
                whole_file::write(&folder.path.join(EXPERIMENT), text.as_bytes())?;
            }
        }
        Ok(folder)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment in it, if any.
    fn read(&self) -> Result<Option<Experiment>> {
        let path = self.path.join(EXPERIMENT);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("reading {}", path.display()))?,
        };
        let mut experiment: Experiment = serde_json::from_str(&text)
            .with_context(|| format!("{} is broken: give another --out", path.display()))?;
        let path = self.path.join(CONFIG);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        experiment.base =
            Config::from_toml(&text).with_context(|| format!("in {}", path.display()))?;
        Ok(Some(experiment))
    }

    fn check_same(&self, before: &Experiment, now: &Experiment) -> Result<()> {
        let what = [
            ("program", before.version != now.version),
            ("arms", before.arms != now.arms),
            ("seeds", before.seeds != now.seeds),
            ("--match", before.matched != now.matched),
            ("configuration", before.base != now.base),
        ];
        let other: Vec<&str> = what.iter().filter(|(_, other)| *other).map(|&(it, _)| it).collect();
        ensure!(
            other.is_empty(),
            "{} holds another experiment ({} differ). Give the same options to continue it, or another \
            --out. Its report is unchanged",
            quoted(&self.path),
            other.join(", ")
        );
        Ok(())
    }

    /// Whether it holds only files that this program made.
    fn is_empty(&self) -> Result<bool> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            // A killed process may have left a configuration without an experiment.
            if name != LOCK && name != CONFIG && !whole_file::is_unfinished(&name.to_string_lossy())
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn free(labs: &Path, name: &str) -> Result<PathBuf> {
    let mut paths = (1..10_000).map(|number| labs.join(format!("{name}-{number}")));
    let free = paths.find(|path| !path.exists());
    free.with_context(|| format!("{} has no free number left", labs.join(name).display()))
}
