//! What people read: lines to the standard output, words about errors, commands to copy.
//!
//! A reader of the standard output may go away (`nitp info | head`), which is no failure; a disk
//! that is full is one. Either way a run goes on: the first failure is kept, and [`finish`] makes
//! it the program's.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};

/// The first failure to write to the standard output.
static FAILED: Mutex<Option<Error>> = Mutex::new(None);

/// Writes a line, unless one before it could not be written.
pub fn line(text: Arguments<'_>) {
    if failure().is_none() {
        note(writeln!(std::io::stdout(), "{text}"));
    }
}

/// Writes a part of a line at once, unless something before it could not be written; breaks where it
/// can't be.
pub fn part(text: &str) -> ControlFlow<()> {
    if failure().is_none() {
        let mut out = std::io::stdout();
        note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
    if failure().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Most characters of an error.
const LONGEST_ERROR: usize = 2000;

/// The beginning and the end of an error that is too long to be read: as one that quotes a path or a
/// part of a file may be.
pub fn shortened(error: &str) -> String {
    let count = error.chars().count();
    if count <= LONGEST_ERROR {
        return error.to_owned();
    }
    let (first, last) = (LONGEST_ERROR * 2 / 3, LONGEST_ERROR / 4);
    let part = |skip: usize, take: usize| error.chars().skip(skip).take(take).collect::<String>();
    format!("{} […] {}", part(0, first), part(count - last, last))
}

/// Keeps a failure to write to the standard output for [`finish`].
pub fn note(written: std::io::Result<()>) {
    if let Err(error) = written {
        failure().get_or_insert(error);
    }
}

/// Writes what is buffered still, and tells whether all that was to be read could be written.
///
/// # Errors
/// The first failure, but for a reader that went away.
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

/// As `println!`, by way of [`line()`].
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// As `eprintln!`, which panics where nothing can be written; then nothing is left to do.
macro_rules! errln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub(crate) use {errln, outln};

/// A path as a shell reads it back.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    // It fails for a NUL alone, which no path holds.
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
