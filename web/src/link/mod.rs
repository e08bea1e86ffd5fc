//! Between app and engine: a thread in a desktop window, a worker in a browser.

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod desktop;
#[cfg(target_arch = "wasm32")]
mod mirror;
#[cfg(target_arch = "wasm32")]
pub mod storage;

#[cfg(not(target_arch = "wasm32"))]
pub use desktop::{Desktop, Thread};

use eframe::egui::DroppedFileHandle;

use crate::protocol::{Command, File, Update};

/// Where the engine is.
pub trait Link {
    /// Asks for something.
    fn send(&mut self, command: Command);

    /// What was told since the last call.
    fn poll(&mut self) -> Vec<Update>;
}

/// What the app asks of whatever it runs in.
pub trait Host {
    /// Hands a file to the visitor.
    fn save(&mut self, file: File);

    /// Lets the visitor choose files; they come by [`Host::chosen`].
    fn choose(&mut self, what: Choice);

    /// Reads files that were dropped on the window; they come by [`Host::chosen`].
    fn read(&mut self, dropped: Vec<DroppedFileHandle>);

    /// Files that were chosen since the last call.
    fn chosen(&mut self) -> Vec<(Choice, Vec<File>)>;

    /// Tells the address bar of the experiment.
    fn set_query(&mut self, query: &str);

    /// A whole link with this query, to give on.
    fn link(&self, query: &str) -> String;

    /// Bytes of memory that the app's program has; 0 where that is not told.
    fn memory(&self) -> u64 {
        0
    }

    /// Another link that was followed to here since the last call: its query.
    fn followed(&mut self) -> Option<String> {
        None
    }

    /// Tells those who don't see the picture where things stand, and what is wrong or to be known.
    fn tell(&mut self, status: &str, alert: &str);
}

/// Which files of a run's folder are needed: all but those of older checkpoints.
fn needed(paths: &[String]) -> Vec<bool> {
    let checkpoint = |path: &str| -> Option<String> {
        let path = path.replace('\\', "/");
        let (_, below) = path.split_once("checkpoints/")?;
        Some(below.split('/').next()?.to_owned())
    };
    let newest = paths.iter().filter_map(|path| checkpoint(path)).max();
    paths.iter().map(|path| checkpoint(path).is_none_or(|it| Some(it) == newest)).collect()
}

/// What files are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Text to train on.
    Text,
    /// A run to open: a folder.
    Run,
    /// A run to open: a zip.
    Zip,
    /// Either, by the files' names.
    Dropped,
}
