//! Output for users: lines to the standard output, error messages, commands to copy.
//! The standard output may be closed (`nitp info | head`), which is no failure; a full disk is one. In both cases a run
//! continues. The first failure is stored, and [`finish`] returns it.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};

/// The first failure to write to the standard output.
static FAILED: Mutex<Option<Error>> = Mutex::new(None);

/// Writes a line, unless an earlier write failed.
pub fn line(text: Arguments<'_>) {
    if failure().is_none() {
        note(writeln!(std::io::stdout(), "{text}"));
    }
}

/// Writes a part of a line and flushes it, unless an earlier write failed. Breaks on failure.
pub fn part(text: &str) -> ControlFlow<()> {
    if failure().is_none() {
        let mut out = std::io::stdout();
        note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
    if failure().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Largest number of characters of an error.
const LONGEST_ERROR: usize = 2000;

/// The beginning and the end of an error that is too long, for example because it quotes a part of a file.
pub fn shortened(error: &str) -> String {
    let count = error.chars().count();
    if count <= LONGEST_ERROR {
        return error.to_owned();
    }
    let (first, last) = (LONGEST_ERROR * 2 / 3, LONGEST_ERROR / 4);
    let part = |skip: usize, take: usize| error.chars().skip(skip).take(take).collect::<String>();
    format!("{} […] {}", part(0, first), part(count - last, last))
}

/// Stores a failure to write to the standard output for [`finish`].
pub fn note(written: std::io::Result<()>) {
    if let Err(error) = written {
        failure().get_or_insert(error);
    }
}

/// Flushes the standard output, and returns the first failure to write.
///
/// # Errors
/// The first failure, except a closed pipe.
pub fn finish() -> Result<()> {
    note(std::io::stdout().flush());
    match failure().take() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context(
            "writing to the standard output; the printed output is incomplete, saved files are complete",
        ),
        _ => Ok(()),
    }
}

fn failure() -> std::sync::MutexGuard<'static, Option<Error>> {
    FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Like `println!`, but with [`line()`].
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// Like `eprintln!`, but ignores failures to write, on which `eprintln!` panics.
macro_rules! errln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub(crate) use {errln, outln};

/// A path, quoted for a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    // It fails only for a NUL character, which no path contains.
    shlex::try_quote(&text).map_or(text.clone(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_two_ends() {
        assert_eq!(shortened("short"), "short");
        let long = format!("first {} last", "é".repeat(1 << 20));
        let short = shortened(&long);
        assert!(short.chars().count() <= LONGEST_ERROR);
        assert!(short.starts_with("first é") && short.ends_with("é last"));
    }

    #[test]
    fn commands_can_be_copied() {
        for (path, expected) in
            [("runs/tiny-1", "runs/tiny-1"), ("my run", "'my run'"), ("a$b", "'a$b'")]
        {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
