//! `nitp generate`.

use anyhow::{Result, ensure};
use nitp_core::data::TextStream;
use nitp_core::train::{Generator, Sampling};

use super::eval::write_weights;
use crate::args::GenerateArgs;
use crate::device;
use crate::model::{Heads, Model};
use crate::output::{self, errln, outln};

/// Writes text as it is drawn.
pub fn run(args: GenerateArgs) -> Result<()> {
    let Model { config, tokenizer, weights, .. } = Model::open(&args.run, Heads::None)?;
    let prompt = tokenizer.encode_prompt(&args.prompt)?;
    let unknown = prompt.iter().filter(|&&token| Some(token) == tokenizer.unknown()).count();
    if unknown > 0 {
        errln!(
            "warning: {unknown} of the prompt's {} tokens are the unknown token: the model doesn't \
             see that text",
            prompt.len()
        );
    }
    ensure!(
        !prompt.is_empty() || tokenizer.end_of_text().is_some(),
        "the tokenizer has no token that begins a text: give a --prompt"
    );
    let mut executor = device::choose(&args.device)?.device.executor(&config)?;
    let executor = executor.as_mut();
    write_weights(executor, &config, &weights)?;
    let generator = Generator::new(executor, &config)?;
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        seed: args.seed,
    };
    // What could not be written, because the disk is full or the reader went away, is told at the end.
    if output::part(&args.prompt).is_break() {
        return Ok(());
    }
    let mut text = TextStream::after(&tokenizer, &prompt);
    generator.generate(executor, prompt, args.max_tokens, &tokenizer, sampling, |token| {
        output::part(&text.push(token))
    })?;
    outln!("{}", text.finish());
    Ok(())
}
