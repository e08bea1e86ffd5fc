//! Connection between app and engine: a thread for a desktop window, a worker in a browser.

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod desktop;
#[cfg(target_arch = "wasm32")]
pub mod exchange;
#[cfg(target_arch = "wasm32")]
mod mirror;
#[cfg(target_arch = "wasm32")]
pub mod storage;

#[cfg(not(target_arch = "wasm32"))]
pub use desktop::{Desktop, Thread};

use eframe::egui::DroppedFileHandle;

use nitp_core::hugging_face::file;

use crate::protocol::{Command, File, Update};

/// A connection to the engine.
pub trait Link {
    /// Sends a command.
    fn send(&mut self, command: Command);

    /// The updates since the last call.
    fn poll(&mut self) -> Vec<Update>;
}

/// The app's interface to its environment.
pub trait Host {
    /// Saves a file for the visitor.
    fn save(&mut self, file: File);

    /// Lets the visitor choose files, which [`Host::chosen`] returns.
    fn choose(&mut self, what: Choice);

    /// Reads files that were dropped on the window, which [`Host::chosen`] returns.
    fn read(&mut self, dropped: Vec<DroppedFileHandle>);

    /// Files that were chosen since the last call.
    fn chosen(&mut self) -> Vec<(Choice, Vec<File>)>;

    /// Shows the experiment's query in the address bar.
    fn set_query(&mut self, query: &str);

    /// A complete link with this query.
    fn link(&self, query: &str) -> String;

    /// Bytes of memory of the app's program; 0 if unknown.
    fn memory(&self) -> u64 {
        0
    }

    /// The query of a link that was followed since the last call, if any.
    fn followed(&mut self) -> Option<String> {
        None
    }

    /// Reports the state, and errors and notices, to screen readers.
    fn tell(&mut self, status: &str, alert: &str);
}

/// For each file of a run's folder, whether it is needed: all except those of older checkpoints. Of a model's folder, the
/// files of other formats and programs are left out.
fn needed(paths: &[String]) -> Vec<bool> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let has = |wanted: &str| paths.iter().any(|path| name(path) == wanted);
    if has(file::CONFIG) && !has("config.toml") {
        let known = [file::CONFIG, file::INDEX, file::TOKENIZER];
        let is_known = |name: String| known.contains(&&*name) || name.ends_with(".safetensors");
        return paths.iter().map(|path| is_known(name(path))).collect();
    }
    let checkpoint = |path: &str| -> Option<String> {
        let path = path.replace('\\', "/");
        let (_, below) = path.split_once("checkpoints/")?;
        Some(below.split('/').next()?.to_owned())
    };
    let newest = paths.iter().filter_map(|path| checkpoint(path)).max();
    paths.iter().map(|path| checkpoint(path).is_none_or(|it| Some(it) == newest)).collect()
}

/// The purpose of chosen files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Text to train on.
    Text,
    /// A run to open: a folder.
    Run,
    /// A run to open: a zip.
    Zip,
    /// Dropped files: the purpose follows from their names.
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn only_what_is_read_of_a_folder_is_needed() {
        let of = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|it| it.to_string()).collect();
            needed(&paths)
        };
        let run = ["r/config.toml", "r/checkpoints/step-1/a", "r/checkpoints/step-2/a"];
        assert_eq!(of(&run), [true, false, true]);
        let model =
            ["m/config.json", "m/pytorch_model.bin", "m/model.safetensors", "m/tokenizer.json"];
        assert_eq!(of(&model), [true, false, true, true]);
    }
}
