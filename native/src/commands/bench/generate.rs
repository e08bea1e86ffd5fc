//! Generation with a cache of keys and values, beside computing the whole text again for each token.
//!
//! "Without" empties the cache before each token: the tokens before it go through the plan that fills the cache, 64 at a
//! time, the last 64 padded.

use std::time::Instant;

use anyhow::{Result, ensure};
use nitp_core::config::{Config, load, preset};
use nitp_core::executor::Executor;
use nitp_core::model::parameters;
use nitp_core::train::{Generator, Tensors, initialize};
use serde::Serialize;

use super::median;
use super::table::time;
use crate::args::BenchArgs;
use crate::device;
use crate::output::outln;

/// Tokens of a text, from the first one on.
const TOKENS: usize = 256;

/// How fast a preset writes.
#[derive(Debug, Serialize)]
struct Speed {
    preset: String,
    device: String,
    tokens: usize,
    tokens_per_second: f64,
    tokens_per_second_without_cache: f64,
    /// The median of pairs.
    ratio: f64,
    /// For one more token at the end of the text.
    last_token_seconds: f64,
    last_token_seconds_without_cache: f64,
}

/// Seconds of a whole text, and of its last token.
struct Timed {
    text: f64,
    last: f64,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, presets: &[String]) -> Result<()> {
    let mut measured = Vec::new();
    for name in presets {
        let mut config = load(preset(name)?, None, &args.sets)?;
        // Within the context, so that no text is computed again for want of room.
        config.train.context_length = config.train.context_length.max(TOKENS);
        ensure!(
            config.model.vocab_size > 1,
            "a vocabulary of one token has nothing to choose from"
        );
        let speed = measure(name, &config, args)?;
        if !args.json {
            outln!("{}", words(&speed));
        }
        measured.push(speed);
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&measured)?);
    }
    Ok(())
}

fn measure(name: &str, config: &Config, args: &BenchArgs) -> Result<Speed> {
    let mut executor = device::choose(&args.device)?.device.executor(config)?;
    let executor = executor.as_mut();
    initialize(executor, &parameters(config), config.train.seed, &Tensors::new())?;
    let mut generator = Generator::new(executor, config)?;
    // Pipelines, caches and clocks come to rest.
    write(executor, &mut generator, true)?;
    let mut pairs = Vec::new();
    for round in 0..args.steps {
        // In turns, and who begins changes: both see the same machine.
        let cached_first = round % 2 == 0;
        let first = write(executor, &mut generator, cached_first)?;
        let second = write(executor, &mut generator, !cached_first)?;
        pairs.push(if cached_first { (first, second) } else { (second, first) });
    }
    let speed = |seconds: f64| (TOKENS - 1) as f64 / seconds;
    Ok(Speed {
        preset: name.to_owned(),
        device: executor.description(),
        tokens: TOKENS,
        tokens_per_second: speed(median(pairs.iter().map(|(with, _)| with.text))),
        tokens_per_second_without_cache: speed(median(pairs.iter().map(|(_, it)| it.text))),
        ratio: median(pairs.iter().map(|(with, without)| without.text / with.text)),
        last_token_seconds: median(pairs.iter().map(|(with, _)| with.last)),
        last_token_seconds_without_cache: median(pairs.iter().map(|(_, it)| it.last)),
    })
}

/// Writes a text of [`TOKENS`] tokens, each the likeliest.
fn write(executor: &mut dyn Executor, generator: &mut Generator, has_cache: bool) -> Result<Timed> {
    let mut tokens = vec![0];
    let (begin, mut last) = (Instant::now(), Instant::now());
    generator.forget();
    while tokens.len() < TOKENS {
        last = Instant::now();
        if !has_cache {
            generator.forget();
        }
        let logits = generator.logits(executor, &tokens)?;
        let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        tokens.push(likeliest.expect("a vocabulary") as u32);
    }
    Ok(Timed { text: begin.elapsed().as_secs_f64(), last: last.elapsed().as_secs_f64() })
}

fn words(it: &Speed) -> String {
    format!(
        "{} on {}: {:.0} tokens/s over a text of {} tokens, {:.0} without a cache: {:.1} times as fast. \
         Its last token takes {}, without a cache {}",
        it.preset,
        it.device,
        it.tokens_per_second,
        it.tokens,
        it.tokens_per_second_without_cache,
        it.ratio,
        time(it.last_token_seconds),
        time(it.last_token_seconds_without_cache),
    )
}
