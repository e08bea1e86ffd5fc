//! The engine: trains two runs in lock step, inspects them, and saves them.
//! The engine never blocks. Its host calls [`Engine::pump`] repeatedly, passes commands to it in between, and forwards
//! its updates. Only opening a device is asynchronous.

mod archive;
mod corpus;
mod device;
mod history;
mod inspection;
mod lane;
mod pretrained;
mod session;
mod snapshot;

use std::collections::VecDeque;

pub use corpus::Loaded;
use device::Device;
pub use history::{History, Thinned};
use session::{Draft, Failure, Session};

use crate::protocol::{Command, Experiment, Phase, Text, Update};

/// Result of [`Engine::pump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Work was done, and there is more.
    Worked,
    /// Work is pending: call again soon.
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
    /// The session saved on the last visit, until it is opened.
    kept: Option<Vec<u8>>,
    /// Measurements of this machine's adapter, as text.
    tuning: Option<String>,
}

impl Engine {
    /// An engine with the data saved on the last visit: the runs, and the adapter's measurements.
    pub fn new(kept: Option<Vec<u8>>, tuning: Option<String>) -> Self {
        Self {
            device: Device::Cpu,
            session: None,
            phase: Phase::Empty,
            updates: VecDeque::new(),
            kept,
            tuning,
        }
    }

    /// The updates since the last call.
    pub fn updates(&mut self) -> impl Iterator<Item = Update> + '_ {
        self.updates.drain(..)
    }

    /// The texts that a command may need, and that are not loaded yet.
    pub fn needed(&self, command: &Command) -> Vec<&'static Loaded> {
        let (corpus, tokenizer) = match command {
            Command::Open(_) => (self.kept.is_some(), self.kept.is_some()),
            Command::Prepare { experiment, .. } => (experiment.text == Text::Demo, true),
            Command::Import { .. } => (true, true),
            _ => (false, false),
        };
        let all = [(corpus, &corpus::DEMO), (tokenizer, &corpus::DEMO_TOKENIZER)];
        let needed = all.into_iter().filter(|(needed, it)| *needed && it.get().is_err());
        needed.map(|(_, it)| it).collect()
    }

    /// Executes a command. Errors are reported as updates.
    pub async fn handle(&mut self, command: Command) {
        if let Err(error) = self.obey(command).await {
            self.updates.push_back(Update::Error(error.to_string()));
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Open(wish) => {
                let (device, description) = Device::open(wish).await;
                self.device = device;
                self.updates.push_back(Update::Device(description));
                if let Some(bytes) = self.kept.take() {
                    self.restore(&bytes).await.map_err(|error| {
                        format!(
                            "The saved run can't be opened: {error} It stays saved until another run \
                                 is saved."
                        )
                    })?;
                }
            }
            Command::Prepare { mut experiment, until } => {
                self.resolve(&mut experiment)?;
                self.begin(&Draft::new(*experiment)?, false).await?;
                if until > 0 {
                    self.run(until)?;
                }
            }
            Command::Run(until) => self.run(until.unwrap_or(usize::MAX))?,
            // Pauses at a step that both runs reach.
            Command::Pause => self.session()?.hold(),
            Command::Write(wanted) => self.session()?.start_writing(&wanted)?,
            Command::Inspect(wanted) => self.session()?.start_looking(&wanted)?,
            Command::Export(lane, format) => {
                let file = self.session()?.export(lane, format).await?;
                self.updates.push_back(Update::File(file));
            }
            Command::Import { files, text } => {
                let draft = archive::open(files, text).await?;
                self.begin(&draft, true).await?;
                if draft.is_from_weights() {
                    self.updates.push_back(Update::Notice(
                        "Both runs begin from the weights of the opened model; Restart begins anew, with \
                         random weights."
                            .to_owned(),
                    ));
                }
            }
            Command::Forget => {
                self.updates.push_back(Update::Keep { step: 0, bytes: Vec::new() });
            }
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

    async fn restore(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.begin(&archive::restore(bytes)?, true).await?;
        let step = self.session()?.is_kept();
        self.updates.push_back(Update::Kept(step));
        Ok(())
    }

    /// Replaces [`Text::Same`] by the text and tokenizer of the current run.
    fn resolve(&self, experiment: &mut Experiment) -> Result<(), String> {
        let Some(session) = &self.session else {
            return match experiment.text {
                Text::Same => Err("there is no run to take the text from".to_owned()),
                _ => Ok(()),
            };
        };
        let (text, tokenizer) = session.text();
        if experiment.text == Text::Same {
            experiment.text = text.clone();
        }
        // Built-in tokenizers are identified by name.
        experiment.tokenizer = experiment.tokenizer.take().or_else(|| tokenizer.cloned());
        Ok(())
    }

    /// Replaces the session by a draft's runs; on the CPU if the GPU can't hold them.
    async fn begin(&mut self, draft: &Draft, continued: bool) -> Result<(), Failure> {
        // Frees the old session first: memory may not suffice for both.
        self.session = None;
        // Runs that exceed a tab's memory are rejected before the adapter is measured.
        if self.device.check_memory(draft.config(), draft.runs()).is_ok()
            && let Some(tuning) = self.device.tune(draft.config(), self.tuning.as_deref()).await
        {
            self.tuning = Some(tuning.clone());
            self.updates.push_back(Update::Tuned(tuning));
        }
        let session = match Session::new(draft, &self.device) {
            Err(error @ Failure::Machine(_)) if self.device.is_gpu() => {
                self.leave_gpu(&format!("{error} The CPU is used instead."));
                Session::new(draft, &self.device)
            }
            other => other,
        };
        let session = session.inspect_err(|_| self.set_phase(Phase::Empty))?;
        self.updates.push_back(Update::Prepared(Box::new(session.prepared(continued))));
        session.retell(&mut self.updates);
        let over = session.is_over();
        self.session = Some(session);
        self.set_phase(if over { Phase::Finished } else { Phase::Paused });
        Ok(())
    }

    fn run(&mut self, until: usize) -> Result<(), String> {
        let session = self.session()?;
        session.target = until;
        if !session.is_over() {
            self.set_phase(Phase::Running);
        }
        Ok(())
    }

    fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.updates.push_back(Update::Phase(phase));
    }

    fn leave_gpu(&mut self, why: &str) {
        self.device = Device::Cpu;
        self.updates.push_back(Update::Notice(why.to_owned()));
        self.updates.push_back(Update::Device("the CPU, in place of the GPU".to_owned()));
    }

    /// Does a piece of work.
    pub fn pump(&mut self) -> Pumped {
        let Some(session) = &mut self.session else { return Pumped::Idle };
        match session.pump(self.phase == Phase::Running, &mut self.updates) {
            Ok(pumped) => {
                if self.phase == Phase::Running && session.is_finished() {
                    self.set_phase(Phase::Finished);
                } else if self.phase == Phase::Running && session.is_at_target() {
                    session.save();
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

    /// Continues on the CPU, if the GPU failed.
    fn recover(&mut self, error: Failure) {
        let Some(session) = self.session.take() else { return };
        if !(self.device.is_gpu() && matches!(error, Failure::Machine(_))) {
            self.updates.push_back(Update::Error(error.to_string()));
            self.session.insert(session).give_up();
            self.set_phase(Phase::Finished);
            return;
        }
        self.device = Device::Cpu;
        match session.again(&self.device) {
            Ok((session, step)) => {
                let from = match step {
                    0 => "from the start".to_owned(),
                    step => format!("from step {step}, the last checkpoint"),
                };
                self.leave_gpu(&format!("{error} The run continues {from}, on the CPU."));
                self.updates.push_back(Update::Rewound(step));
                let over = session.is_over();
                self.session = Some(session);
                if self.phase == Phase::Finished && !over {
                    self.set_phase(Phase::Paused);
                }
            }
            Err(failure) => {
                self.updates.push_back(Update::Error(failure.to_string()));
                self.set_phase(Phase::Empty);
            }
        }
    }

    /// Waits for pending work. For a host with threads; a browser yields instead.
    pub fn wait(&mut self) {
        if let Some(session) = &mut self.session {
            session.wait();
        }
    }
}
