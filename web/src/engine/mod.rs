//! What trains and measures: two runs in lock step, the looks into them, what is kept of them.
//!
//! The engine never waits. Its host calls [`Engine::pump`] over and over, hands it commands in
//! between, and passes on its updates; only opening a device is asynchronous.

mod archive;
mod corpus;
mod device;
mod history;
mod inspection;
mod lane;
mod session;
mod snapshot;

use std::collections::VecDeque;

use device::Device;
pub use history::{History, Thinned};
use session::Session;

use crate::protocol::{Command, Experiment, Phase, Update};

/// What a call of [`Engine::pump`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// There was work, and there is more.
    Worked,
    /// Something is under way: call again soon.
    Waiting,
    /// Nothing to do until the next command.
    Idle,
}

/// The engine.
pub struct Engine {
    device: Device,
    session: Option<Session>,
    phase: Phase,
    updates: VecDeque<Update>,
    /// What was kept on the last visit, until it is opened.
    kept: Option<Vec<u8>>,
}

impl Engine {
    /// An engine with what it asked to keep on the last visit.
    pub fn new(kept: Option<Vec<u8>>) -> Self {
        Self {
            device: Device::Cpu,
            session: None,
            phase: Phase::Empty,
            updates: VecDeque::new(),
            kept,
        }
    }

    /// What it has to tell since the last call.
    pub fn updates(&mut self) -> impl Iterator<Item = Update> + '_ {
        self.updates.drain(..)
    }

    /// Does what was asked, or says why not.
    pub async fn handle(&mut self, command: Command) {
        if let Err(error) = self.obey(command).await {
            self.updates.push_back(Update::Error(error));
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Open(wish) => {
                let (device, description) = Device::open(wish).await;
                let gpu = device.is_gpu();
                self.device = device;
                self.updates.push_back(Update::Device { description, gpu });
                if let Some(bytes) = self.kept.take() {
                    let session = Session::restore(&bytes, &self.device)
                        .map_err(|error| format!("What was kept can't be opened: {error}"))?;
                    self.begin(session, true);
                }
            }
            Command::Prepare(experiment) => self.prepare(*experiment)?,
            Command::Run(until) => {
                let session = self.session()?;
                session.target = until.unwrap_or(usize::MAX);
                if !session.is_finished() {
                    self.set_phase(Phase::Running);
                }
            }
            Command::Pause => {
                if self.phase == Phase::Running {
                    self.session()?.pause();
                    self.set_phase(Phase::Paused);
                }
            }
            Command::Write(wanted) => self.session()?.start_writing(&wanted)?,
            Command::Inspect(wanted) => self.session()?.start_looking(&wanted)?,
            Command::Export(lane) => {
                let file = self.session()?.export(lane)?;
                self.updates.push_back(Update::File(file));
            }
            Command::Import(files) => {
                let session = archive::open(files, &self.device)?;
                self.begin(session, true);
            }
            Command::Forget => self.updates.push_back(Update::Keep(Vec::new())),
            Command::LoseDevice => {
                if let Device::Gpu(gpu) = &self.device {
                    gpu.destroy();
                }
            }
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session, String> {
        self.session.as_mut().ok_or_else(|| "there is no run yet: press Start".to_owned())
    }

    fn prepare(&mut self, experiment: Experiment) -> Result<(), String> {
        let session = match Session::new(experiment.clone(), &self.device) {
            Err(error) if self.device.is_gpu() && error.is_machine() => {
                self.leave_gpu(&format!("{} The CPU does it instead.", error.machine_words()));
                Session::new(experiment, &self.device)
            }
            other => other,
        };
        self.begin(session.map_err(|error| error.to_string())?, false);
        Ok(())
    }

    fn begin(&mut self, session: Session, continued: bool) {
        self.updates.push_back(Update::Prepared(Box::new(session.prepared(continued))));
        session.retell(&mut self.updates);
        let finished = session.is_finished();
        self.session = Some(session);
        self.set_phase(if finished { Phase::Finished } else { Phase::Paused });
    }

    fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.updates.push_back(Update::Phase(phase));
    }

    fn leave_gpu(&mut self, why: &str) {
        self.device = Device::Cpu;
        self.updates.push_back(Update::Notice(why.to_owned()));
        let description = "the CPU, in place of the GPU".to_owned();
        self.updates.push_back(Update::Device { description, gpu: false });
    }

    /// Does a piece of work.
    pub fn pump(&mut self) -> Pumped {
        let Some(session) = &mut self.session else { return Pumped::Idle };
        match session.pump(self.phase == Phase::Running, &mut self.updates) {
            Ok(pumped) => {
                if self.phase == Phase::Running && session.is_finished() {
                    self.set_phase(Phase::Finished);
                } else if self.phase == Phase::Running && session.is_at_target() {
                    session.pause();
                    self.set_phase(Phase::Paused);
                }
                pumped
            }
            Err(error) => {
                self.recover(error);
                Pumped::Worked
            }
        }
    }

    /// Goes on without the GPU, if it was the GPU that failed.
    fn recover(&mut self, error: session::Failure) {
        if !(self.device.is_gpu() && error.is_machine()) {
            // It goes no further until it is asked to.
            self.updates.push_back(Update::Error(error.to_string()));
            self.set_phase(Phase::Paused);
            return;
        }
        let Some(session) = self.session.take() else { return };
        self.device = Device::Cpu;
        match session.again(&self.device) {
            Ok((session, step)) => {
                let from = match step {
                    0 => "from the start".to_owned(),
                    step => format!("from step {step}, the last checkpoint"),
                };
                let why = error.machine_words();
                self.leave_gpu(&format!("{why} The run goes on {from}, on the CPU."));
                self.updates.push_back(Update::Rewound(step));
                self.session = Some(session);
            }
            Err(failure) => {
                self.updates.push_back(Update::Error(failure.to_string()));
                self.set_phase(Phase::Empty);
            }
        }
    }

    /// Waits for what is under way: a thread's host; a browser yields instead.
    pub fn wait(&mut self) {
        if let Some(session) = &mut self.session {
            session.wait();
        }
    }
}
