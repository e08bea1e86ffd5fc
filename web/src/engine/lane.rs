//! One of the two runs: a trainer, what it told, and the looks into its model.

use std::collections::VecDeque;

use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::executor::{ExecutorError, Reads, Ticket};
use nitp_core::train::{
    Checkpoint, Event, Generator, GeometryEvent, Prober, Progress, Sampler, Sampling, TrainError,
    Trainer,
};

use super::history::History;
use super::inspection::{self, Wanted};
use super::snapshot::snapshot;
use crate::protocol::{self, Inspection, Update, Writing, Written};

/// Shown of the probabilities after a prompt.
const SHOWN_NEXT: usize = 8;

/// One run.
pub struct Lane {
    /// Which.
    pub lane: protocol::Lane,
    /// Its configuration.
    pub config: Config,
    /// Its trainer.
    pub trainer: Trainer,
    /// What it told.
    pub history: History,
    /// The newest checkpoint.
    pub kept: Option<Box<Checkpoint>>,
    generator: Option<Generator>,
    prober: Option<Prober>,
    measured: Option<usize>,
    measuring: Option<(GeometryEvent, Ticket)>,
    writing: Option<WritingJob>,
    inspecting: Option<InspectingJob>,
}

struct WritingJob {
    tokens: Vec<u32>,
    prompt: usize,
    left: usize,
    sampler: Sampler,
    next: Vec<(String, f32)>,
    ticket: Option<Ticket>,
}

struct InspectingJob {
    reads: nitp_core::train::ProbeReads,
    parameters: Reads,
    probe: Option<nitp_core::train::Probe>,
    wanted: Wanted,
}

/// What both runs share.
pub struct Shared<'a> {
    /// For prompts.
    pub tokenizer: &'a Tokenizer,
    /// Strings of all tokens.
    pub vocabulary: &'a [String],
    /// How many of the held-out states are shown.
    pub points: usize,
}

impl Lane {
    /// A run with what it told before, if it goes on.
    pub fn new(
        lane: protocol::Lane,
        config: Config,
        trainer: Trainer,
        history: History,
        kept: Option<Box<Checkpoint>>,
    ) -> Self {
        let measured = history.snapshots().last().map(|(step, _)| *step);
        Self {
            lane,
            config,
            trainer,
            history,
            kept,
            generator: None,
            prober: None,
            measured,
            measuring: None,
            writing: None,
            inspecting: None,
        }
    }

    /// Whether the states after the steps submitted so far are still to be measured: going on
    /// would change the weights that belong to them.
    fn is_due(&self) -> bool {
        let (step, train) = (self.trainer.submitted(), &self.config.train);
        let interval = train.geometry_interval;
        interval > 0
            && self.config.data.validation_fraction > 0.0
            && (step.is_multiple_of(interval) || step == train.steps)
            && self.measured != Some(step)
    }

    /// Whether a request is under way.
    pub fn is_asked(&self) -> bool {
        self.writing.is_some() || self.inspecting.is_some() || self.measuring.is_some()
    }

    /// Goes on by one piece of work, at most to `step`.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn advance(
        &mut self,
        step: usize,
        shared: &Shared<'_>,
        updates: &mut VecDeque<Update>,
    ) -> Result<Progress, TrainError> {
        let submitted = self.trainer.submitted();
        self.trainer.hold_at(if self.is_due() { submitted } else { step });
        let mut progress = self.trainer.advance()?;
        let events: Vec<Event> = self.trainer.events().collect();
        for event in events {
            self.take(event, updates)?;
        }
        if self.measure(shared, updates)?
            | self.write(shared, updates)?
            | self.look(shared, updates)?
        {
            progress = Progress::Submitted;
        }
        Ok(progress)
    }

    fn take(&mut self, event: Event, updates: &mut VecDeque<Update>) -> Result<(), ExecutorError> {
        match event {
            Event::Step(event) => {
                self.history.step(&event);
                updates.push_back(Update::Step(self.lane, event));
            }
            Event::Evaluation(event) => {
                self.history.evaluation(&event);
                updates.push_back(Update::Evaluation(self.lane, event));
            }
            Event::Geometry(event) => {
                let name =
                    if self.config.model.tie_word_embeddings { "embed_tokens" } else { "lm_head" };
                let ticket = self.trainer.request_parameter(name)?;
                self.measuring = ticket.map(|ticket| (event, ticket));
            }
            Event::Checkpoint(event) => self.kept = Some(event.checkpoint),
            Event::Warning(event) => updates.push_back(Update::Notice(event.message)),
            Event::Finished(_) => {}
        }
        Ok(())
    }

    /// Finishes a snapshot once the weights that it needs are here.
    fn measure(
        &mut self,
        shared: &Shared<'_>,
        updates: &mut VecDeque<Update>,
    ) -> Result<bool, ExecutorError> {
        let Some((event, ticket)) = self.measuring.take() else { return Ok(false) };
        let Some(unembedding) = self.trainer.executor().take(ticket)? else {
            self.measuring = Some((event, ticket));
            return Ok(false);
        };
        let step = event.step;
        let before = self.history.snapshots().last().map(|(_, it)| it.positions.as_slice());
        let vocabulary = shared.vocabulary.len();
        let taken = snapshot(event, shared.points, &unembedding, vocabulary, before);
        self.measured = Some(step);
        self.history.snapshot(step, taken.clone());
        updates.push_back(Update::Snapshot(self.lane, Box::new(taken)));
        Ok(true)
    }

    /// Begins to go on with a prompt, in place of another one.
    ///
    /// # Errors
    /// In words.
    pub fn start_writing(&mut self, wanted: &Writing, shared: &Shared<'_>) -> Result<(), String> {
        let mut tokens =
            shared.tokenizer.encode(&wanted.prompt).map_err(|error| error.to_string())?;
        if tokens.is_empty() {
            // A text begins after the end of another one, or on a new line.
            tokens = match shared.tokenizer.end_of_text() {
                Some(token) => vec![token],
                None => shared.tokenizer.encode("\n").map_err(|error| error.to_string())?,
            };
        }
        if self.generator.is_none() {
            let made = Generator::new(self.trainer.executor(), &self.config);
            self.generator = Some(made.map_err(|error| error.to_string())?);
        }
        let sampling =
            Sampling { temperature: wanted.temperature, seed: wanted.seed, ..Sampling::default() };
        self.writing = Some(WritingJob {
            prompt: tokens.len(),
            tokens,
            left: wanted.max_tokens,
            sampler: Sampler::new(sampling),
            next: Vec::new(),
            ticket: None,
        });
        Ok(())
    }

    fn write(
        &mut self,
        shared: &Shared<'_>,
        updates: &mut VecDeque<Update>,
    ) -> Result<bool, ExecutorError> {
        let (Some(job), Some(generator)) = (&mut self.writing, &self.generator) else {
            return Ok(false);
        };
        let executor = self.trainer.executor();
        let Some(ticket) = job.ticket else {
            job.ticket = Some(generator.submit(executor, &job.tokens)?);
            return Ok(true);
        };
        let Some(logits) = executor.take(ticket)? else { return Ok(false) };
        job.ticket = None;
        let logits = &logits[..shared.vocabulary.len().min(logits.len())];
        if job.tokens.len() == job.prompt {
            job.next = likeliest(logits, shared.vocabulary);
        }
        let drawn = job.sampler.draw(logits).ok();
        let token = drawn.filter(|&token| Some(token) != shared.tokenizer.end_of_text());
        job.tokens.extend(token);
        job.left = job.left.saturating_sub(1);
        let done = token.is_none() || job.left == 0;
        updates.push_back(Update::Written(
            self.lane,
            Written {
                text: shared.tokenizer.decode(&job.tokens[job.prompt..]),
                next: job.next.clone(),
                done,
            },
        ));
        if done {
            self.writing = None;
        }
        Ok(true)
    }

    /// Begins to look at a text, in place of another one.
    ///
    /// # Errors
    /// In words.
    pub fn start_looking(
        &mut self,
        wanted: &Inspection,
        shared: &Shared<'_>,
    ) -> Result<(), String> {
        let tokens = shared.tokenizer.encode(&wanted.text).map_err(|error| error.to_string())?;
        if tokens.is_empty() {
            return Ok(());
        }
        let words = |error: ExecutorError| error.to_string();
        if self.prober.is_none() {
            let made = Prober::new(self.trainer.executor(), &self.config);
            self.prober = Some(made.map_err(words)?);
        }
        let Some(prober) = &self.prober else { return Ok(()) };
        let mut tickets = Vec::new();
        let wanted = Wanted::new(&self.config, wanted);
        for name in wanted.parameters() {
            tickets.extend(self.trainer.request_parameter(name).map_err(words)?);
        }
        let reads = prober.submit(self.trainer.executor(), &tokens).map_err(words)?;
        self.inspecting = Some(InspectingJob {
            reads,
            parameters: Reads::new(tickets),
            probe: None,
            wanted: wanted.at(self.trainer.submitted()),
        });
        Ok(())
    }

    fn look(
        &mut self,
        shared: &Shared<'_>,
        updates: &mut VecDeque<Update>,
    ) -> Result<bool, ExecutorError> {
        let (Some(job), Some(prober)) = (&mut self.inspecting, &self.prober) else {
            return Ok(false);
        };
        let executor = self.trainer.executor();
        if job.probe.is_none() {
            job.probe = prober.collect(executor, &mut job.reads)?;
        }
        let Some(probe) = &job.probe else { return Ok(false) };
        let Some(parameters) = job.parameters.take(executor)? else { return Ok(false) };
        let seen =
            inspection::inspected(&self.config, &job.wanted, probe, &parameters, shared.vocabulary);
        updates.push_back(Update::Inspected(self.lane, Box::new(seen)));
        self.inspecting = None;
        Ok(true)
    }
}

/// The likeliest tokens with their probabilities.
fn likeliest(logits: &[f32], vocabulary: &[String]) -> Vec<(String, f32)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let largest = order.first().map_or(0.0, |&first| logits[first]);
    let total: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let named = |&id: &usize| (vocabulary[id].clone(), (logits[id] - largest).exp() / total);
    order.iter().take(SHOWN_NEXT).map(named).collect()
}
