//! The pieces of work that a run submits, and the handling of their results.

use web_time::Instant;

use super::{TrainError, Trainer};
use crate::executor::{ExecutorError, Reads, Source, Ticket};
use crate::plan::Space;
use crate::train::checkpoint::{Checkpoint, LossScale};
use crate::train::evaluation::{BatchReads, geometry_event};
use crate::train::events::{CheckpointEvent, Event, FinishedEvent, RivalLosses, StepEvent};
use crate::train::inputs::step_inputs;
use crate::train::store::unpack;

/// A piece of work.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Evaluate { batch: usize, last: bool },
    Geometry { batch: usize, last: bool },
    Checkpoint,
    Finish,
}

/// Pending work, in the order of submission.
pub(super) enum Pending {
    Step {
        metrics: Ticket,
    },
    Evaluate {
        reads: BatchReads,
        last: bool,
    },
    /// The states, with the number of valid elements, and the unembedding, if requested.
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

impl Trainer {
    pub(super) fn submit_step(&mut self) -> Result<(), ExecutorError> {
        if self.pending.is_empty() {
            // The time since the last call does not count.
            self.pace.begin(Instant::now());
        }
        let step = self.submitted;
        let plan = &self.plan;
        let micro = step_inputs(&self.config, &plan.inputs, self.source.as_ref(), step);
        let metrics = plan.source(plan.tensors.metrics);
        let tickets = self.executor.run(plan.id, &micro, &[metrics])?;
        self.pending.push_back(Pending::Step { metrics: tickets[0] });
        self.submitted += 1;
        self.plan_after(self.submitted);
        Ok(())
    }

    /// Plans the work due after `step` steps.
    pub(super) fn plan_after(&mut self, step: usize) {
        let train = &self.config.train;
        let stops = step == self.end;
        // A run that is stopped and resumed evaluates at the same steps as an uninterrupted run.
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

    pub(super) fn plan_evaluation(&mut self) {
        if self.config.train.eval_interval == 0 {
            return;
        }
        let batches = self.source.validation_batches();
        self.todo
            .extend((0..batches).map(|batch| Unit::Evaluate { batch, last: batch + 1 == batches }));
    }

    pub(super) fn plan_geometry(&mut self) {
        let Some(evaluator) = &self.evaluator else { return };
        let train = &self.config.train;
        // Geometry needs at least two states.
        if train.geometry_interval == 0 || train.batch_size * train.context_length < 2 {
            return;
        }
        let batches = evaluator.geometry_batches(self.source.validation_batches());
        self.todo
            .extend((0..batches).map(|batch| Unit::Geometry { batch, last: batch + 1 == batches }));
    }

    pub(super) fn submit(&mut self, unit: Unit) -> Result<(), ExecutorError> {
        let loss_scale = self.plan.inputs.loss_scale.map(|view| self.plan.source(view));
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
                let tickets = sources
                    .chain(loss_scale)
                    .map(|source| executor.request(source))
                    .collect::<Result<_, _>>()?;
                Pending::Checkpoint { reads: Reads::new(tickets) }
            }
            Unit::Finish => Pending::Finish,
        };
        self.pending.push_back(pending);
        Ok(())
    }

    /// Finishes work whose data have arrived; else returns it.
    pub(super) fn collect(&mut self, pending: Pending) -> Result<Option<Pending>, TrainError> {
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
                    let event = std::mem::take(&mut self.sums).event(
                        &self.config,
                        self.state.step,
                        self.state.tokens,
                    );
                    // Checkpoints and logs can't hold NaN or infinity.
                    check_finite(event.step, "the held-out loss", event.val_loss)?;
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
                self.finish_checkpoint(chunks)?;
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
        Ok(None)
    }

    fn finish_step(&mut self, metrics: &[f32]) -> Result<(), TrainError> {
        let event = StepEvent::new(&self.config, self.state.step, metrics);
        let step = event.step;
        let losses = [
            ("ntp_loss", event.ntp_loss),
            ("nitp_loss", event.nitp_loss),
            ("balance_loss", event.balance_loss),
            ("grad_norm", event.grad_norm),
        ];
        let rivals = event.rivals.values().map(|loss| loss.unwrap_or(0.0));
        for (what, value) in losses.into_iter().chain(RivalLosses::KEYS.into_iter().zip(rivals)) {
            check_finite(step, what, value)?;
        }
        if let Some(scale) = event.loss_scale.filter(|&scale| scale < 1.0) {
            return Err(TrainError::LossScale { step, scale });
        }
        self.state.step = step;
        self.state.tokens = event.tokens;
        self.state.val_loss = None;
        self.events.push_back(Event::Step(event));
        Ok(())
    }

    fn finish_checkpoint(&mut self, mut chunks: Vec<Vec<f32>>) -> Result<(), TrainError> {
        let loss_scale = self.plan.inputs.loss_scale.and_then(|_| chunks.pop());
        let layout = self.executor.parameters();
        let count = layout.chunks.len();
        // From the last space on, so that its chunks are freed before the next space is unpacked.
        let mut last = || {
            let space = chunks.split_off(chunks.len() - count);
            unpack(&self.parameters, layout, &space)
        };
        let (moment2, moment1, weights) = (last(), last(), last());
        // The losses of a step belong to the weights before it, so they don't reveal broken weights after it.
        let values = weights.values().flat_map(|tensor| &tensor.data);
        if let Some(&value) = values.into_iter().find(|value| !value.is_finite()) {
            check_finite(self.state.step, "a weight", f64::from(value))?;
        }
        let mut state = self.state.clone();
        state.loss_scale = loss_scale.map(|tensor| LossScale::from_tensor(&tensor));
        let model = self.config.model.clone();
        let checkpoint = Checkpoint { weights, moment1, moment2, state, model };
        let step = self.state.step;
        self.events.push_back(Event::Checkpoint(CheckpointEvent {
            step,
            best: self.state.best.is_some_and(|(_, best)| best == step),
            checkpoint: Box::new(checkpoint),
        }));
        Ok(())
    }
}

fn check_finite(step: usize, what: &'static str, value: f64) -> Result<(), TrainError> {
    if value.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { step, what, value }) }
}
