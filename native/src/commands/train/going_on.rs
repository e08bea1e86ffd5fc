//! `nitp train --resume`: checks that a run can be continued.

use anyhow::{Context, Result, ensure};
use nitp_core::config::Config;
use nitp_core::train::{Checkpoint, Start};

use super::{Folder, Plan};
use crate::args::TrainArgs;
use crate::machine::Machine;
use crate::output::quoted;
use crate::run_folder::{self, Saved};
use crate::{checkpoints, settings};
use nitp_files::documents;

/// The plan for a continued run.
///
/// # Errors
/// If the run can't continue with these options.
pub fn resume(args: &TrainArgs, saved: Saved) -> Result<Plan> {
    let Saved { run, checkpoint, step, newest } = saved;
    ensure!(
        newest || args.out.is_some(),
        "{} is not the newest checkpoint of its run, and continuing from it would overwrite later \
        ones. Start a new run from it with --out and a new folder, or continue from the newest with \
        `nitp train --resume {}`",
        checkpoint.display(),
        quoted(run.path())
    );
    let kept = run.pretrained_files()?;
    ensure!(
        !run.is_imported(),
        "{} was imported and never trained, so there is no training to continue. Start a run from its \
        weights: nitp train --init {} --data PATH",
        run.path().display(),
        quoted(run.path())
    );
    let old = run.config()?;
    let config = settings::override_config(old.clone(), &args.run)?;
    check_unchanged(&old, &config)?;
    let tokenizer = run.tokenizer(&config)?;
    let start = checkpoints::load(&checkpoint, &config).with_context(|| {
        let others = "other checkpoints of the run can be continued: --resume CHECKPOINT --out DIR";
        format!("can't continue from {} ({others})", checkpoint.display())
    })?;
    let mut machine = run.machine();
    if args.out.is_some() {
        machine = machine.map(Machine::of_branch);
    }
    let folder = match &args.out {
        Some(out) => {
            run_folder::check_free(out)?;
            let begins_from = run_folder::Start::of_branch(&checkpoint, &args.run, &config);
            Folder::New { out: Some(out.clone()), name: String::new(), begins_from }
        }
        None => Folder::Existing(run),
    };
    let start = Start::Checkpoint(Box::new(start));
    Ok(Plan { config, tokenizer, start, done: step, machine, folder, kept })
}

/// Checks that the settings that determine batches and the held-out text are unchanged.
fn check_unchanged(old: &Config, new: &Config) -> Result<()> {
    let keys = |config: &Config| {
        let (train, data) = (&config.train, &config.data);
        [
            ("train.batch_size", train.batch_size.to_string()),
            ("train.context_length", train.context_length.to_string()),
            ("train.gradient_accumulation_steps", train.gradient_accumulation_steps.to_string()),
            ("train.seed", train.seed.to_string()),
            ("data.validation_fraction", data.validation_fraction.to_string()),
            ("data.weights", format!("{:?}", data.weights)),
            ("data.tokenizer", data.tokenizer.clone()),
            ("data.end_of_text", data.end_of_text.clone()),
        ]
    };
    for ((key, old), (_, new)) in keys(old).into_iter().zip(keys(new)) {
        ensure!(
            old == new,
            "{key} is {old} in the run and can't become {new} on --resume: the position in the data \
            and the held-out part depend on this key. Start a new run from the weights with --init"
        );
    }
    Ok(())
}

/// Checks that the text is that of the checkpoint.
///
/// # Errors
/// If the text differs.
pub fn check_data(checkpoint: &Checkpoint, fingerprint: &str, config: &Config) -> Result<()> {
    ensure!(
        checkpoint.state.data_fingerprint == fingerprint,
        "the data changed since the checkpoint: {} is not the text that the run was trained on, and \
        continuing would mix held-out text into training. Put the old text back, or start a new run \
        from these weights with --init",
        documents::listed(config.data.paths.iter().cloned())
    );
    Ok(())
}
