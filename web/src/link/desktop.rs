//! The engine in a thread; files by way of the working folder.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use eframe::egui::{self, DroppedFileHandle};

use super::{Choice, Host, Link};
use crate::engine::{Engine, Pumped};
use crate::protocol::{Command, File, Update};

/// The engine's thread.
pub struct Thread {
    commands: Sender<Command>,
    updates: Receiver<Update>,
}

impl Thread {
    /// Starts the engine; the window is painted anew when it has something to tell.
    pub fn start(context: egui::Context) -> Self {
        let (commands, inbox) = channel();
        let (outbox, updates) = channel();
        std::thread::spawn(move || work(&inbox, &outbox, &context));
        Self { commands, updates }
    }
}

fn work(inbox: &Receiver<Command>, outbox: &Sender<Update>, context: &egui::Context) {
    let mut engine = Engine::new(None);
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
        // A thread that is gone has said why.
        let _ = self.commands.send(command);
    }

    fn poll(&mut self) -> Vec<Update> {
        self.updates.try_iter().collect()
    }
}

/// The desktop around the window.
#[derive(Debug, Default)]
pub struct Desktop {
    /// The last thing that was said.
    pub status: String,
    chosen: Vec<(Choice, Vec<File>)>,
}

impl Host for Desktop {
    fn save(&mut self, file: File) {
        let words = match std::fs::write(&file.name, &file.bytes) {
            Ok(()) => format!("wrote {}", file.name),
            Err(error) => format!("could not write {}: {error}", file.name),
        };
        println!("{words}");
    }

    fn choose(&mut self, _: Choice) {}

    fn read(&mut self, dropped: Vec<DroppedFileHandle>) {
        let files = dropped.iter().filter_map(|file| {
            let name = file.path().file_name()?.to_string_lossy().into_owned();
            Some(File { name, bytes: std::fs::read(file.path()).ok()? })
        });
        self.chosen.push((Choice::Dropped, files.collect()));
    }

    fn chosen(&mut self) -> Vec<(Choice, Vec<File>)> {
        std::mem::take(&mut self.chosen)
    }

    fn set_query(&mut self, _: &str) {}

    fn link(&self, query: &str) -> String {
        format!("?{query}")
    }

    fn set_status(&mut self, status: &str) {
        status.clone_into(&mut self.status);
    }
}
