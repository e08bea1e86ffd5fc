//! The engine in a thread, and files by the desktop's dialogs.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use eframe::egui::{self, DroppedFileHandle};
use rfd::{FileDialog, MessageDialog, MessageLevel};
use walkdir::WalkDir;

use super::{Choice, Host, Link, needed};
use crate::engine::{Engine, Pumped};
use crate::protocol::{Command, File, Update};

/// The engine's thread.
pub struct Thread {
    commands: Sender<Command>,
    updates: Receiver<Update>,
}

impl Thread {
    /// Starts the engine, whose updates repaint the window.
    pub fn start(context: egui::Context) -> Self {
        let (commands, inbox) = channel();
        let (outbox, updates) = channel();
        std::thread::spawn(move || work(&inbox, &outbox, &context));
        Self { commands, updates }
    }
}

fn work(inbox: &Receiver<Command>, outbox: &Sender<Update>, context: &egui::Context) {
    let mut engine = Engine::new(None, None);
    let mut idle = true;
    loop {
        let command = if idle {
            inbox.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            inbox.try_recv()
        };
        match command {
            Ok(command) => pollster::block_on(engine.handle(command)),
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {}
        }
        let pumped = engine.pump();
        idle = pumped == Pumped::Idle;
        if pumped == Pumped::Waiting {
            engine.wait();
        }
        let mut told = false;
        for update in engine.updates() {
            told = true;
            if outbox.send(update).is_err() {
                return;
            }
        }
        if told {
            context.request_repaint_after(Duration::from_millis(30));
        }
    }
}

impl Link for Thread {
    fn send(&mut self, command: Command) {
        // If the thread has ended, it reported the reason.
        let _ = self.commands.send(command);
    }

    fn poll(&mut self) -> Vec<Update> {
        self.updates.try_iter().collect()
    }
}

/// The desktop around the window. Dialogs run in their own threads, so that training and painting continue.
pub struct Desktop {
    context: egui::Context,
    outbox: Sender<(Choice, Vec<File>)>,
    chosen: Receiver<(Choice, Vec<File>)>,
}

impl Desktop {
    /// The desktop of the window that this context paints.
    pub fn new(context: egui::Context) -> Self {
        let (outbox, chosen) = channel();
        Self { context, outbox, chosen }
    }

    /// Reads the files of `paths` in a thread.
    fn read_later(&self, choice: Choice, paths: impl FnOnce() -> Vec<PathBuf> + Send + 'static) {
        let (outbox, context) = (self.outbox.clone(), self.context.clone());
        std::thread::spawn(move || {
            let files: Vec<File> = paths().iter().flat_map(|path| read(path)).collect();
            // A cancelled dialog has no files.
            if (!files.is_empty() || choice == Choice::Dropped)
                && outbox.send((choice, files)).is_ok()
            {
                context.request_repaint();
            }
        });
    }
}

/// A file, or all files of a folder and its subfolders, with names relative to the folder.
fn read(path: &Path) -> Vec<File> {
    let parent = path.parent().unwrap_or(path);
    let entries = WalkDir::new(path).into_iter().filter_map(Result::ok);
    let entries: Vec<_> = entries.filter(|entry| entry.file_type().is_file()).collect();
    let name =
        |path: &Path| path.strip_prefix(parent).unwrap_or(path).to_string_lossy().into_owned();
    let names: Vec<String> = entries.iter().map(|entry| name(entry.path())).collect();
    let needed = needed(&names);
    let wanted = entries.iter().zip(names).zip(needed).filter(|(_, needed)| *needed);
    wanted
        .filter_map(|((entry, name), _)| {
            Some(File { name, bytes: std::fs::read(entry.path()).ok()? })
        })
        .collect()
}

impl Host for Desktop {
    fn save(&mut self, file: File) {
        std::thread::spawn(move || {
            let Some(path) = FileDialog::new().set_file_name(&file.name).save_file() else {
                return;
            };
            if let Err(error) = std::fs::write(&path, &file.bytes) {
                MessageDialog::new()
                    .set_level(MessageLevel::Error)
                    .set_title("Not saved")
                    .set_description(format!("{} could not be written: {error}", path.display()))
                    .show();
            }
        });
    }

    fn choose(&mut self, what: Choice) {
        self.read_later(what, move || match what {
            Choice::Text => FileDialog::new().pick_files().unwrap_or_default(),
            Choice::Run => FileDialog::new().pick_folder().into_iter().collect(),
            Choice::Zip | Choice::Dropped => {
                FileDialog::new().add_filter("zip", &["zip"]).pick_file().into_iter().collect()
            }
        });
    }

    fn read(&mut self, dropped: Vec<DroppedFileHandle>) {
        let paths = dropped.iter().map(|file| file.path().to_owned()).collect();
        self.read_later(Choice::Dropped, || paths);
    }

    fn chosen(&mut self) -> Vec<(Choice, Vec<File>)> {
        self.chosen.try_iter().collect()
    }

    fn set_query(&mut self, _: &str) {}

    fn link(&self, query: &str) -> String {
        format!("nitp gui '#{query}'")
    }

    fn tell(&mut self, _: &str, _: &str) {}
}
