//! The step loop.

use std::collections::VecDeque;

use thiserror::Error;
use web_time::Instant;

use super::checkpoint::{Checkpoint, TrainerState};
use super::evaluation::{BatchReads, Evaluator, Sums, geometry_event};
use super::events::{CheckpointEvent, Event, FinishedEvent, StepEvent, WarningEvent};
use super::inputs::{self, BatchSource, find, step_inputs};
use super::store::{self, Tensors, unpack};
use crate::config::Config;
use crate::executor::{Executor, ExecutorError, PlanId, Reads, Source, Ticket};
use crate::model::{Parameter, parameters, train_plan};
use crate::plan::Space;

/// Submissions that may be under way: more were seen to make a step slower.
const MAX_IN_FLIGHT: usize = 3;

/// A run that can't go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The machine failed.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// A number of a step is not finite.
    #[error(
        "step {step}: {what} is {value}. The run has diverged and was stopped before it could save \
         anything broken; resume from an earlier checkpoint with a lower train.learning_rate, a \
         longer train.warmup_steps or a smaller nitp.weight"
    )]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
}

/// What [`Trainer::advance`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Submitted more work.
    Submitted,
    /// Enough is under way: wait for the executor (native) or yield (browser), then call again.
    Waiting,
    /// Everything is done and told.
    Finished,
}

/// Work that the loop submits.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Evaluate { batch: usize, last: bool },
    Geometry { batch: usize, last: bool },
    Checkpoint,
    Finish,
}

/// Work that is under way, in the order of submission.
enum Pending {
    Step {
        metrics: Ticket,
    },
    Evaluate {
        reads: BatchReads,
        last: bool,
    },
    /// The states, of which so many numbers count, and the unembedding where it is wanted.
    Geometry {
        reads: Reads,
        elements: usize,
        last: bool,
    },
    Checkpoint {
        reads: Reads,
    },
    Finish,
}

/// A run in progress.
pub struct Trainer {
    config: Config,
    parameters: Vec<Parameter>,
    executor: Box<dyn Executor>,
    source: Box<dyn BatchSource>,
    plan: PlanId,
    evaluator: Option<Evaluator>,
    state: TrainerState,
    /// Steps submitted; `state.step` counts those whose metrics arrived.
    submitted: usize,
    /// Where to stop.
    end: usize,
    /// Where to hold on until told otherwise.
    hold: usize,
    /// The step of the last checkpoint that was asked for.
    saved: Option<usize>,
    todo: VecDeque<Unit>,
    pending: VecDeque<Pending>,
    events: VecDeque<Event>,
    sums: Sums,
    hidden: Vec<f32>,
    reads_unembedding: bool,
    last_arrival: Instant,
    finished: bool,
}

impl Trainer {
    /// A new run from the configured seed, from these weights (parts that they lack are
    /// initialised), or the continuation of a checkpoint.
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
            last_arrival: Instant::now(),
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

    /// Lets geometry events bring the unembedding of their step along.
    pub fn read_unembedding(&mut self) {
        self.reads_unembedding = true;
    }

    /// Measures the geometry of the steps submitted so far, besides where the interval has it: a
    /// run that goes on has it only in its log.
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

    /// Starts to read a parameter by its name in plans, as of the steps submitted so far; `None`
    /// if the model has no such parameter.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn request_parameter(&mut self, name: &str) -> Result<Option<Ticket>, ExecutorError> {
        let (plan, _) = self.executor.plan(self.plan);
        let view = plan.find(name);
        let source = |view| Source::Tensor { plan: self.plan, view };
        view.map(|view| self.executor.request(source(view))).transpose()
    }

    /// Tells of something that the user should know, with the run's other events.
    pub fn warn(&mut self, message: String) {
        self.events.push_back(Event::Warning(WarningEvent { step: self.state.step, message }));
    }

    /// What happened since the last call, in order.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.drain(..)
    }

    /// Steps submitted: those done and those under way.
    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// Whether nothing is under way or due but further steps.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.todo.is_empty()
    }

    /// Submits no step beyond this one (counted from 1) until another is named: to pause, or to go
    /// in step with another run. What is due after a step is done nevertheless.
    pub fn hold_at(&mut self, step: usize) {
        self.hold = step;
    }

    /// Tells of a checkpoint of the steps submitted so far, as soon as it is read; once a step.
    pub fn save(&mut self) {
        if !self.finished && self.saved != Some(self.submitted) {
            self.saved = Some(self.submitted);
            self.todo.push_back(Unit::Checkpoint);
        }
    }

    /// Ends the run after this step (counted from 1), with a checkpoint, unless it ends before.
    pub fn stop_at(&mut self, step: usize) {
        self.end = self.end.min(step.max(self.submitted));
    }

    /// Ends the run after the steps submitted so far and what is due after them, with a
    /// checkpoint.
    pub fn stop(&mut self) {
        if !self.finished && self.submitted < self.end {
            self.end = self.submitted;
            self.save();
            self.todo.push_back(Unit::Finish);
        }
    }

    /// Takes in what arrived and submits the next piece of work, without waiting for anything.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] when the run diverged; what the executor reports.
    pub fn advance(&mut self) -> Result<Progress, TrainError> {
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
            None => return Ok(Progress::Waiting),
        }
        // On the CPU it is done already: told at once, nothing else is in its time.
        self.collect_all()?;
        Ok(Progress::Submitted)
    }

    /// Takes in what arrived. Nothing is to be had of a run after its failure.
    fn collect_all(&mut self) -> Result<(), TrainError> {
        while let Some(pending) = self.pending.pop_front() {
            match self.collect(pending) {
                Ok(None) => {}
                Ok(Some(pending)) => {
                    self.pending.push_front(pending);
                    break;
                }
                Err(error) => {
                    self.pending.clear();
                    self.todo.clear();
                    self.finished = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Runs to the end (or to [`Trainer::stop`]), waiting where needed: native apps and tests.
    /// `each` gets every event.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn run(
        &mut self,
        mut each: impl FnMut(&mut Self, Event) -> std::ops::ControlFlow<()>,
    ) -> Result<(), TrainError> {
        loop {
            let progress = self.advance();
            // What was done before a failure is told all the same: a checkpoint may be among it.
            let events: Vec<Event> = self.events().collect();
            for event in events {
                if each(self, event).is_break() {
                    self.stop();
                }
            }
            match progress? {
                Progress::Submitted => {}
                Progress::Waiting => self.wait()?,
                Progress::Finished => return Ok(()),
            }
        }
    }

    /// Waits for the oldest work under way; what is behind it stays under way.
    fn wait(&mut self) -> Result<(), ExecutorError> {
        let ticket = match self.pending.front() {
            Some(Pending::Step { metrics }) => Some(*metrics),
            Some(Pending::Evaluate { reads, .. }) => reads.next(),
            Some(Pending::Geometry { reads, .. } | Pending::Checkpoint { reads }) => reads.next(),
            Some(Pending::Finish) | None => None,
        };
        ticket.map_or(Ok(()), |ticket| self.executor.wait_for(ticket))
    }

    fn submit_step(&mut self) -> Result<(), ExecutorError> {
        if self.pending.is_empty() {
            // However long nothing was asked for.
            self.last_arrival = Instant::now();
        }
        let step = self.submitted;
        let (plan, _) = self.executor.plan(self.plan);
        let micro = step_inputs(&self.config, plan, self.source.as_ref(), step);
        let metrics = Source::Tensor { plan: self.plan, view: find(plan, "metrics") };
        let tickets = self.executor.run(self.plan, &micro, &[metrics])?;
        self.pending.push_back(Pending::Step { metrics: tickets[0] });
        self.submitted += 1;
        self.plan_after(self.submitted);
        Ok(())
    }

    /// What is due after so many steps.
    fn plan_after(&mut self, step: usize) {
        let train = &self.config.train;
        let stops = step == self.end;
        // A run that is stopped and gone on with evaluates at the same steps as one that is not.
        let last = step == train.steps;
        let due = |interval: usize| interval > 0 && (step.is_multiple_of(interval) || last);
        let (evaluate, measure) = (due(train.eval_interval), due(train.geometry_interval));
        let keep = due(train.checkpoint_interval) || stops;
        if evaluate {
            self.plan_evaluation();
        }
        if measure {
            self.plan_geometry();
        }
        if keep {
            self.save();
        }
        if stops {
            self.todo.push_back(Unit::Finish);
        }
    }

    fn plan_evaluation(&mut self) {
        if self.config.train.eval_interval == 0 {
            return;
        }
        let batches = self.source.validation_batches();
        self.todo
            .extend((0..batches).map(|batch| Unit::Evaluate { batch, last: batch + 1 == batches }));
    }

    fn plan_geometry(&mut self) {
        let Some(evaluator) = &self.evaluator else { return };
        let train = &self.config.train;
        // One state has no geometry.
        if train.geometry_interval == 0 || train.batch_size * train.context_length < 2 {
            return;
        }
        let batches = evaluator.geometry_batches(self.source.validation_batches());
        self.todo
            .extend((0..batches).map(|batch| Unit::Geometry { batch, last: batch + 1 == batches }));
    }

    fn submit(&mut self, unit: Unit) -> Result<(), ExecutorError> {
        let executor = self.executor.as_mut();
        let evaluator = || self.evaluator.as_ref().expect("planned only where there is one");
        let pending = match unit {
            Unit::Evaluate { batch, last } => {
                let reads = evaluator().submit(executor, &self.source.validation(batch))?;
                Pending::Evaluate { reads, last }
            }
            Unit::Geometry { batch, last } => {
                let batch = self.source.validation(batch);
                let elements = evaluator().state_elements(&batch);
                let mut tickets = vec![evaluator().submit_hidden(executor, &batch)?];
                if last && self.reads_unembedding {
                    let tied = self.config.model.tie_word_embeddings;
                    let name = if tied { "embed_tokens" } else { "lm_head" };
                    tickets.extend(self.request_parameter(name)?);
                }
                Pending::Geometry { reads: Reads::new(tickets), elements, last }
            }
            Unit::Checkpoint => {
                let spaces = [Space::Parameter, Space::Moment1, Space::Moment2];
                let chunks = executor.parameters().chunks.len();
                let sources = spaces
                    .into_iter()
                    .flat_map(|space| (0..chunks).map(move |chunk| Source::Store { space, chunk }));
                let tickets =
                    sources.map(|source| executor.request(source)).collect::<Result<_, _>>()?;
                Pending::Checkpoint { reads: Reads::new(tickets) }
            }
            Unit::Finish => Pending::Finish,
        };
        self.pending.push_back(pending);
        Ok(())
    }

    /// Finishes work whose data arrived; gives it back while they have not.
    fn collect(&mut self, pending: Pending) -> Result<Option<Pending>, TrainError> {
        match pending {
            Pending::Step { metrics } => {
                let Some(values) = self.executor.take(metrics)? else {
                    return Ok(Some(pending));
                };
                self.finish_step(&values)?;
                return Ok(None);
            }
            Pending::Evaluate { mut reads, last } => {
                let evaluator = self.evaluator.as_ref().expect("it was submitted");
                if !evaluator.collect(self.executor.as_mut(), &mut reads, &mut self.sums)? {
                    return Ok(Some(Pending::Evaluate { reads, last }));
                }
                if last {
                    let event =
                        std::mem::take(&mut self.sums).event(self.state.step, self.state.tokens);
                    self.state.val_loss = Some(event.val_loss);
                    if self.state.best.is_none_or(|(best, _)| event.val_loss < best) {
                        self.state.best = Some((event.val_loss, self.state.step));
                    }
                    self.events.push_back(Event::Evaluation(event));
                }
            }
            Pending::Geometry { mut reads, elements, last } => {
                let Some(read) = reads.take(self.executor.as_mut())? else {
                    return Ok(Some(Pending::Geometry { reads, elements, last }));
                };
                let mut read = read.into_iter();
                let states = read.next().expect("it was requested");
                self.hidden.extend(&states[..elements]);
                if last {
                    let (step, tokens) = (self.state.step, self.state.tokens);
                    let states = std::mem::take(&mut self.hidden);
                    let mut event =
                        geometry_event(step, tokens, states, self.config.model.hidden_size);
                    event.unembedding = read.next().unwrap_or_default();
                    self.events.push_back(Event::Geometry(event));
                }
            }
            Pending::Checkpoint { mut reads } => {
                let Some(chunks) = reads.take(self.executor.as_mut())? else {
                    return Ok(Some(Pending::Checkpoint { reads }));
                };
                self.finish_checkpoint(chunks);
            }
            Pending::Finish => {
                self.finished = true;
                self.events.push_back(Event::Finished(FinishedEvent {
                    step: self.state.step,
                    tokens: self.state.tokens,
                    interrupted: self.state.step < self.config.train.steps,
                }));
            }
        }
        // Time spent beside the steps is not theirs.
        self.last_arrival = Instant::now();
        Ok(None)
    }

    fn finish_step(&mut self, metrics: &[f32]) -> Result<(), TrainError> {
        let elapsed = self.last_arrival.elapsed().as_secs_f64();
        self.last_arrival = Instant::now();
        let event = StepEvent::new(&self.config, self.state.step, metrics, elapsed);
        let step = event.step;
        for (what, value) in [
            ("ntp_loss", event.ntp_loss),
            ("nitp_loss", event.nitp_loss),
            ("balance_loss", event.balance_loss),
            ("grad_norm", event.grad_norm),
        ] {
            if !value.is_finite() {
                return Err(TrainError::NotFinite { step, what, value });
            }
        }
        self.state.step = step;
        self.state.tokens = event.tokens;
        self.state.val_loss = None;
        self.events.push_back(Event::Step(event));
        Ok(())
    }

    fn finish_checkpoint(&mut self, mut chunks: Vec<Vec<f32>>) {
        let layout = self.executor.parameters();
        let count = layout.chunks.len();
        // The last space first; its chunks go before the next one is unpacked.
        let mut last = || {
            let space = chunks.split_off(chunks.len() - count);
            unpack(&self.parameters, layout, &space)
        };
        let (moment2, moment1, weights) = (last(), last(), last());
        let checkpoint = Checkpoint { weights, moment1, moment2, state: self.state.clone() };
        let step = self.state.step;
        self.events.push_back(Event::Checkpoint(CheckpointEvent {
            step,
            best: self.state.best.is_some_and(|(_, best)| best == step),
            checkpoint: Box::new(checkpoint),
        }));
    }
}

/// How a run begins.
pub enum Start {
    /// From the configured seed.
    Seed,
    /// From these weights; what they lack is initialised from the seed.
    Weights(Tensors),
    /// Where a checkpoint left off.
    Checkpoint(Box<Checkpoint>),
}
