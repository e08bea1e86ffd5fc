//! Drawing tokens from logits.

use rand::SeedableRng;
use rand::distr::{Distribution, weighted::WeightedIndex};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// How the next token is drawn from the logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Only this many of the likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens whose probabilities reach this sum; 1 for all.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 0, top_p: 0.95, seed: 0 }
    }
}

/// Logits that can't be sampled from.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SamplingError {
    /// A logit is NaN or infinite.
    #[error("the model's logits are not finite: its weights are broken; use an earlier checkpoint")]
    NotFinite,
    /// No id of the logits is a token.
    #[error("the tokenizer has no token among the model's logits: it is another tokenizer")]
    NoToken,
}

/// Draws tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    tokens: Vec<bool>,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// A sampler at the start of its seed's sequence, of the ids that are tokens: those that
    /// [`Tokenizer::token_mask`](crate::data::Tokenizer::token_mask) has. A model may have rows
    /// for more.
    pub fn new(sampling: Sampling, tokens: Vec<bool>) -> Self {
        Self { sampling, tokens, rng: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// Draws a token from `logits [vocab_size]`. Ties go to the lowest id.
    ///
    /// # Errors
    /// If a logit is not finite, or no id of them is a token.
    pub fn draw(&mut self, logits: &[f32]) -> Result<u32, SamplingError> {
        if logits.iter().any(|x| !x.is_finite()) {
            return Err(SamplingError::NotFinite);
        }
        let is_token = |&id: &usize| self.tokens.get(id).is_some_and(|&token| token);
        let mut order: Vec<usize> = (0..logits.len()).filter(is_token).collect();
        if order.is_empty() {
            return Err(SamplingError::NoToken);
        }
        let by_logit = |&a: &usize, &b: &usize| logits[b].total_cmp(&logits[a]).then(a.cmp(&b));
        if self.sampling.temperature <= 0.0 {
            let likeliest = order.iter().copied().min_by(by_logit);
            return Ok(likeliest.expect("there are tokens") as u32);
        }
        // A vocabulary may be large: only what may be drawn is sorted.
        let top_k = self.sampling.top_k;
        if (1..order.len()).contains(&top_k) {
            order.select_nth_unstable_by(top_k - 1, by_logit);
            order.truncate(top_k);
        }
        order.sort_unstable_by(by_logit);
        let largest = f64::from(logits[order[0]]);
        let mut weights: Vec<f64> = order
            .iter()
            .map(|&i| ((f64::from(logits[i]) - largest) / self.sampling.temperature).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        let mut reached = 0.0;
        let kept = weights.iter().position(|weight| {
            reached += weight / total;
            reached >= self.sampling.top_p
        });
        weights.truncate(kept.map_or(weights.len(), |last| last + 1));
        let index = WeightedIndex::new(&weights).map_err(|_| SamplingError::NotFinite)?;
        Ok(order[index.sample(&mut self.rng)] as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(sampling: Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, vec![true; logits.len()]);
        (0..2000).map(|_| sampler.draw(logits).unwrap()).collect()
    }

    #[test]
    fn temperature_zero_takes_the_likeliest_and_the_lowest_of_a_tie() {
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        assert!(draws(sampling, &[0.0, 3.0, 3.0, 1.0]).iter().all(|&t| t == 1));
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 1 };
        let found = draws(sampling, &[0.0, (3.0f32).ln()]);
        let share = found.iter().filter(|&&t| t == 1).count() as f64 / 2000.0;
        assert!((share - 0.75).abs() < 0.03, "{share}");
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let logits = [2.0, 1.0, 0.0, -1.0];
        let base = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 2 };
        assert!(draws(Sampling { top_k: 2, ..base }, &logits).iter().all(|&t| t < 2));
        assert!(draws(Sampling { top_p: 0.6, ..base }, &logits).iter().all(|&t| t == 0));
        assert!(draws(base, &logits).contains(&3));
    }

    #[test]
    fn broken_logits_are_an_error() {
        let mut sampler = Sampler::new(Sampling::default(), vec![true; 2]);
        assert_eq!(sampler.draw(&[0.0, f32::NAN]), Err(SamplingError::NotFinite));
    }

    #[test]
    fn ids_that_are_no_tokens_are_never_drawn() {
        let sampling = Sampling { temperature: 1.0, top_k: 2, top_p: 1.0, seed: 3 };
        // A gap at 1, and a model with rows from 4 on that the tokenizer lacks.
        let logits = [0.0, 50.0, 1.0, 0.5, 60.0, 70.0];
        for temperature in [0.0, 1.0] {
            let sampling = Sampling { temperature, ..sampling };
            let mut sampler = Sampler::new(sampling, vec![true, false, true, true]);
            assert!((0..500).all(|_| [2, 3].contains(&sampler.draw(&logits).unwrap())));
        }
        let mut sampler = Sampler::new(sampling, vec![false]);
        assert_eq!(sampler.draw(&logits), Err(SamplingError::NoToken));
    }
}
