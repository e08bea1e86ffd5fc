//! A prompt line: each line that is typed is gone on with.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::{Writer, encode};
use crate::cache;
use crate::output::{self, errln, outln};

/// Whether Ctrl-C was pressed while text was written.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Reads lines until their end, and goes on with each; with an empty one, the last text goes on. Lines are kept from
/// one call of the program to the next, beside other files that it can do without.
///
/// # Errors
/// What the terminal, the tokenizer or the executor reports.
pub fn run(writer: &mut Writer<'_>) -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst))
        .context("listening for Ctrl-C")?;
    let mut editor = DefaultEditor::new().context("opening a prompt line")?;
    let history = cache::folder().join("prompts");
    // None yet, on a first call.
    let _ = editor.load_history(&history);
    errln!(
        "Type what a text begins with. An empty line goes on with the last text; Ctrl-C ends a text, Ctrl-D all."
    );
    let (mut text, mut seed) = (String::new(), writer.args.seed);
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("reading a line"),
        };
        if !line.is_empty() {
            editor.add_history_entry(&line).context("keeping a line")?;
            text = line;
        }
        let prompt = match encode(writer.tokenizer, &text) {
            Ok(prompt) => prompt,
            Err(error) => {
                errln!("{error:#}");
                continue;
            }
        };
        INTERRUPTED.store(false, Ordering::SeqCst);
        if output::part(&text).is_break() {
            break;
        }
        let mut told = ControlFlow::Continue(());
        writer.write(vec![prompt], seed, |_, part| {
            text += part;
            told = output::part(part);
            let is_interrupted = INTERRUPTED.load(Ordering::SeqCst);
            if is_interrupted { ControlFlow::Break(()) } else { told }
        })?;
        outln!("");
        if told.is_break() {
            break;
        }
        seed += 1;
    }
    if let Some(folder) = history.parent() {
        // A history that can't be kept is no failure of what was written.
        let _ = std::fs::create_dir_all(folder)
            .and_then(|()| editor.save_history(&history).map_err(std::io::Error::other));
    }
    Ok(())
}
