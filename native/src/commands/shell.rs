//! `nitp completions` and `nitp man`: shell completions and manual pages of the command line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::output;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "nitp", &mut text);
    // Failures to write are reported at the end of the program.
    let _ = output::part(&String::from_utf8(text)?);
    Ok(())
}

/// Writes a page for the program and one for each command.
pub fn man(out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("making the folder {}", out.display()))?;
    clap_mangen::generate_to(Arguments::command(), out)
        .with_context(|| format!("writing manual pages to {}", out.display()))?;
    output::outln!("Manual pages: man -l {}", output::quoted(&out.join("nitp.1")));
    Ok(())
}
