//! `nitp train`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use console::style;
use nitp_core::config::{BYTE_TOKENIZER, Config, parameter_counts};
use nitp_core::data::{Dataset, Tokenizer};
use nitp_core::train::{
    Checkpoint, EvaluationEvent, Event, Generator, GeometryEvent, Sampling, Start, StepEvent,
    Trainer,
};
use serde::Serialize;

use crate::args::TrainArgs;
use crate::device::Device;
use crate::documents::{self, Named};
use crate::log::Log;
use crate::machine::Machine;
use crate::output::{outln, quoted};
use crate::progress::{Progress, short, thousands};
use crate::reasons::reasons;
use crate::run_folder::{self, RunFolder, Saved, read_tokenizer};
use crate::{checkpoints, device, memory, settings, signals, token_cache};

/// Tokens of the sample at the end.
const SAMPLE_TOKENS: usize = 80;

/// What a run starts from.
struct Plan {
    config: Config,
    tokenizer: Tokenizer,
    start: Start,
    /// Steps done.
    done: usize,
    /// What it trained on so far.
    machine: Option<Machine>,
    folder: Folder,
}

/// Where a run is kept.
enum Folder {
    /// Made once all else is known to work.
    New {
        out: Option<PathBuf>,
        name: String,
    },
    Existing(RunFolder),
}

/// First line of the log, and of each time that the run goes on.
#[derive(Serialize)]
struct StartLine<'a> {
    event: &'static str,
    step: usize,
    version: &'static str,
    device: &'a str,
    parameters: u64,
    data_fingerprint: &'a str,
}

/// What the summary at the end tells.
#[derive(Default)]
struct Summary {
    first_evaluation: Option<EvaluationEvent>,
    evaluation: Option<EvaluationEvent>,
    first_geometry: Option<GeometryEvent>,
    geometry: Option<GeometryEvent>,
    step: Option<StepEvent>,
    /// Steps whose gradients overflowed.
    skipped: usize,
    interrupted: bool,
}

/// Trains, keeps the run, tells about it.
pub fn run(args: TrainArgs) -> Result<()> {
    signals::listen()?;
    let plan = match &args.resume {
        Some(path) => resume(&args, run_folder::locate(path)?)?,
        None => fresh(&args)?,
    };
    let Plan { config, tokenizer, start, done, machine, folder } = plan;
    ensure!(
        !config.data.paths.is_empty(),
        "no text to train on: give --data with text files, JSONL files or folders, or set data.paths"
    );
    let steps = config.train.steps;
    if done == steps {
        outln!("The run is complete: step {done} of {steps}. To train on, give a larger --steps.");
        return Ok(());
    }
    if done > steps {
        outln!(
            "Nothing to do: the run is at step {done} already, and is to have {steps}. To train \
             on, give --steps above {done}."
        );
        return Ok(());
    }
    if let Some(stop_at) = args.stop_at {
        ensure!(stop_at > done, "--stop-at {stop_at}: the run is at step {done} already");
    }

    let mut warnings = Vec::new();
    let named = match &args.resume {
        Some(_) if args.run.data.is_empty() => Named::Before(
            "If it was moved or piped, give the same text again: nitp train --resume RUN --data PATH",
        ),
        _ => Named::Now,
    };
    let warn = |text| warnings.push(text);
    let corpus = token_cache::corpus(&config.data.paths, named, &tokenizer, warn)?;
    warnings.extend(tokenizer.check_corpus(&corpus));
    let fingerprint = corpus.fingerprint().to_owned();
    if let Start::Checkpoint(checkpoint) = &start {
        check_data(checkpoint, &fingerprint, &config)?;
    }
    let dataset = Dataset::new(&config, &tokenizer, corpus)?;
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
        Folder::New { out, name } => RunFolder::create(out.as_deref(), &name)?,
        Folder::Existing(folder) => {
            let lock = folder.lock()?;
            let newest = folder.checkpoints().find()?.newest();
            ensure!(
                newest == Some(done),
                "another process trained in {} meanwhile: give the same command once more",
                folder.path().display()
            );
            (folder, lock, false)
        }
    };
    folder.write_config(&config)?;
    folder.write_tokenizer(&tokenizer)?;
    folder.write_machine(&machine)?;
    outln!("{about}");
    let remark = if taken_over { " (in place of one without a checkpoint)" } else { "" };
    outln!("  {:<8}{}{remark}\n", "run", folder.path().display());

    let (mut log, spoiled) = Log::open(folder.metrics(), done)?;
    log.write(&StartLine {
        event: "start",
        step: done,
        version: env!("CARGO_PKG_VERSION"),
        device: &choice.why,
        parameters: parameter_counts(&config.model, &config.nitp).total,
        data_fingerprint: &fingerprint,
    })?;
    let mut progress = Progress::new(&config, done);
    if spoiled > 0 {
        warnings.push(format!(
            "{spoiled} spoiled line{} of {} dropped: the run's past has gaps",
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
            // What comes after what could not be kept is not true of what was.
            return ControlFlow::Break(());
        }
        progress.show(&event);
        let kept = keep(&folder, &mut log, &event, config.train.keep_checkpoints);
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
    progress.finish();
    drop(saving);
    if let Some(error) = failure {
        return Err(error);
    }
    log.sync()?;
    outcome.with_context(|| format!("the run {} stopped", folder.path().display()))?;
    let seconds = begin.elapsed().as_secs_f64();
    summary.print(&config, &folder, seconds);
    if !summary.interrupted {
        sample(&mut trainer, &config, &tokenizer);
    }
    farewell(&folder, summary.interrupted);
    if summary.interrupted && signals::asked() {
        return Err(signals::Interrupted.into());
    }
    Ok(())
}

fn fresh(args: &TrainArgs) -> Result<Plan> {
    if let Some(out) = &args.out {
        run_folder::check_free(out)?;
    }
    let config = settings::run_config(&args.run)?;
    let tokenizer = settings_tokenizer(&config)?;
    let start = match &args.run.init {
        Some(path) => Start::Weights(checkpoints::initial_weights(path, &config)?),
        None => Start::Seed,
    };
    let folder = Folder::New { out: args.out.clone(), name: settings::name(&args.run.config) };
    Ok(Plan { config, tokenizer, start, done: 0, machine: None, folder })
}

/// The tokenizer that a configuration names.
pub fn settings_tokenizer(config: &Config) -> Result<Tokenizer> {
    let source = &config.data.tokenizer;
    let file = (source != BYTE_TOKENIZER).then(|| PathBuf::from(source));
    read_tokenizer(file.as_deref(), config)
}

fn resume(args: &TrainArgs, saved: Saved) -> Result<Plan> {
    let Saved { run, checkpoint, step, newest } = saved;
    ensure!(
        newest || args.out.is_some(),
        "{} is not the newest checkpoint of its run, and going on from it would overwrite later \
         ones. Give --out with a new folder to branch off, or `nitp train --resume {}` to go on from \
         the newest",
        checkpoint.display(),
        quoted(run.path())
    );
    let old = run.config()?;
    let config = settings::override_config(old.clone(), &args.run)?;
    check_unchanged(&old, &config)?;
    let tokenizer = run.tokenizer(&config)?;
    let start = checkpoints::load(&checkpoint, &config).with_context(|| {
        let others =
            "other checkpoints of the run can be gone on with: --resume CHECKPOINT --out DIR";
        format!("can't go on from {} ({others})", checkpoint.display())
    })?;
    let machine = run.machine();
    let folder = match &args.out {
        Some(out) => {
            run_folder::check_free(out)?;
            Folder::New { out: Some(out.clone()), name: String::new() }
        }
        None => Folder::Existing(run),
    };
    let start = Start::Checkpoint(Box::new(start));
    Ok(Plan { config, tokenizer, start, done: step, machine, folder })
}

/// What decides which text a step sees, and which text none sees, stays as it was.
fn check_unchanged(old: &Config, new: &Config) -> Result<()> {
    let keys = |config: &Config| {
        let (train, data) = (&config.train, &config.data);
        [
            ("train.batch_size", train.batch_size.to_string()),
            ("train.context_length", train.context_length.to_string()),
            ("train.gradient_accumulation_steps", train.gradient_accumulation_steps.to_string()),
            ("train.seed", train.seed.to_string()),
            ("data.validation_fraction", data.validation_fraction.to_string()),
            ("data.tokenizer", data.tokenizer.clone()),
            ("data.end_of_text", data.end_of_text.clone()),
        ]
    };
    for ((key, old), (_, new)) in keys(old).into_iter().zip(keys(new)) {
        ensure!(
            old == new,
            "{key} is {old} in the run and can't become {new} when it goes on: its place in the \
             data, and what is held out, depend on it. Start a new run from its weights with --init"
        );
    }
    Ok(())
}

fn check_data(checkpoint: &Checkpoint, fingerprint: &str, config: &Config) -> Result<()> {
    ensure!(
        checkpoint.state.data_fingerprint == fingerprint,
        "the data changed since the checkpoint: {} holds other text than the run was trained on, \
         and going on would mix held-out text into training. Put the old text back, or start a new \
         run from these weights with --init",
        documents::listed(config.data.paths.iter().cloned())
    );
    Ok(())
}

/// Writes what has to last. The checkpoint comes before the line that tells of it.
fn keep(folder: &RunFolder, log: &mut Log, event: &Event, newest: usize) -> Result<()> {
    if let Event::Checkpoint(event) = event {
        // Nor does a checkpoint get its name before the log up to it is on the disk.
        folder.checkpoints().save(&event.checkpoint, || log.sync())?;
        folder.checkpoints().prune(newest)?;
    }
    log.write(event)
}

/// What is trained, on what, as lines.
fn about(config: &Config, device: &str, tokenizer: &Tokenizer, dataset: &Dataset) -> String {
    let (model, train) = (&config.model, &config.train);
    let counts = parameter_counts(model, &config.nitp);
    let kind = match &model.moe {
        Some(moe) => format!(
            "{} active, {} experts of which {} see a token",
            short(counts.active as f64),
            moe.num_experts,
            moe.num_experts_per_tok
        ),
        None => "dense".to_owned(),
    };
    let projector = match counts.projector {
        0 => String::new(),
        count => format!(" + {} of NITP's projector, in training only", short(count as f64)),
    };
    let objective = if config.nitp.enabled { "NTP + NITP" } else { "NTP alone" };
    let corpus = dataset.corpus();
    let held_out = dataset.split().held_out.len();
    let trained = train.steps as f64 * train.tokens_per_step() as f64;
    let epochs = trained / (corpus.tokens().len() - held_out) as f64;
    let vocabulary = match tokenizer {
        Tokenizer::Byte { .. } => "bytes".to_owned(),
        Tokenizer::HuggingFace(_) => {
            format!("{} kinds of token", thousands(tokenizer.vocab_size() as f64))
        }
    };
    let line = |name: &str, text: String| format!("  {name:<8}{text}\n");
    [
        style(format!("nitp {}", env!("CARGO_PKG_VERSION"))).bold().to_string() + "\n",
        line("device", device.to_owned()),
        line(
            "model",
            format!(
                "{} parameters ({kind}; {} blocks of width {}){projector}",
                short(counts.total as f64),
                model.num_hidden_layers,
                model.hidden_size
            ),
        ),
        line(
            "data",
            format!(
                "{} tokens in {} document{} ({vocabulary}), {} of them held out",
                thousands(corpus.tokens().len() as f64),
                thousands(corpus.documents() as f64),
                if corpus.documents() == 1 { "" } else { "s" },
                thousands(held_out as f64),
            ),
        ),
        line(
            "train",
            format!(
                "{objective}, {} steps of {} tokens: {epochs:.1} epochs",
                thousands(train.steps as f64),
                thousands(train.tokens_per_step() as f64)
            ),
        ),
    ]
    .concat()
    .trim_end()
    .to_owned()
}

impl Summary {
    fn take(&mut self, event: Event) {
        match event {
            Event::Step(event) => {
                self.skipped += usize::from(event.skipped);
                self.step = Some(event);
            }
            Event::Evaluation(event) => {
                self.first_evaluation.get_or_insert(event.clone());
                self.evaluation = Some(event);
            }
            Event::Geometry(event) => {
                self.first_geometry.get_or_insert(event.clone());
                self.geometry = Some(event);
            }
            Event::Finished(event) => self.interrupted = event.interrupted,
            Event::Checkpoint(_) | Event::Warning(_) => {}
        }
    }

    fn print(&self, config: &Config, folder: &RunFolder, seconds: f64) {
        let Some(step) = &self.step else { return };
        let ended = if self.interrupted { "Stopped" } else { "Finished" };
        outln!(
            "\n{} after step {} of {}, {:.0} s.",
            style(ended).bold(),
            step.step,
            config.train.steps,
            seconds
        );
        let line = |name: &str, text: String| outln!("  {name:<16}{text}");
        let change = |first: f64, last: f64, digits: usize| {
            if first == last {
                format!("{last:.digits$}")
            } else {
                format!("{first:.digits$} → {last:.digits$}")
            }
        };
        if let (Some(first), Some(last)) = (&self.first_evaluation, &self.evaluation) {
            line("held-out loss", change(first.val_loss, last.val_loss, 3) + " nats a token");
            line("perplexity", change(first.perplexity, last.perplexity, 1));
            if let (Some(first), Some(last)) = (first.bits_per_byte, last.bits_per_byte) {
                line("bits per byte", change(first, last, 3));
            }
            if config.nitp.enabled {
                line("NITP loss", change(first.nitp_loss, last.nitp_loss, 3));
            }
        } else {
            line("loss", format!("{:.3} nats a token", step.ntp_loss));
        }
        if let (Some(first), Some(last)) = (&self.first_geometry, &self.geometry) {
            let width = config.model.hidden_size;
            let rank = change(first.effective_rank, last.effective_rank, 1);
            line("effective rank", format!("{rank} of {width}"));
            line("mean cosine", change(first.mean_cosine, last.mean_cosine, 3));
        }
        if let Some(scale) = step.loss_scale {
            line("loss scale", format!("{scale}; {} steps skipped for overflow", self.skipped));
        }
        line("run", folder.path().display().to_string());
    }
}

/// A few words of the model. Failing at it is no failure of the run, which is saved.
fn sample(trainer: &mut Trainer, config: &Config, tokenizer: &Tokenizer) {
    let executor = trainer.executor();
    let written = Generator::new(executor, config).map_err(anyhow::Error::from).and_then(|it| {
        // Without a token that begins documents: a line does.
        let prompt = match tokenizer.end_of_text() {
            Some(_) => Vec::new(),
            None => tokenizer.encode("\n")?,
        };
        let sampling = Sampling::default();
        Ok(it.generate(executor, prompt, SAMPLE_TOKENS, tokenizer, sampling, |_| {})?)
    });
    match written {
        Ok(tokens) => {
            outln!("\n{}", style("A sample:").bold());
            for line in tokenizer.decode(&tokens).trim().lines() {
                outln!("  {line}");
            }
        }
        Err(error) => outln!("\nNo sample: {}", reasons(&error)),
    }
}

fn farewell(folder: &RunFolder, interrupted: bool) {
    let run = quoted(folder.path());
    outln!("\n{}", style("Next:").bold());
    if interrupted {
        outln!("  nitp train --resume {run}");
    }
    outln!("  nitp generate {run} --prompt \"The \"");
    outln!("  nitp eval {run}");
}
