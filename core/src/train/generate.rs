//! Going on with texts, one token a run, with the keys and values of earlier tokens in a cache.

use std::ops::ControlFlow;

use thiserror::Error;

use super::inputs::{self, LoadedPlan};
use super::sampling::{Sampler, Sampling, SamplingError};
use crate::config::Config;
use crate::data::Tokenizer;
use crate::executor::{Executor, ExecutorError, MicroInputs, Ticket, take_now};
use crate::model::{CacheTensors, DecodeTensors, Inputs, decode_plan, fill_cache_plan};
use crate::ops::attention::IDLE;

/// A failure to generate.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// The machine failed.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The logits can't be sampled from.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// There is nothing to go on from.
    #[error("the prompt is empty, and the tokenizer has no end-of-text token to begin with")]
    EmptyPrompt,
}

/// Reads logits after texts, each in a row of a cache.
///
/// A row remembers the tokens whose keys and values it holds. A caller gives the whole text each time, and only its new
/// tokens are computed. After a change of the parameters, every token is new. A text of more tokens than
/// `train.context_length` is seen from a later token on, by as many halves of the context as needed. It is then computed
/// again once in half a context, rather than for each token.
#[derive(Clone, Debug)]
pub struct Generator {
    fill: LoadedPlan<CacheTensors>,
    decode: LoadedPlan<DecodeTensors>,
    /// Tokens of a run of `fill`.
    slots: usize,
    context: usize,
    vocab: usize,
    /// By row: the tokens in the cache, from position 0 on.
    cached: Vec<Vec<u32>>,
    /// Of the executor's parameters, those that the cache was computed with.
    version: u64,
}

/// The next token of a row, to be computed.
struct Slot {
    row: usize,
    position: usize,
    token: u32,
}

/// The part of a text that the model sees.
fn window(tokens: &[u32], context: usize) -> &[u32] {
    let half = (context / 2).max(1);
    &tokens[tokens.len().saturating_sub(context).next_multiple_of(half)..]
}

/// The inputs of a run of so many slots; the others are idle.
fn inputs_of<'a>(
    inputs: &Inputs,
    cache: &CacheTensors,
    slots: usize,
    tokens: impl Iterator<Item = (usize, &'a Slot)>,
) -> MicroInputs {
    let (mut ids, mut positions, mut rows) = (vec![0; slots], vec![IDLE; slots], vec![0; slots]);
    for (slot, &Slot { row, position, token }) in tokens {
        (ids[slot], positions[slot], rows[slot]) = (token, position as u32, row as u32);
    }
    let ints =
        vec![(inputs.tokens.id, ids), (cache.positions.id, positions), (cache.cache_rows.id, rows)];
    MicroInputs { reals: Vec::new(), ints }
}

impl Generator {
    /// Tokens of a run that fills the cache, at most: enough for products to be fast.
    const MOST_SLOTS: usize = 64;

    /// Loads the plans, for one text at a time.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn new(executor: &mut dyn Executor, config: &Config) -> Result<Self, ExecutorError> {
        Self::with_rows(executor, config, 1)
    }

    /// Loads the plans, for so many texts side by side.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn with_rows(
        executor: &mut dyn Executor,
        config: &Config,
        rows: usize,
    ) -> Result<Self, ExecutorError> {
        let context = config.train.context_length;
        let slots = context.min(Self::MOST_SLOTS);
        let limits = executor.parameters().limits;
        let decode = inputs::load_plan(executor, config, decode_plan(config, limits, rows))?;
        let fill = fill_cache_plan(config, limits, slots, rows);
        let fill = inputs::load_plan_sharing(executor, config, fill, Some(decode.id))?;
        let (vocab, cached) = (config.model.vocab_size, vec![Vec::new(); rows]);
        let version = executor.parameters_version();
        Ok(Self { fill, decode, slots, context, vocab, cached, version })
    }

    /// Texts that it reads side by side.
    pub fn rows(&self) -> usize {
        self.cached.len()
    }

    /// Empties the cache.
    pub fn forget(&mut self) {
        self.cached.iter_mut().for_each(Vec::clear);
    }

    /// Starts on the logits `[rows, vocab_size]` of the tokens after these texts, one a row. Those of a row without a
    /// text mean nothing.
    ///
    /// # Errors
    /// What the executor reports.
    ///
    /// # Panics
    /// If there is not a text or a `None` for each row, or a text is empty.
    pub fn submit_rows(
        &mut self,
        executor: &mut dyn Executor,
        texts: &[Option<&[u32]>],
    ) -> Result<Ticket, ExecutorError> {
        assert_eq!(texts.len(), self.rows());
        let version = executor.parameters_version();
        if self.version != version {
            self.forget();
            self.version = version;
        }
        let (mut before, mut last) = (Vec::new(), Vec::new());
        let mut cached = std::mem::take(&mut self.cached);
        // Until the runs are submitted, nothing is known of the cache.
        self.cached = vec![Vec::new(); cached.len()];
        for (row, text) in texts.iter().enumerate() {
            let Some(text) = text else { continue };
            let window = window(text, self.context);
            let there = window.iter().zip(&cached[row]).take_while(|(a, b)| a == b).count();
            let slots = (0..window.len()).map(|position| {
                let token = window[position];
                Slot { row, position, token }
            });
            // Of the last token the logits are wanted, whether or not it was seen before.
            let last_position = window.len() - 1;
            for slot in slots.skip(there.min(last_position)) {
                if slot.position < last_position { &mut before } else { &mut last }.push(slot);
            }
            cached[row] = window.to_vec();
        }
        if !before.is_empty() {
            let chunks = before.chunks(self.slots);
            let micro: Vec<MicroInputs> = chunks.map(|chunk| self.fill_inputs(chunk)).collect();
            executor.run(self.fill.id, &micro, &[])?;
        }
        let micro = self.decode_inputs(&last);
        let logits = self.decode.source(self.decode.tensors.logits);
        let tickets = executor.run(self.decode.id, &[micro], &[logits])?;
        self.cached = cached;
        Ok(tickets[0])
    }

    /// The inputs of a run that fills the cache: the i-th token in the i-th slot.
    fn fill_inputs(&self, tokens: &[Slot]) -> MicroInputs {
        let LoadedPlan { inputs, tensors, .. } = &self.fill;
        inputs_of(inputs, tensors, self.slots, tokens.iter().enumerate())
    }

    /// The inputs of a run that decodes: each token in the slot of its row.
    fn decode_inputs(&self, tokens: &[Slot]) -> MicroInputs {
        let LoadedPlan { inputs, tensors, .. } = &self.decode;
        let rows = self.cached.len();
        inputs_of(inputs, &tensors.cache, rows, tokens.iter().map(|token| (token.row, token)))
    }

    /// [`Generator::submit_rows`] of one text, where there is one row.
    ///
    /// # Errors
    /// What the executor reports.
    ///
    /// # Panics
    /// If `tokens` is empty.
    pub fn submit(
        &mut self,
        executor: &mut dyn Executor,
        tokens: &[u32],
    ) -> Result<Ticket, ExecutorError> {
        self.submit_rows(executor, &[Some(tokens)])
    }

    /// As [`Generator::submit`], waiting for the logits `[vocab_size]`: native apps.
    ///
    /// # Errors
    /// What the executor reports.
    ///
    /// # Panics
    /// If `tokens` is empty.
    pub fn logits(
        &mut self,
        executor: &mut dyn Executor,
        tokens: &[u32],
    ) -> Result<Vec<f32>, ExecutorError> {
        let ticket = self.submit(executor, tokens)?;
        take_now(executor, ticket)
    }

    /// Goes on with all of these texts, as many side by side as there are rows, each with draws of its own. A text
    /// ends at the tokenizer's end of text, after `max_tokens` more tokens, or at a break of `each`. `each` gets the
    /// index of a text with every new token of it, and with `None` at its end; a break there ends all texts. It waits:
    /// native apps.
    ///
    /// # Errors
    /// An empty prompt, logits that are not finite, what the executor reports.
    pub fn generate(
        &mut self,
        executor: &mut dyn Executor,
        prompts: Vec<(Vec<u32>, Sampling)>,
        max_tokens: usize,
        tokenizer: &Tokenizer,
        mut each: impl FnMut(usize, Option<u32>) -> ControlFlow<()>,
    ) -> Result<(), GenerateError> {
        struct Text {
            index: usize,
            tokens: Vec<u32>,
            left: usize,
            sampler: Sampler,
        }
        let stop = tokenizer.end_of_text();
        let mut waiting = prompts.into_iter().enumerate();
        let mut rows: Vec<Option<Text>> = (0..self.rows()).map(|_| None).collect();
        loop {
            // A row whose text has ended goes to the next text.
            for row in &mut rows {
                while row.as_ref().is_none_or(|text| text.left == 0) {
                    if let Some(ended) = row.take()
                        && each(ended.index, None).is_break()
                    {
                        return Ok(());
                    }
                    let Some((index, (mut tokens, sampling))) = waiting.next() else { break };
                    if tokens.is_empty() {
                        tokens.push(stop.ok_or(GenerateError::EmptyPrompt)?);
                    }
                    let sampler = Sampler::new(sampling, tokenizer.token_mask());
                    *row = Some(Text { index, tokens, left: max_tokens, sampler });
                }
            }
            if rows.iter().all(Option::is_none) {
                return Ok(());
            }
            let texts: Vec<Option<&[u32]>> =
                rows.iter().map(|row| row.as_ref().map(|text| &text.tokens[..])).collect();
            let ticket = self.submit_rows(executor, &texts)?;
            let logits = take_now(executor, ticket)?;
            for (row, logits) in rows.iter_mut().zip(logits.chunks_exact(self.vocab)) {
                let Some(text) = row else { continue };
                let token = text.sampler.draw(logits)?;
                text.tokens.push(token);
                text.left -= 1;
                if Some(token) == stop || each(text.index, Some(token)).is_break() {
                    text.left = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_longer_than_the_context_moves_on_by_halves() {
        let tokens: Vec<u32> = (0..40).collect();
        let begins = |context: usize, len: usize| window(&tokens[..len], context)[0];
        assert_eq!([1, 7, 8].map(|len| begins(8, len)), [0, 0, 0]);
        assert_eq!([9, 12, 13, 16, 17].map(|len| begins(8, len)), [4, 4, 8, 8, 12]);
        // Odd contexts, down to one token.
        assert_eq!([5, 6, 7, 8].map(|len| begins(5, len)), [0, 2, 2, 4]);
        assert_eq!([1, 2, 3].map(|len| begins(1, len)), [0, 1, 2]);
        for (context, len) in [(8, 40), (5, 33), (1, 9)] {
            assert!((1..=context).contains(&window(&tokens[..len], context).len()));
        }
    }
}
