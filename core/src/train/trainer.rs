//! The step loop.

mod pace;
mod work;

use std::collections::VecDeque;

use thiserror::Error;
use web_time::Instant;

use pace::Pace;
use work::{Pending, Unit};

use super::checkpoint::{Checkpoint, LossScale, TrainerState};
use super::evaluation::{Evaluator, Sums};
use super::events::{Event, WarningEvent};
use super::inputs::{self, BatchSource, LoadedPlan};
use super::store::{self, Tensors};
use crate::config::Config;
use crate::executor::{Executor, ExecutorError, Ticket};
use crate::model::{Parameter, TrainTensors, parameters, train_plan};
use crate::plan::Space;

/// Largest number of pending submissions: more made steps slower in measurements.
const MAX_IN_FLIGHT: usize = 3;

/// A failure that ends a run.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The machine failed.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// Gradients overflow in half precision with any scale.
    #[error(
        "step {step}: the loss scale fell to {scale}: gradients overflow in 16 bits even unscaled. The \
         run has diverged and was stopped; resume from an earlier checkpoint with train.precision=f32, \
         a lower train.learning_rate or a longer train.warmup_steps"
    )]
    LossScale {
        /// The step, from 1.
        step: usize,
        /// The scale.
        scale: f64,
    },
    /// A number of a step is not finite.
    #[error(
        "step {step}: {what} is {value}. The run has diverged and was stopped before saving broken \
         weights; resume from an earlier checkpoint with a lower train.learning_rate, a longer \
         train.warmup_steps or a smaller nitp.weight"
    )]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// The loop would wait forever.
    #[error(
        "the run waits at step {submitted} of {end}, but no work is pending: {why}. This is a bug in \
         the program; checkpoints are intact"
    )]
    Stuck {
        /// Steps submitted.
        submitted: usize,
        /// The step at which the run ends.
        end: usize,
        /// The reason.
        why: &'static str,
    },
}

/// Result of [`Trainer::advance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Submitted more work.
    Submitted,
    /// Enough work is pending: wait for the executor (native) or yield (browser), then call again.
    Waiting,
    /// All work up to the step of [`Trainer::hold_at`] is done, and nothing is pending.
    Held,
    /// The run is finished, and all events were reported.
    Finished,
}

/// A run in progress.
pub struct Trainer {
    config: Config,
    parameters: Vec<Parameter>,
    executor: Box<dyn Executor>,
    source: Box<dyn BatchSource>,
    plan: LoadedPlan<TrainTensors>,
    evaluator: Option<Evaluator>,
    state: TrainerState,
    /// Steps submitted; `state.step` counts those whose metrics arrived.
    submitted: usize,
    /// The step to stop at.
    end: usize,
    /// The step to hold at, see [`Trainer::hold_at`].
    hold: usize,
    /// The step of the last requested checkpoint.
    saved: Option<usize>,
    todo: VecDeque<Unit>,
    pending: VecDeque<Pending>,
    events: VecDeque<Event>,
    sums: Sums,
    hidden: Vec<f32>,
    reads_unembedding: bool,
    pace: Pace,
    finished: bool,
}

impl Trainer {
    /// A new run from the configured seed, a new run from given weights (missing parts are initialised), or the
    /// continuation of a checkpoint.
    ///
    /// # Errors
    /// If the executor can't hold the plans.
    pub fn new(
        config: &Config,
        mut executor: Box<dyn Executor>,
        source: Box<dyn BatchSource>,
        start: Start,
    ) -> Result<Self, ExecutorError> {
        let parameters = parameters(config);
        let plan = train_plan(config, executor.parameters());
        let plan = inputs::load_plan(executor.as_mut(), config, plan)?;
        let evaluates = source.validation_batches() > 0;
        let evaluator = evaluates.then(|| Evaluator::new(executor.as_mut(), config)).transpose()?;
        let mut trainer = Self {
            state: TrainerState::new(source.fingerprint().to_owned()),
            config: config.clone(),
            parameters,
            executor,
            source,
            plan,
            evaluator,
            submitted: 0,
            end: config.train.steps,
            hold: usize::MAX,
            saved: None,
            todo: VecDeque::new(),
            pending: VecDeque::new(),
            events: VecDeque::new(),
            sums: Sums::default(),
            hidden: Vec::new(),
            reads_unembedding: false,
            pace: Pace::default(),
            finished: false,
        };
        match start {
            Start::Seed => trainer.initialize(Tensors::new())?,
            Start::Weights(weights) => trainer.initialize(weights)?,
            Start::Checkpoint(checkpoint) => trainer.restore(*checkpoint)?,
        }
        if trainer.submitted == 0 {
            trainer.plan_evaluation();
            trainer.plan_geometry();
        }
        if trainer.submitted >= trainer.end {
            trainer.todo.push_back(Unit::Finish);
        }
        Ok(trainer)
    }

    /// Makes geometry events include the unembedding of their step.
    pub fn read_unembedding(&mut self) {
        self.reads_unembedding = true;
    }

    /// Measures the geometry after the steps submitted so far, in addition to the interval. A resumed run has earlier
    /// measurements only in its log.
    pub fn measure(&mut self) {
        let finish = self.todo.pop_back_if(|unit| matches!(unit, Unit::Finish));
        self.plan_geometry();
        self.todo.extend(finish);
    }

    fn initialize(&mut self, weights: Tensors) -> Result<(), ExecutorError> {
        let seed = self.config.train.seed;
        store::initialize(self.executor.as_mut(), &self.parameters, seed, &weights)
    }

    fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), ExecutorError> {
        for (space, tensors) in [
            (Space::Parameter, &checkpoint.weights),
            (Space::Moment1, &checkpoint.moment1),
            (Space::Moment2, &checkpoint.moment2),
        ] {
            let chunks = store::pack(&self.parameters, self.executor.parameters(), |part| {
                tensors.get(&part.name).map(|tensor| tensor.data.clone())
            });
            store::write(self.executor.as_mut(), space, &chunks)?;
        }
        self.state = checkpoint.state;
        self.submitted = self.state.step;
        // A run in f32 that continues in mixed precision has no loss scale yet.
        let saved = self.state.loss_scale.take();
        if let Some(view) = self.plan.inputs.loss_scale {
            let train = &self.config.train;
            let scale = saved.unwrap_or_else(|| LossScale::after(self.state.step, train));
            self.executor.write_constant(self.plan.id, view, &scale.to_tensor())?;
        }
        Ok(())
    }

    /// Steps done, with their metrics.
    pub fn step(&self) -> usize {
        self.state.step
    }

    /// The executor, e.g. to generate text between steps.
    pub fn executor(&mut self) -> &mut dyn Executor {
        self.executor.as_mut()
    }

    /// Starts a read of a parameter by its name in plans, after the steps submitted so far; `None` if the model has no
    /// such parameter.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn request_parameter(&mut self, name: &str) -> Result<Option<Ticket>, ExecutorError> {
        let (plan, _) = self.executor.plan(self.plan.id);
        let source = plan.find(name).map(|view| self.plan.source(view));
        source.map(|source| self.executor.request(source)).transpose()
    }

    /// Adds a warning to the run's events.
    pub fn warn(&mut self, message: String) {
        self.events.push_back(Event::Warning(WarningEvent { step: self.state.step, message }));
    }

    /// The events since the last call, in order.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.drain(..)
    }

    /// Number of submitted steps, finished or pending.
    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// Whether no work is pending or due, except further steps.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.todo.is_empty()
    }

    /// Submits no step beyond this one (counted from 1) until the next call: to pause, or to run in lock step with
    /// another run. Evaluations and checkpoints due after a step still run.
    pub fn hold_at(&mut self, step: usize) {
        self.hold = step;
    }

    /// Requests a checkpoint after the steps submitted so far, which arrives as an event; at most one per step.
    pub fn save(&mut self) {
        if !self.finished && self.saved != Some(self.submitted) {
            self.saved = Some(self.submitted);
            self.todo.push_back(Unit::Checkpoint);
        }
    }

    /// Ends the run after this step (counted from 1), with a checkpoint, unless it ends before. If the step is already
    /// submitted, this is [`Trainer::stop`].
    pub fn stop_at(&mut self, step: usize) {
        if step <= self.submitted {
            // The work due after this step was planned when the step was submitted, without the end of the run.
            self.stop();
        } else {
            self.end = self.end.min(step);
        }
    }

    /// Ends the run after the steps submitted so far and the work due after them, with a checkpoint.
    pub fn stop(&mut self) {
        if !self.finished && self.submitted < self.end {
            self.end = self.submitted;
            self.save();
            self.todo.push_back(Unit::Finish);
        }
    }

    /// Collects results that have arrived, and submits the next piece of work. Never blocks.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the run diverged; errors of the executor. After an error the run does nothing more.
    pub fn advance(&mut self) -> Result<Progress, TrainError> {
        let progress = self.work();
        if progress.is_err() {
            self.give_up();
        }
        progress
    }

    /// Drops all remaining work.
    fn give_up(&mut self) {
        self.pending.clear();
        self.todo.clear();
        self.finished = true;
    }

    fn work(&mut self) -> Result<Progress, TrainError> {
        self.pace.call(self.submitted);
        self.collect_all()?;
        if self.finished {
            return Ok(Progress::Finished);
        }
        if self.pending.len() >= MAX_IN_FLIGHT {
            return Ok(Progress::Waiting);
        }
        match self.todo.pop_front() {
            Some(unit) => self.submit(unit)?,
            None if self.submitted < self.end.min(self.hold) => self.submit_step()?,
            None if !self.pending.is_empty() => return Ok(Progress::Waiting),
            None if self.submitted < self.end => return Ok(Progress::Held),
            None => return Err(self.stuck("no step is left, and the end was never planned")),
        }
        // On the CPU the work is already done. Collected now, its time includes no other work.
        self.collect_all()?;
        Ok(Progress::Submitted)
    }

    /// Collects results that have arrived.
    fn collect_all(&mut self) -> Result<(), TrainError> {
        let first = self.events.len();
        let mut steps = 0;
        while let Some(pending) = self.pending.pop_front() {
            let is_step = matches!(pending, Pending::Step { .. });
            match self.collect(pending) {
                Ok(None) if is_step => steps += 1,
                Ok(None) => self.pace.interrupt(),
                Ok(Some(pending)) => {
                    self.pending.push_front(pending);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(seconds) = self.pace.arrive(Instant::now(), self.state.step, steps) {
            let ceiling = self.executor.flops_ceiling();
            for event in self.events.range_mut(first..) {
                if let Event::Step(step) = event {
                    step.set_speed(&self.config, seconds, ceiling);
                }
            }
        }
        Ok(())
    }

    /// Runs to the end (or to [`Trainer::stop`]) and waits for results. For native apps and tests.
    /// `each` gets every event.
    ///
    /// # Errors
    /// As [`Trainer::advance`]; [`TrainError::Stuck`] if it would wait forever.
    pub fn run(
        &mut self,
        each: impl FnMut(&mut Self, Event) -> std::ops::ControlFlow<()>,
    ) -> Result<(), TrainError> {
        let end = self.run_on(each);
        if end.is_err() {
            self.give_up();
        }
        end
    }

    fn run_on(
        &mut self,
        mut each: impl FnMut(&mut Self, Event) -> std::ops::ControlFlow<()>,
    ) -> Result<(), TrainError> {
        let mut waited_for = None;
        loop {
            let progress = self.advance();
            // Events from before a failure are still reported: a checkpoint may be among them.
            let events: Vec<Event> = self.events().collect();
            for event in events {
                if each(self, event).is_break() {
                    self.stop();
                }
            }
            match progress? {
                Progress::Submitted => {}
                Progress::Waiting => {
                    // After the wait, the read has arrived, and the next call collects it.
                    let ticket = self.oldest_read();
                    if ticket.is_none() || ticket == waited_for {
                        return Err(self.stuck("a read did not arrive after waiting for it"));
                    }
                    waited_for = ticket;
                    ticket.map_or(Ok(()), |ticket| self.executor.wait_for(ticket))?;
                }
                Progress::Held => return Err(self.stuck("it is held, and nothing will release it")),
                Progress::Finished => return Ok(()),
            }
        }
    }

    fn stuck(&self, why: &'static str) -> TrainError {
        TrainError::Stuck { submitted: self.submitted, end: self.end, why }
    }

    /// The oldest pending read.
    fn oldest_read(&self) -> Option<Ticket> {
        match self.pending.front()? {
            Pending::Step { metrics } => Some(*metrics),
            Pending::Evaluate { reads, .. } => reads.next(),
            Pending::Geometry { reads, .. } | Pending::Checkpoint { reads } => reads.next(),
            Pending::Finish => None,
        }
    }
}

/// The beginning of a run.
pub enum Start {
    /// From the configured seed.
    Seed,
    /// From these weights; missing ones are initialised from the seed.
    Weights(Tensors),
    /// From a checkpoint, which the run continues.
    Checkpoint(Box<Checkpoint>),
}
