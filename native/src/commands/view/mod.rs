//! `nitp view`: curves and geometry of runs in shared charts, in the terminal or as a page.

mod drawing;
mod page;
mod runs;
mod terminal;

use anyhow::{Context, Result};

use crate::args::ViewArgs;
use crate::output::{errln, outln};
use nitp_files::whole_file;

/// Shows runs.
///
/// # Errors
/// If there is no run, or a run has nothing to show.
pub fn run(args: &ViewArgs) -> Result<()> {
    let (runs, notes) = runs::read(&args.runs)?;
    notes.iter().for_each(|note| errln!("note: {note}"));
    match &args.html {
        Some(path) => {
            let page = page::page(&runs)?;
            whole_file::write(path, page.as_bytes())
                .with_context(|| format!("writing {}", path.display()))?;
            outln!("{}", path.display());
        }
        None => terminal::show(&runs),
    }
    Ok(())
}
