//! Scores on tasks of every finished run of an experiment: `seed-N.tasks.json` next to its folder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::experiment::{Experiment, Run};
use super::probes::{digest, read};
use super::run::Outcome;
use crate::args::LabArgs;
use crate::commands::tasks::items::{self, Task};
use crate::commands::tasks::scores::TaskScores;
use crate::commands::tasks::{self, files};
use crate::output::{errln, outln};
use crate::reasons::reasons;
use crate::settings;
use nitp_files::whole_file;

/// Scores of a run, and the digest of the tasks.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// SHA-256 of the files and their names, because the names may be the names of tasks.
    tasks: String,
    scores: Vec<TaskScores>,
}

/// Tasks to score on.
pub struct Asked {
    tasks: Vec<Task>,
    /// SHA-256 of their files, and the files' names.
    digest: String,
}

/// The scores of each run; none for runs that diverged, and none at all without tasks.
///
/// # Errors
/// Tasks that can't be scored.
pub fn score_all(
    args: &LabArgs,
    asked: Option<Asked>,
    experiment: &Experiment,
    runs: &[Run],
    outcomes: &[Outcome],
) -> Result<Vec<Vec<TaskScores>>> {
    let nothing = vec![Vec::new(); runs.len()];
    let Some(Asked { tasks, digest }) = asked else { return Ok(nothing) };
    let mut all = Vec::new();
    for (run, outcome) in runs.iter().zip(outcomes) {
        if outcome.is_diverged() {
            all.push(Vec::new());
            continue;
        }
        let path = run.folder.with_extension("tasks.json");
        if let Some(kept) = read::<Kept>(&path)?.filter(|it| it.tasks == digest) {
            all.push(kept.scores);
            continue;
        }
        let name = &experiment.arms[run.arm].name;
        let scored = tasks::of_run(&run.folder, &tasks, &args.device)
            .with_context(|| format!("scoring {name}, seed {}, on tasks", run.seed));
        let scored = match scored {
            // Tasks that were not requested are skipped: the model may be too small for them.
            Err(error) if args.task.is_empty() => {
                errln!("warning: the demo tasks are left out: {}", reasons(&error));
                return Ok(nothing);
            }
            scored => scored?,
        };
        outln!("  scored {name}, seed {}, on tasks", run.seed);
        let kept = Kept { tasks: digest.clone(), scores: scored.scores };
        whole_file::write(&path, serde_json::to_string_pretty(&kept)?.as_bytes())?;
        all.push(kept.scores);
    }
    Ok(all)
}

/// The requested tasks; otherwise the demo tasks, if the text is the demo corpus.
///
/// # Errors
/// Tasks that can't be read.
pub fn asked(args: &LabArgs, experiment: &Experiment) -> Result<Option<Asked>> {
    let is_demo = || {
        let demo = settings::demo_corpus().ok();
        let paths = experiment.base.data.paths.iter().map(PathBuf::from).map(Some);
        demo.is_some() && paths.eq([demo])
    };
    let paths = match &args.task[..] {
        _ if args.no_task => return Ok(None),
        [] if !is_demo() => return Ok(None),
        [] => settings::demo_tasks()?,
        given => files(given)?,
    };
    let names = paths.iter().filter_map(|path| path.file_stem());
    let names = names.map(|it| it.to_string_lossy()).collect::<Vec<_>>().join("/");
    let digest = format!("{} {names}", digest(&paths)?);
    Ok(Some(Asked { tasks: items::read(&paths)?, digest }))
}
