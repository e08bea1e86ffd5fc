//! `nitp eval --task`: multiple choice and cloze, by the log-likelihood of each continuation.

mod encoding;
pub mod items;
pub mod scores;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::executor::Executor;
use nitp_core::train::{Continuation, Generator, LikelihoodReader};
use serde::Serialize;

use crate::args::{DeviceArgs, EvalArgs};
use crate::commands::eval::write_weights;
use crate::model::{Heads, Model};
use crate::output::outln;
use crate::{device, settings};
use items::Task;
use scores::{Judged, TaskScores};

/// Name of the tasks that the project ships, instead of a file.
const DEMO: &str = "demo";

/// Output of `--json`.
#[derive(Serialize)]
struct Told<'a> {
    checkpoint: String,
    tasks: &'a [TaskScores],
}

/// `nitp eval RUN --task FILE`.
///
/// # Errors
/// A run or a task that can't be read or scored.
pub fn eval(args: &EvalArgs) -> Result<()> {
    let tasks = items::read(&files(&args.task)?)?;
    let Scored { scores, checkpoint, why } = of_run(&args.run, &tasks, &args.device)?;
    if args.json {
        let checkpoint = checkpoint.display().to_string();
        outln!("{}", serde_json::to_string_pretty(&Told { checkpoint, tasks: &scores })?);
        return Ok(());
    }
    outln!("{}", checkpoint.display());
    outln!("  on {why}\n");
    table::print(&scores);
    Ok(())
}

/// The files of `--task`; `demo` stands for the tasks that the project ships.
///
/// # Errors
/// If the demo tasks are missing.
pub fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path == Path::new(DEMO) {
            files.extend(settings::demo_tasks()?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Scores of a run's newest checkpoint.
pub struct Scored {
    /// Scores of each task.
    pub scores: Vec<TaskScores>,
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// The device, and the reason for its choice.
    pub why: String,
}

/// Scores a run.
///
/// # Errors
/// A run that can't be read, an item that can't be encoded, errors of the device.
pub fn of_run(run: &Path, tasks: &[Task], device: &DeviceArgs) -> Result<Scored> {
    let Model { config, tokenizer, weights, place, .. } = Model::open(run, Heads::None)?;
    let requests = tasks
        .iter()
        .map(|task| Requests::new(task, &tokenizer, config.train.context_length))
        .collect::<Result<Vec<_>>>()?;
    let choice = device::choose(device)?;
    let mut executor = choice.device.executor(&config)?;
    let executor = executor.as_mut();
    write_weights(executor, &config, &weights)?;
    let judged = judge(executor, &config, &requests)?;
    let scores = tasks.iter().zip(&judged).map(|(task, judged)| TaskScores::new(task, judged));
    Ok(Scored { scores: scores.collect::<Result<_>>()?, checkpoint: place, why: choice.why })
}

/// The continuations of all items of a task, in order.
struct Requests {
    continuations: Vec<Continuation>,
    /// For each item, its number of continuations, and whether its question was truncated.
    items: Vec<(usize, bool)>,
    is_cloze: bool,
}

impl Requests {
    fn new(task: &Task, tokenizer: &Tokenizer, context: usize) -> Result<Self> {
        let (mut continuations, mut items) = (Vec::new(), Vec::new());
        for item in &task.items {
            let mut encode = || -> Result<bool> {
                let mut any_cut = false;
                for pair in encoding::encode(tokenizer, item)? {
                    let (continuation, is_cut) = encoding::cut(pair, context)?;
                    continuations.push(continuation);
                    any_cut |= is_cut;
                }
                Ok(any_cut)
            };
            let any_cut = encode().with_context(|| item.place.clone())?;
            items.push((item.continuations.len(), any_cut));
        }
        Ok(Self { continuations, items, is_cloze: task.is_cloze() })
    }
}

/// Scores each item of each task. Batches are filled across items and tasks.
fn judge(
    executor: &mut dyn Executor,
    config: &Config,
    requests: &[Requests],
) -> Result<Vec<Vec<Judged>>> {
    let reader = LikelihoodReader::new(executor, config)?;
    let all: Vec<Continuation> =
        requests.iter().flat_map(|it| it.continuations.iter().cloned()).collect();
    let bar = ProgressBar::new(all.len() as u64);
    let template = "{bar:24.cyan/dim} {msg}  {pos}/{len} continuations  ETA {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_message("tasks");
    let mut read = Vec::with_capacity(all.len());
    for some in all.chunks(reader.rows()) {
        read.extend(reader.read_now(executor, some)?);
        bar.inc(some.len() as u64);
    }
    // Only a cloze needs the likeliest tokens; for other items, logits are not read.
    let mut generator = match requests.iter().any(|it| it.is_cloze) {
        true => Some(Generator::new(executor, config)?),
        false => None,
    };
    let mut read = all.iter().zip(read);
    let mut judged = Vec::new();
    for requests in requests {
        let mut of_task = Vec::new();
        for &(count, is_cut) in &requests.items {
            let (mut log_likelihoods, mut is_greedy) = (Vec::new(), false);
            for (continuation, found) in read.by_ref().take(count) {
                log_likelihoods.push(found.iter().copied().map(f64::from).sum());
                if let Some(generator) = generator.as_mut().filter(|_| requests.is_cloze) {
                    is_greedy = continuation.is_greedy(executor, generator, &found)?;
                }
            }
            of_task.push(Judged { log_likelihoods, is_greedy, is_cut });
        }
        judged.push(of_task);
    }
    bar.finish_and_clear();
    Ok(judged)
}
