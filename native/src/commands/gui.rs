//! `nitp gui`: the page in a desktop window.

use anyhow::Result;

use crate::args::GuiArgs;

/// Opens the window on the experiment of a link; returns when it is closed.
#[cfg(feature = "gui")]
pub fn run(args: &GuiArgs) -> Result<()> {
    let link = args.link.as_deref().unwrap_or_default();
    let query = link.split_once('#').map_or(link, |(_, query)| query);
    if let Err(why) = web::app::from_query(query) {
        anyhow::bail!("the link can't be opened: {why}");
    }
    web::open_window(query).map_err(|error| {
        let error = error.to_string();
        let error = error.trim_end_matches('.');
        anyhow::anyhow!(
            "no window could be opened: {error}. A window needs a display and OpenGL; `nitp train` \
            needs neither, and `cargo xtask serve` serves the same page to a browser"
        )
    })
}

/// Explains how to build the window.
#[cfg(not(feature = "gui"))]
pub fn run(_: &GuiArgs) -> Result<()> {
    anyhow::bail!(
        "this `nitp` was built without the feature `gui`; build it with:\n  cargo run --release -p \
         native --features gui -- gui"
    )
}
