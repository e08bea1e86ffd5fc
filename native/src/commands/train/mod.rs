//! `nitp train`.

pub mod beginning;
mod going_on;
mod told;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nitp_core::config::{Config, parameter_counts};
use nitp_core::data::Tokenizer;
use nitp_core::train::{Event, Start, Trainer};
use serde::Serialize;

use crate::args::TrainArgs;
use crate::device::Device;
use crate::hugging_face::NamedFile;
use crate::log::Log;
use crate::machine::Machine;
use crate::output::outln;
use crate::progress::Progress;
use crate::run_folder::{self, RunFolder};
use crate::tensorboard::Board;
use crate::{device, memory, settings, signals};
use beginning::Beginning;
use going_on::{check_data, resume};
use nitp_files::documents::Named;
use nitp_files::token_cache::Text;
use told::{Summary, about, farewell, sample};

/// The start of a run.
struct Plan {
    config: Config,
    tokenizer: Tokenizer,
    start: Start,
    /// Steps done.
    done: usize,
    /// The machine that it trained on so far.
    machine: Option<Machine>,
    folder: Folder,
    /// Files in Hugging Face's format that came with the model.
    kept: Vec<NamedFile>,
}

/// The folder of a run.
enum Folder {
    /// A new folder, which is made only after all other preparations have succeeded.
    New {
        out: Option<PathBuf>,
        name: String,
        /// None if a path can't be written as text.
        begins_from: Option<run_folder::Start>,
    },
    Existing(RunFolder),
}

/// First line of the log at the start and at each continuation.
#[derive(Serialize)]
struct StartLine<'a> {
    event: &'static str,
    step: usize,
    version: &'static str,
    device: &'a str,
    parameters: u64,
    data_fingerprint: &'a str,
}

/// Recipient of a run's events.
pub enum Told<'a> {
    /// The terminal: the configuration, progress, results and a sample.
    Reader,
    /// A function that gets each event.
    Caller(&'a mut dyn FnMut(&Event)),
}

/// Trains and saves a run, and prints its progress.
pub fn run(args: TrainArgs) -> Result<()> {
    signals::listen()?;
    train(args, Told::Reader)
}

/// Trains and saves a run.
///
/// # Errors
/// Any failure before the last step; [`signals::Interrupted`] for a signal.
pub fn train(args: TrainArgs, mut told: Told<'_>) -> Result<()> {
    let plan = match &args.resume {
        Some(path) => resume(&args, run_folder::locate(path)?)?,
        None => fresh(&args)?,
    };
    let Plan { config, tokenizer, start, done, machine, folder, kept } = plan;
    ensure!(
        !config.data.paths.is_empty(),
        "no text to train on: give --data with files or folders, or set data.paths"
    );
    let steps = config.train.steps;
    if done == steps {
        if matches!(told, Told::Caller(_)) {
            return Ok(());
        }
        outln!("The run is complete: step {done} of {steps}. To train on, give a larger --steps.");
        return Ok(());
    }
    if done > steps {
        outln!(
            "Nothing to do: the run is at step {done} already, beyond --steps {steps}. To train on, \
            give --steps above {done}."
        );
        return Ok(());
    }
    if let Some(stop_at) = args.stop_at {
        ensure!(stop_at > done, "--stop-at {stop_at}: the run is at step {done} already");
    }

    let mut warnings = Vec::new();
    let named = match &args.resume {
        Some(_) if args.run.data.is_empty() => Named::Before(
            "If the text was moved or piped, give it again: nitp train --resume RUN --data PATH",
        ),
        _ => Named::Now,
    };
    let warn = |text| warnings.push(text);
    let text = Text::read(&config.data, named, &tokenizer, warn)?;
    let fingerprint = text.fingerprint().to_owned();
    if let Start::Checkpoint(checkpoint) = &start {
        check_data(checkpoint, &fingerprint, &config)?;
    }
    let dataset = text.dataset(&config, &tokenizer)?;
    let choice = device::choose_for(&args.run.device, &config, machine.as_ref())?;
    let about = about(&config, &choice.why, &tokenizer, &dataset);
    if matches!(choice.device, Device::Cpu) {
        memory::check_machine(&config)?;
    }
    let machine = Machine::of(&choice.device);
    let executor = choice.device.executor(&config)?;
    let mut trainer = Trainer::new(&config, executor, Box::new(dataset), start)?;
    if let Some(step) = args.stop_at {
        trainer.stop_at(step);
    }

    let (folder, _lock, taken_over) = match folder {
        Folder::New { out, name, begins_from } => {
            let created = RunFolder::create(out.as_deref(), &name)?;
            if let Some(start) = &begins_from {
                created.0.write_start(start)?;
            }
            created.0.write_pretrained_files(&kept)?;
            created
        }
        Folder::Existing(folder) => {
            let lock = folder.lock()?;
            let newest = folder.checkpoints().find()?.newest();
            ensure!(
                newest == Some(done),
                "another process trained in {} meanwhile: repeat the command",
                folder.path().display()
            );
            (folder, lock, false)
        }
    };
    folder.write_config(&config)?;
    folder.write_tokenizer(&tokenizer)?;
    folder.write_machine(&machine)?;
    if matches!(told, Told::Reader) {
        outln!("{about}");
        let remark = if taken_over { " (in place of one without a checkpoint)" } else { "" };
        outln!("  {:<8}{}{remark}\n", "run", folder.path().display());
    }

    let (mut log, spoiled) = Log::open(folder.metrics(), done)?;
    log.write(&StartLine {
        event: "start",
        step: done,
        version: env!("CARGO_PKG_VERSION"),
        device: &choice.why,
        parameters: parameter_counts(&config).total,
        data_fingerprint: &fingerprint,
    })?;
    let board = args.tensorboard.then(|| Board::open(folder.path(), &config, done));
    let mut board = board.transpose()?;
    let mut progress = matches!(told, Told::Reader).then(|| Progress::new(&config, done));
    if spoiled > 0 {
        warnings.push(format!(
            "{spoiled} broken line{} of {} dropped: the run's curves have gaps",
            if spoiled == 1 { " was" } else { "s were" },
            folder.metrics().display()
        ));
    }
    warnings.into_iter().for_each(|warning| trainer.warn(warning));
    let mut summary = Summary::default();
    let mut failure = None;
    let begin = Instant::now();
    let saving = signals::Saving::begin();
    let outcome = trainer.run(|_, event| {
        if failure.is_some() {
            // Events after a failed save would not match the saved files.
            return ControlFlow::Break(());
        }
        match &mut told {
            Told::Caller(each) => each(&event),
            Told::Reader => progress.iter_mut().for_each(|progress| progress.show(&event)),
        }
        let kept = keep(&folder, &mut log, &event, config.train.keep_checkpoints)
            .and_then(|()| board.iter_mut().try_for_each(|board| board.write(&event)));
        summary.take(event);
        match kept {
            Err(error) => {
                failure.get_or_insert(error);
                ControlFlow::Break(())
            }
            Ok(()) if signals::asked() => ControlFlow::Break(()),
            Ok(()) => ControlFlow::Continue(()),
        }
    });
    if let Some(progress) = &mut progress {
        progress.finish();
    }
    drop(saving);
    if let Some(error) = failure {
        return Err(error);
    }
    log.sync()?;
    outcome.with_context(|| format!("the run {} stopped", folder.path().display()))?;
    if matches!(told, Told::Reader) {
        summary.print(&config, &folder, begin.elapsed().as_secs_f64());
        if !summary.interrupted {
            sample(&mut trainer, &config, &tokenizer);
        }
        farewell(&folder, summary.interrupted);
    }
    if summary.interrupted && signals::asked() {
        return Err(signals::Interrupted.into());
    }
    Ok(())
}

fn fresh(args: &TrainArgs) -> Result<Plan> {
    if let Some(out) = &args.out {
        run_folder::check_free(out)?;
    }
    let Beginning { config, tokenizer, weights, kept } = Beginning::of(&args.run)?;
    let start = weights.map_or(Start::Seed, Start::Weights);
    let folder = Folder::New {
        out: args.out.clone(),
        name: settings::run_name(&args.run),
        begins_from: run_folder::Start::of(args.run.init.as_deref()),
    };
    Ok(Plan { config, tokenizer, start, done: 0, machine: None, folder, kept })
}

/// Saves an event. A checkpoint is saved before its line in the log.
fn keep(folder: &RunFolder, log: &mut Log, event: &Event, newest: usize) -> Result<()> {
    if let Event::Checkpoint(event) = event {
        // The checkpoint gets its name only after the log up to it is on the disk.
        folder.checkpoints().save(&event.checkpoint, || log.sync())?;
        folder.checkpoints().prune(newest)?;
    }
    log.write(event)
}
