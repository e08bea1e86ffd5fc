//! Probes of every finished run of an experiment: `seed-N.probe.json` next to its folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nitp_core::data::hexadecimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::experiment::{Experiment, Run};
use super::run::Outcome;
use crate::args::LabArgs;
use crate::commands::probe::examples::Examples;
use crate::commands::probe::{self, Probed};
use crate::output::outln;
use nitp_files::whole_file;

/// The result of a probe, and the digest of its examples.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// SHA-256 of the files.
    examples: String,
    probed: Probed,
}

/// The probe of each run; none for runs that diverged, and none at all without examples.
///
/// # Errors
/// Examples that can't be read, or states that can't be judged.
pub fn probe_all(
    args: &LabArgs,
    experiment: &Experiment,
    runs: &[Run],
    outcomes: &[Outcome],
) -> Result<Vec<Option<Probed>>> {
    let Some((examples, digest)) = examples(args, experiment)? else {
        return Ok(vec![None; runs.len()]);
    };
    let mut all = Vec::new();
    for (run, outcome) in runs.iter().zip(outcomes) {
        if outcome.is_diverged() {
            all.push(None);
            continue;
        }
        let path = run.folder.with_extension("probe.json");
        if let Some(kept) = read::<Kept>(&path)?.filter(|it| it.examples == digest) {
            all.push(Some(kept.probed));
            continue;
        }
        let name = &experiment.arms[run.arm].name;
        let probed = probe::of_run(&run.folder, &examples, &args.device)
            .with_context(|| format!("probing {name}, seed {}", run.seed))?;
        outln!("  probed {name}, seed {}", run.seed);
        let kept = Kept { examples: digest.clone(), probed };
        whole_file::write(&path, serde_json::to_string_pretty(&kept)?.as_bytes())?;
        all.push(Some(kept.probed));
    }
    Ok(all)
}

/// The requested examples; otherwise the training text, if it has labels.
fn examples(args: &LabArgs, experiment: &Experiment) -> Result<Option<(Examples, String)>> {
    if args.no_probe {
        return Ok(None);
    }
    let is_asked = !args.probe.is_empty();
    let paths: Vec<PathBuf> = match is_asked {
        true => args.probe.clone(),
        false => experiment.base.data.paths.iter().map(PathBuf::from).collect(),
    };
    let is_jsonl = |path: &PathBuf| path.extension().is_some_and(|it| it == "jsonl");
    if !is_asked && !paths.iter().all(is_jsonl) {
        return Ok(None);
    }
    let examples = match Examples::read(&paths) {
        Ok(examples) => examples,
        // The training text may not be in a format for probes.
        Err(_) if !is_asked => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_asked && !examples.has_labels() {
        return Ok(None);
    }
    Ok(Some((examples, digest(&paths)?)))
}

/// SHA-256 of the concatenated files.
pub fn digest(paths: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in paths {
        hash.update(fs::read(path).with_context(|| format!("reading {}", path.display()))?);
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Contents of a saved file, if it exists and can be parsed.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // A file of another version, or a truncated one, is made again.
        read => Ok(serde_json::from_slice(&read?).ok()),
    }
}
