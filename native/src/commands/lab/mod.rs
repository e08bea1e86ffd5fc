//! `nitp compare`, `ablate` and `sweep`: arms trained from the same seeds on the same batches, and a report.

mod arms;
mod clouds;
mod experiment;
mod measures;
mod probes;
mod report;
mod results;
mod run;
mod sheets;
mod summary;
mod tables;
mod tasks;
mod words;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use console::{Term, style, user_attended};

use nitp_core::config::Config;

use crate::args::{AblateArgs, CompareArgs, LabArgs, SweepArgs};
use crate::output::{outln, quoted};
use crate::{settings, signals};
use arms::{Arm, Axis};
use experiment::{Experiment, Folder};
use results::RunResult;
use summary::{Metric, Summary};

/// Above this number of runs, the user is asked first.
const MANY_RUNS: usize = 64;

/// Largest number of arms: nobody reads a longer report.
const MOST_ARMS: usize = 1000;

/// `nitp compare`.
///
/// # Errors
/// If an option is wrong, or a run fails.
pub fn compare(args: &CompareArgs) -> Result<()> {
    let base = base(&args.lab)?;
    let objectives = args.arms.iter().map(|name| Arm::objective(name, &base));
    let more = args.more.iter().map(|text| Arm::parse(text));
    let arms = objectives.chain(more).collect::<Result<Vec<_>>>()?;
    run(&args.lab, base, arms)
}

/// `nitp ablate`.
///
/// # Errors
/// As [`compare`].
pub fn ablate(args: &AblateArgs) -> Result<()> {
    let base = base(&args.lab)?;
    let arms = match &args.table {
        Some(name) => {
            ensure!(args.axes.is_empty(), "give a table (`{name}`) or --axis, not both");
            arms::table(name, &base)?
        }
        None => {
            ensure!(
                !args.axes.is_empty(),
                "there is nothing to vary. Give a table of the paper's ablations, such as `nitp ablate \
                loss` or `nitp ablate all`, or a grid: --axis nitp.target_layer=0,1,2"
            );
            let axes =
                args.axes.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>>>()?;
            with_ntp(&axes, &base)?
        }
    };
    run(&args.lab, base, arms)
}

/// `nitp sweep`.
///
/// # Errors
/// As [`compare`].
pub fn sweep(args: &SweepArgs) -> Result<()> {
    let mut axes = Vec::new();
    if !args.lambda.is_empty() {
        axes.push(Axis::of_numbers("nitp.weight", &args.lambda));
    }
    if !args.learning_rate.is_empty() {
        axes.push(Axis::of_numbers("train.learning_rate", &args.learning_rate));
    }
    ensure!(
        !axes.is_empty(),
        "there is nothing to sweep. Give --lambda, --lr or both, each with its values"
    );
    let base = base(&args.lab)?;
    let arms = with_ntp(&axes, &base)?;
    run(&args.lab, base, arms)
}

/// A grid, after next-token prediction alone.
fn with_ntp(axes: &[Axis], base: &Config) -> Result<Vec<Arm>> {
    let count = arms::grid_len(axes);
    ensure!(
        count <= MOST_ARMS,
        "the grid has {count} arms, and a report has at most {MOST_ARMS}: give fewer values"
    );
    Ok([Arm::ntp(base)].into_iter().chain(arms::grid(axes)).collect())
}

fn base(args: &LabArgs) -> Result<Config> {
    settings::lab_config(args)
}

fn run(args: &LabArgs, mut base: Config, arms: Vec<Arm>) -> Result<()> {
    arms::check(&arms)?;
    ensure!(!arms.is_empty(), "there is no arm to train");
    ensure!(args.seeds > 0, "--seeds 0: at least one seed is needed");
    look_often(&mut base);
    ensure!(
        !base.data.paths.is_empty(),
        "no text to train on: give --data with files or folders, or set data.paths"
    );
    let first = base.train.seed;
    let experiment = Experiment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arms,
        seeds: (first..first + args.seeds as u64).collect(),
        matched: args.matched,
        base,
    };
    // Every arm's configuration is checked before any file is made.
    let count = experiment.runs(std::path::Path::new("")).map(|runs| runs.len())?;
    if count > MANY_RUNS && !args.yes {
        confirm(count)?;
    }
    // Tasks are also read before any training.
    let tasks = tasks::asked(args, &experiment)?;
    signals::listen()?;
    let name = settings::name(&args.config);
    let folder = Folder::open(args.out.as_deref(), &name, &experiment)?;
    let runs = experiment.runs(folder.path())?;
    let seeds = experiment.seeds.len();
    outln!(
        "{} arm{} x {seeds} seed{} = {count} runs, in {}\n",
        experiment.arms.len(),
        if experiment.arms.len() == 1 { "" } else { "s" },
        if seeds == 1 { "" } else { "s" },
        folder.path().display()
    );
    let outcomes = run::run_all(&folder, &experiment, &runs, &args.device, args.tensorboard)?;
    let probed = probes::probe_all(args, &experiment, &runs, &outcomes)?;
    let scored = tasks::score_all(args, tasks, &experiment, &runs, &outcomes)?;
    let results = runs.iter().zip(&outcomes).zip(probed).zip(scored);
    let results = results.map(|(((run, outcome), probed), tasks)| {
        RunResult::read(run, outcome.clone(), probed, tasks)
    });
    let results = results.collect::<Result<Vec<_>>>()?;
    let summary = Summary::new(&experiment, &results)?;
    let shown = report::shown(&summary);
    let clouds = clouds::of_arms(&experiment, (&runs, &outcomes), &shown, &args.device)?;
    report::write(folder.path(), &summary, &results, (&shown, &clouds), &command(&folder))
        .with_context(|| format!("writing the report into {}", folder.path().display()))?;
    print(&summary);
    outln!("\nReport: {}", folder.path().join("report.html").display());
    Ok(())
}

/// Sets intervals for at least twenty evaluations and measurements of geometry, so that curves have enough points.
fn look_often(base: &mut Config) {
    const LOOKS: usize = 20;
    let most = (base.train.steps / LOOKS).max(1);
    let train = &mut base.train;
    for interval in [&mut train.eval_interval, &mut train.geometry_interval] {
        *interval = match *interval {
            0 => most,
            given => given.min(most),
        };
    }
}

/// Asks the user for confirmation; fails without a terminal.
fn confirm(count: usize) -> Result<()> {
    ensure!(
        user_attended(),
        "{count} runs are many: give --yes to train them all, or fewer arms or seeds"
    );
    outln!("{count} runs are many. Train them all? [y/N]");
    let answer = Term::stdout().read_line()?;
    ensure!(answer.trim().eq_ignore_ascii_case("y"), "no run was started");
    Ok(())
}

/// The given command, with the chosen folder.
fn command(folder: &Folder) -> String {
    let mut words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| quoted(std::path::Path::new(&word)).to_string())
        .collect();
    if !words.iter().any(|word| word == "--out" || word.starts_with("--out=")) {
        words.extend(["--out".to_owned(), quoted(folder.path()).to_string()]);
    }
    format!("nitp {}", words.join(" "))
}

/// Prints the results, one table per metric.
fn print(summary: &Summary) {
    for metric in &summary.results {
        outln!("\n{}", style(&metric.title).bold());
        outln!("{}", table(summary, metric));
    }
    outln!("");
    for sentence in words::findings(summary) {
        outln!("- {sentence}");
    }
}

fn table(summary: &Summary, metric: &Metric) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let difference = format!("against {}", summary.baseline);
    table.set_header(["", "mean", &difference, "95 % interval", "p"]);
    for (arm, row) in summary.arms.iter().zip(&metric.rows) {
        let digits = metric.digits;
        let diverged = arm.runs.iter().any(|run| run.outcome.is_diverged());
        let mean = match row.mean {
            Some(mean) => words::number(mean.mean, digits, false),
            None if diverged => "diverged".to_owned(),
            None => continue,
        };
        let [difference, interval, p] = match &row.difference {
            Some(it) => [
                words::number(it.mean, digits, true),
                words::interval(it, digits, true),
                words::p_value(it),
            ],
            None => [const { String::new() }; 3],
        };
        table.add_row([arm.name.clone(), mean, difference, interval, p]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
