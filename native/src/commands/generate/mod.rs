//! `nitp generate`.

mod stops;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nitp_core::config::Config;
use nitp_core::data::{TextStream, Tokenizer};
use nitp_core::executor::Executor;
use nitp_core::train::{Generator, Sampling};
use serde::{Deserialize, Serialize};

use super::eval::write_weights;
use crate::args::GenerateArgs;
use crate::device;
use crate::model::{Heads, Model};
use crate::output::{self, errln, outln};
use stops::Stops;

/// Writes text as it is drawn; of a file of prompts, a line a prompt.
pub fn run(args: GenerateArgs) -> Result<()> {
    ensure!(
        args.stop.iter().all(|stop| !stop.is_empty()),
        "--stop \"\": an empty text is everywhere, so nothing would be written"
    );
    let prompts = args.prompts.as_deref().map(read_prompts).transpose()?;
    let Model { config, tokenizer, weights, .. } = Model::open(&args.run, Heads::None)?;
    let encoded = match &prompts {
        None => vec![encode(&tokenizer, &args.prompt)?],
        Some(prompts) => (1..)
            .zip(prompts)
            .map(|(line, prompt)| {
                encode(&tokenizer, prompt).with_context(|| format!("prompt {line}"))
            })
            .collect::<Result<_>>()?,
    };
    let mut executor = device::choose(&args.device)?.device.executor(&config)?;
    write_weights(executor.as_mut(), &config, &weights)?;
    let mut writer = Writer::new(executor.as_mut(), &config, &tokenizer, &args)?;
    let Some(prompts) = prompts else {
        // What could not be written, because the disk is full or the reader went away, is told at the end.
        if output::part(&args.prompt).is_break() {
            return Ok(());
        }
        let [prompt] = encoded.try_into().expect("one prompt");
        writer.write(prompt, args.seed, output::part)?;
        outln!("");
        return Ok(());
    };
    for (index, (prompt, tokens)) in prompts.iter().zip(encoded).enumerate() {
        let mut text = String::new();
        // Each its own draws, and the same ones whatever else is in the file.
        writer.write(tokens, args.seed + index as u64, |part| {
            text += part;
            ControlFlow::Continue(())
        })?;
        outln!("{}", serde_json::to_string(&Continued { prompt, text: &text })?);
    }
    Ok(())
}

/// A line of what a file of prompts gives.
#[derive(Serialize)]
struct Continued<'a> {
    prompt: &'a str,
    text: &'a str,
}

/// A text file's lines, or the `prompt` of each line of a JSONL file.
fn read_prompts(path: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Line {
        prompt: String,
    }
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let is_json = path.extension().is_some_and(|it| it == "jsonl" || it == "ndjson");
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let prompts: Vec<String> = lines
        .map(|(number, line)| {
            if !is_json {
                return Ok(line.to_owned());
            }
            let read: Line = serde_json::from_str(line).with_context(|| {
                format!(
                    "line {number} of {} is no JSON object with a text \"prompt\"",
                    path.display()
                )
            })?;
            Ok(read.prompt)
        })
        .collect::<Result<_>>()?;
    ensure!(!prompts.is_empty(), "{} holds no prompt", path.display());
    Ok(prompts)
}

fn encode(tokenizer: &Tokenizer, prompt: &str) -> Result<Vec<u32>> {
    let tokens = tokenizer.encode_prompt(prompt)?;
    let unknown = tokens.iter().filter(|&&token| Some(token) == tokenizer.unknown()).count();
    if unknown > 0 {
        errln!(
            "warning: {unknown} of the prompt's {} tokens are the unknown token: the model doesn't \
             see that text",
            tokens.len()
        );
    }
    ensure!(
        !tokens.is_empty() || tokenizer.end_of_text().is_some(),
        "the tokenizer has no token that begins a text: give a --prompt"
    );
    Ok(tokens)
}

/// A model that goes on with texts.
struct Writer<'a> {
    executor: &'a mut dyn Executor,
    generator: Generator,
    tokenizer: &'a Tokenizer,
    args: &'a GenerateArgs,
}

impl<'a> Writer<'a> {
    fn new(
        executor: &'a mut dyn Executor,
        config: &Config,
        tokenizer: &'a Tokenizer,
        args: &'a GenerateArgs,
    ) -> Result<Self> {
        let generator = Generator::new(executor, config)?;
        Ok(Self { executor, generator, tokenizer, args })
    }

    /// Hands text on as it is drawn, until its end, a stop text, or a break of `each`.
    fn write(
        &mut self,
        prompt: Vec<u32>,
        seed: u64,
        mut each: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<()> {
        let GenerateArgs { temperature, top_k, top_p, max_tokens, stop, .. } = self.args;
        let sampling = Sampling { temperature: *temperature, top_k: *top_k, top_p: *top_p, seed };
        let mut stream = TextStream::after(self.tokenizer, &prompt);
        let mut stops = Stops::at(stop);
        let mut ended = false;
        let mut pass =
            |text: &str, stops: &mut Stops<'_>, each: &mut dyn FnMut(&str) -> ControlFlow<()>| {
                let (text, has_stopped) = stops.push(text);
                ended |= each(&text).is_break() || has_stopped;
                if ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
        self.generator.generate(
            self.executor,
            prompt,
            *max_tokens,
            self.tokenizer,
            sampling,
            |token| pass(&stream.push(token), &mut stops, &mut each),
        )?;
        if pass(&stream.finish(), &mut stops, &mut each).is_continue() {
            let _ = each(&stops.finish());
        }
        Ok(())
    }
}
