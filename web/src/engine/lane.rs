//! One of the two runs: a trainer, its events, and inspections of its model.

use std::collections::VecDeque;

use nitp_core::config::Config;
use nitp_core::data::{TextStream, Tokenizer};
use nitp_core::executor::{ExecutorError, Reads, Ticket};
use nitp_core::train::{
    Checkpoint, Event, Generator, Probe, ProbeReads, Prober, Progress, Sampler, Sampling,
    TrainError, Trainer,
};

use super::corpus::readable;
use super::history::History;
use super::inspection::{self, Wanted};
use super::snapshot::snapshot;
use crate::protocol::{self, Inspection, Snapshot, Update, Writing, Written};

/// Number of tokens shown after a prompt.
const SHOWN_NEXT: usize = 8;

/// One run.
pub struct Lane {
    /// Which of the two runs.
    pub lane: protocol::Lane,
    /// Its configuration.
    pub config: Config,
    /// Its trainer.
    pub trainer: Trainer,
    /// Its events.
    pub history: History,
    /// The newest checkpoint of a step at which the other run also has one.
    pub kept: Option<Box<Checkpoint>>,
    /// A newer checkpoint.
    pub newest: Option<Box<Checkpoint>>,
    generator: Option<Generator>,
    prober: Option<Prober>,
    writing: Option<WritingJob>,
    next_writing: Option<WritingJob>,
    looking: Option<LookingJob>,
    next_look: Option<(Vec<u32>, Inspection)>,
}

struct WritingJob {
    tokens: Vec<u32>,
    prompt: usize,
    left: usize,
    sampler: Sampler,
    stream: TextStream,
    text: String,
    next: Vec<(String, f32)>,
    ticket: Option<Ticket>,
}

struct LookingJob {
    reads: ProbeReads,
    parameters: Reads,
    probe: Option<Probe>,
    wanted: Wanted,
}

/// Data that both runs share.
pub struct Shared<'a> {
    /// The tokenizer, for prompts.
    pub tokenizer: &'a Tokenizer,
    /// Strings of all tokens.
    pub vocabulary: &'a [String],
    /// Number of held-out states that are shown.
    pub points: usize,
}

impl Lane {
    /// A run, with its history if it is continued.
    pub fn new(
        lane: protocol::Lane,
        config: Config,
        mut trainer: Trainer,
        history: History,
        kept: Option<Box<Checkpoint>>,
    ) -> Self {
        trainer.read_unembedding();
        // The trainer measures the start of a new run itself. A continued run needs a measurement, because its log has
        // no cloud.
        let at = trainer.submitted();
        let has_cloud = |(step, it): &(usize, Snapshot)| *step == at && !it.positions.is_empty();
        if at > 0 && !history.snapshots().last().is_some_and(has_cloud) {
            trainer.measure();
        }
        Self {
            lane,
            config,
            trainer,
            history,
            kept,
            newest: None,
            generator: None,
            prober: None,
            writing: None,
            next_writing: None,
            looking: None,
            next_look: None,
        }
    }

    /// Whether a request is pending.
    pub fn is_asked(&self) -> bool {
        self.writing.is_some()
            || self.next_writing.is_some()
            || self.looking.is_some()
            || self.next_look.is_some()
    }

    /// Advances by one piece of work, at most to `step`.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn advance(
        &mut self,
        step: usize,
        shared: &Shared<'_>,
        updates: &mut VecDeque<Update>,
    ) -> Result<Progress, TrainError> {
        self.trainer.hold_at(step);
        let progress = self.trainer.advance();
        // Events from before a failure are still reported.
        let events: Vec<Event> = self.trainer.events().collect();
        for event in events {
            self.take(event, shared, updates);
        }
        let worked = self.write(shared, updates)? | self.look(shared, updates)?;
        let progress = progress?;
        Ok(if worked { Progress::Submitted } else { progress })
    }

    fn take(&mut self, event: Event, shared: &Shared<'_>, updates: &mut VecDeque<Update>) {
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
                let step = event.step;
                let before = self.history.snapshots().last().map(|(_, it)| it.positions.as_slice());
                let taken = snapshot(event, shared.points, shared.vocabulary.len(), before);
                self.history.snapshot(step, taken.clone());
                updates.push_back(Update::Snapshot(self.lane, Box::new(taken)));
            }
            Event::Checkpoint(event) => self.newest = Some(event.checkpoint),
            Event::Warning(event) => updates.push_back(Update::Notice(event.message)),
            Event::Finished(_) => {}
        }
    }

    /// Starts to continue a prompt, replacing a previous one.
    ///
    /// # Errors
    /// The problem in words.
    pub fn start_writing(&mut self, wanted: &Writing, shared: &Shared<'_>) -> Result<(), String> {
        let mut tokens =
            shared.tokenizer.encode_prompt(&wanted.prompt).map_err(|error| error.to_string())?;
        if tokens.is_empty() {
            // A text begins after an end-of-text token, or on a new line.
            tokens = match shared.tokenizer.end_of_text() {
                Some(token) => vec![token],
                None => shared.tokenizer.encode("\n").map_err(|error| error.to_string())?,
            };
        }
        let sampling =
            Sampling { temperature: wanted.temperature, seed: wanted.seed, ..Sampling::default() };
        self.next_writing = Some(WritingJob {
            prompt: tokens.len(),
            left: wanted.max_tokens,
            sampler: Sampler::new(sampling, shared.tokenizer.token_mask()),
            stream: TextStream::after(shared.tokenizer, &tokens),
            text: String::new(),
            tokens,
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
        // A pending read must arrive first.
        if self.writing.as_ref().is_none_or(|job| job.ticket.is_none()) {
            self.writing = self.next_writing.take().or(self.writing.take());
        }
        let Some(job) = &mut self.writing else { return Ok(false) };
        let executor = self.trainer.executor();
        let generator = match &mut self.generator {
            Some(generator) => generator,
            none => none.insert(Generator::new(executor, &self.config)?),
        };
        let Some(ticket) = job.ticket else {
            job.ticket = Some(generator.submit(executor, &job.tokens)?);
            return Ok(true);
        };
        let Some(logits) = executor.take(ticket)? else { return Ok(false) };
        job.ticket = None;
        let logits = &logits[..shared.vocabulary.len().min(logits.len())];
        if job.tokens.len() == job.prompt {
            job.next = likeliest(logits, shared);
        }
        let drawn = job.sampler.draw(logits).ok();
        let token = drawn.filter(|&token| Some(token) != shared.tokenizer.end_of_text());
        job.tokens.extend(token);
        job.left = job.left.saturating_sub(1);
        let done = token.is_none() || job.left == 0;
        if let Some(token) = token {
            job.text += &job.stream.push(token);
        }
        if done {
            job.text += &job.stream.finish();
        }
        updates.push_back(Update::Written(
            self.lane,
            Written { text: readable(&job.text), next: job.next.clone(), done },
        ));
        if done {
            self.writing = None;
        }
        Ok(true)
    }

    /// Starts an inspection of a text, replacing one that still waits.
    ///
    /// # Errors
    /// The problem in words.
    pub fn start_looking(
        &mut self,
        wanted: &Inspection,
        shared: &Shared<'_>,
    ) -> Result<(), String> {
        let tokens = shared.tokenizer.encode(&wanted.text).map_err(|error| error.to_string())?;
        if tokens.is_empty() {
            return Err("there is no sentence to look at: type one".to_owned());
        }
        self.next_look = Some((tokens, wanted.clone()));
        Ok(())
    }

    fn look(
        &mut self,
        shared: &Shared<'_>,
        updates: &mut VecDeque<Update>,
    ) -> Result<bool, ExecutorError> {
        if self.looking.is_none()
            && let Some((tokens, wanted)) = self.next_look.take()
        {
            self.looking = Some(self.submit_look(&tokens, &wanted)?);
            return Ok(true);
        }
        let (Some(job), Some(prober)) = (&mut self.looking, &self.prober) else {
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
        self.looking = None;
        Ok(true)
    }

    fn submit_look(
        &mut self,
        tokens: &[u32],
        asked: &Inspection,
    ) -> Result<LookingJob, ExecutorError> {
        let wanted = Wanted::new(&self.config, asked).at(self.trainer.submitted());
        let mut tickets = Vec::new();
        for name in wanted.parameters() {
            tickets.extend(self.trainer.request_parameter(name)?);
        }
        let executor = self.trainer.executor();
        let prober = match &mut self.prober {
            Some(prober) => prober,
            none => none.insert(Prober::new(executor, &self.config)?),
        };
        let reads = prober.submit(executor, tokens)?;
        Ok(LookingJob { reads, parameters: Reads::new(tickets), probe: None, wanted })
    }
}

/// The likeliest tokens with their probabilities, without ids that are no tokens, which are never sampled.
fn likeliest(logits: &[f32], shared: &Shared<'_>) -> Vec<(String, f32)> {
    let tokens = shared.tokenizer.token_mask();
    let mut order: Vec<usize> = (0..logits.len()).filter(|&id| tokens[id]).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let largest = order.first().map_or(0.0, |&first| logits[first]);
    let total: f32 = order.iter().map(|&id| (logits[id] - largest).exp()).sum();
    let named = |&id: &usize| (shared.vocabulary[id].clone(), (logits[id] - largest).exp() / total);
    order.iter().take(SHOWN_NEXT).map(named).collect()
}
