//! Ctrl-C and termination while a run is made, answered at once at any moment: before there is
//! anything to save the process ends; after that the first asks for a checkpoint and the end, and
//! the second ends it.
//!
//! Other commands save nothing on the way, and the system ends them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::output::errln;

/// Exit code of what a signal ended: 128 and the number of SIGINT, so that `nitp train && nitp
/// eval` goes no further.
pub const EXIT_CODE: u8 = 130;

/// Whether there is a step loop that can end with a checkpoint.
static SAVES: AtomicBool = AtomicBool::new(false);

/// Whether a signal asked it to.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Answers signals from now on.
///
/// # Errors
/// What the system says.
pub fn listen() -> Result<()> {
    let hang_ups_ignored = hang_ups_ignored();
    // The handler runs on a thread of its own: however long a step or a file takes, it answers.
    ctrlc::set_handler(|| {
        if !SAVES.load(Ordering::SeqCst) || ASKED.swap(true, Ordering::SeqCst) {
            end();
        }
        errln!("\nStopping after a checkpoint; once more to stop at once.");
    })
    .context("listening for Ctrl-C")?;
    if hang_ups_ignored {
        ignore_hang_ups();
    }
    Ok(())
}

/// Whether the program was started to outlive its terminal (`nohup nitp train &`).
#[cfg(unix)]
fn hang_ups_ignored() -> bool {
    // SAFETY: without a new action it only fills in the old one, of which zeros are a value.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(unix)]
fn ignore_hang_ups() {
    // SAFETY: it takes no pointer.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

#[cfg(not(unix))]
fn hang_ups_ignored() -> bool {
    false
}

#[cfg(not(unix))]
fn ignore_hang_ups() {}

/// While this lives, the first signal asks for an end rather than being one.
#[derive(Debug)]
pub struct Saving(());

impl Saving {
    /// From now on.
    pub fn begin() -> Self {
        SAVES.store(true, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        SAVES.store(false, Ordering::SeqCst);
    }
}

/// Whether a signal asked for the end.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Ends the process as it is. Not by `std::process::exit`: that runs the destructors of drivers
/// while other threads are in the middle of using them.
fn end() -> ! {
    #[cfg(unix)]
    // SAFETY: it takes no pointer and does not return.
    unsafe {
        libc::_exit(i32::from(EXIT_CODE))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(EXIT_CODE))
}

/// The end of a run that a signal asked for: said already, so that only the exit code is left.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}
