//! A prompt line: each line that is typed is gone on with.

use std::fs;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use rustyline::error::ReadlineError;
use rustyline::{Behavior, Config, DefaultEditor};

use super::{Told, Writer, encode};
use crate::output::{self, errln, outln};
use crate::reasons::reasons;
use crate::signals;

/// What a signal does: it ends the program, but for the first one while a text is written, which ends the text.
static STATE: AtomicU8 = AtomicU8::new(IDLE);

const IDLE: u8 = 0;
const WRITING: u8 = 1;
const INTERRUPTED: u8 = 2;

/// Reads lines until their end, and goes on with each; with an empty one, the last text goes on. Lines that are typed
/// in a terminal are kept from one call of the program to the next.
///
/// # Errors
/// What the terminal, the tokenizer or the executor reports.
pub fn run(writer: &mut Writer<'_>, context: usize) -> Result<()> {
    ctrlc::set_handler(|| {
        let order = Ordering::SeqCst;
        if STATE.compare_exchange(WRITING, INTERRUPTED, order, order).is_err() {
            signals::end();
        }
    })
    .context("listening for Ctrl-C")?;
    let is_typed = io::stdin().is_terminal();
    // Where the texts go to a file, the prompt does not.
    let prefers_terminal = is_typed && !io::stdout().is_terminal();
    let behavior = if prefers_terminal { Behavior::PreferTerm } else { Behavior::Stdio };
    let config = Config::builder().behavior(behavior).build();
    let mut editor = DefaultEditor::with_config(config).context("opening a prompt line")?;
    let history = history().filter(|_| is_typed);
    if let Some(history) = &history {
        // None yet, on a first call.
        let _ = editor.load_history(history);
    }
    errln!(
        "Type the beginning of a text. An empty line goes on with the last text; Ctrl-C ends a text, \
         Ctrl-D the program."
    );
    let (mut tokens, mut seed) = (Vec::new(), writer.args.seed);
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error).context("reading a line"),
        };
        if !line.is_empty() {
            // A history that cannot be kept is no failure of a text.
            let _ = editor.add_history_entry(&line);
            if let Some(history) = &history {
                let _ = editor.append_history(history);
            }
        }
        if !line.is_empty() || tokens.is_empty() {
            match encode(writer.tokenizer, &line, context) {
                Ok(encoded) => tokens = encoded,
                Err(error) => {
                    errln!("{}", reasons(&error));
                    continue;
                }
            }
        }
        let mut told = output::part(&line);
        STATE.store(WRITING, Ordering::SeqCst);
        let mut drawn = Vec::new();
        let written = writer.write(vec![tokens.clone()], seed, |_, Told { token, part }| {
            drawn.extend(token);
            told = part.map_or(told, output::part);
            let is_interrupted = STATE.load(Ordering::SeqCst) == INTERRUPTED;
            if is_interrupted { ControlFlow::Break(()) } else { told }
        });
        STATE.store(IDLE, Ordering::SeqCst);
        written?;
        outln!("");
        if told.is_break() {
            return Ok(());
        }
        tokens.extend(drawn);
        seed = seed.wrapping_add(1);
    }
}

/// The file of earlier lines, if the system has a folder for such.
fn history() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?.join("nitp");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("prompts"))
}
