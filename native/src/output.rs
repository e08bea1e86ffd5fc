//! Lines to the standard output, whose reader may go away (`nitp info | head`): that is no failure.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes a line; what is wrong with it, but for a reader that went away, goes to the standard
/// error.
pub fn line(text: Arguments<'_>) {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            // Nothing is left to do if even this can't be written.
            let _ = writeln!(std::io::stderr(), "error: writing to the standard output: {error}");
        }
        _ => {}
    }
}

/// As `println!`, by way of [`line()`].
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub(crate) use outln;
