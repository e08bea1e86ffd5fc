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

/// As `println!`, by way of [`line()`].
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

pub(crate) use outln;

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
}
