//! Ctrl-C and termination during training, handled at once at any time. Before there is anything to save, a signal ends
//! the process. Later, the first signal requests a checkpoint and the end of the run, and the second ends the process.
//!
//! Other commands save nothing while they run, so the system's default applies. A prompt line
//! (`generate --interactive`) has a handler of its own.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::output::errln;

/// Exit code after a signal: 128 plus the number of SIGINT, so that `nitp train && nitp eval` stops.
pub const EXIT_CODE: u8 = 130;

/// Whether a step loop is running that can end with a checkpoint.
static SAVES: AtomicBool = AtomicBool::new(false);

/// Whether a signal requested the end.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Handles signals from now on.
///
/// # Errors
/// Errors of the system.
pub fn listen() -> Result<()> {
    let hang_ups_ignored = hang_ups_ignored();
    // The handler runs on its own thread, so it responds even during a long step or write.
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
    // SAFETY: without a new action it only writes the old action, for which zeros are a valid value.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(unix)]
fn ignore_hang_ups() {
    // SAFETY: the call takes no pointer.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

#[cfg(not(unix))]
fn hang_ups_ignored() -> bool {
    false
}

#[cfg(not(unix))]
fn ignore_hang_ups() {}

/// While a value exists, the first signal requests the end of the run instead of ending the process.
#[derive(Debug)]
pub struct Saving(());

impl Saving {
    /// Starts this behaviour.
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

/// Whether a signal requested the end.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Ends the process immediately. Does not use `std::process::exit`, which runs destructors of drivers while other
/// threads use them.
pub fn end() -> ! {
    #[cfg(unix)]
    // SAFETY: the call takes no pointer and does not return.
    unsafe {
        libc::_exit(i32::from(EXIT_CODE))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(EXIT_CODE))
}

/// The end of a run by a signal. The message is already printed; only the exit code remains.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}
