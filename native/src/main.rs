//! `nitp`: train, evaluate, generate, inspect. Exit codes: 0, 1 for a failure, 2 for wrong usage, 130
//! for a run that a signal stopped.

mod advice;
mod args;
mod checkpoints;
mod commands;
mod device;
mod figures;
mod history;
mod hugging_face;
mod log;
mod machine;
mod memory;
mod model;
mod output;
mod progress;
mod reasons;
mod run_folder;
mod settings;
mod signals;
mod tensorboard;
mod tuning;

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Arguments, Command};

fn main() -> ExitCode {
    quiet_vulkan();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) if usage.use_stderr() => usage.exit(),
        Err(help) => {
            output::note(help.print());
            return exit_code(Ok(()));
        }
    };
    let result = match arguments.command {
        Command::Train(args) => commands::train::run(args),
        Command::Eval(args) => commands::eval::run(args),
        Command::Generate(args) => commands::generate::run(args),
        Command::Export(args) => commands::export::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Compare(args) => commands::lab::compare(&args),
        Command::Ablate(args) => commands::lab::ablate(&args),
        Command::Sweep(args) => commands::lab::sweep(&args),
        Command::Probe(args) => commands::probe::probe(&args),
        Command::Embed(args) => commands::probe::embed(&args),
        Command::View(args) => commands::view::run(&args),
        Command::Info(args) => commands::info::run(args),
        Command::Devices => commands::devices::run(),
        Command::Doctor => commands::doctor::run(),
        Command::Tokenizer(command) => commands::tokenizer::run(command),
        Command::Data(command) => commands::data::run(command),
        Command::Trace(args) => commands::trace::run(args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Gui(args) => commands::gui::run(&args),
        Command::Completions { shell } => commands::shell::completions(shell),
        Command::Man { out } => commands::shell::man(&out),
    };
    exit_code(result)
}

/// Prints the error, including failures to write to the standard output.
fn exit_code(result: Result<()>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for result in [result, output::finish()] {
        match result {
            Ok(()) => {}
            Err(error) if error.is::<signals::Interrupted>() => {
                return ExitCode::from(signals::EXIT_CODE);
            }
            // A closed pipe (`nitp info | head`) is no failure.
            Err(error) if is_broken_pipe(&error) => {}
            Err(error) => {
                let style = console::style("error:").for_stderr().red().bold();
                let text = output::shortened(&reasons::reasons(&error));
                match advice::advice(&error) {
                    // An error of several sentences may lack its final full stop.
                    Some(advice) => {
                        output::errln!("{style} {}. {advice}", text.trim_end_matches('.'));
                    }
                    None => output::errln!("{style} {text}"),
                }
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Sets a variable without which Mesa's Vulkan drivers print an error for each adapter (on servers and in containers),
/// although this program draws in no window.
fn quiet_vulkan() {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(VARIABLE).is_none() {
        // SAFETY: there are no other threads yet.
        unsafe { std::env::set_var(VARIABLE, std::env::temp_dir()) };
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
