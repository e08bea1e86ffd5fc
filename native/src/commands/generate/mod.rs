//! `nitp generate`.

mod interactive;
mod stops;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, ensure};
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

/// Texts of a file that are written side by side: fixed, so that no text depends on how many there are.
const ROWS: usize = 8;

/// Writes text as it is drawn; of a file of prompts, a line a prompt.
pub fn run(args: GenerateArgs) -> Result<()> {
    ensure!(
        args.stop.iter().all(|stop| !stop.is_empty()),
        "--stop \"\": an empty text is everywhere, so nothing would be written"
    );
    let prompts = args.prompts.as_deref().map(read_prompts).transpose()?;
    let Model { config, tokenizer, weights, .. } = Model::open(&args.run, Heads::None)?;
    let encoded = match &prompts {
        // What is typed is not known yet.
        None if args.interactive => Vec::new(),
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
    let executor = executor.as_mut();
    let rows = if prompts.is_some() { ROWS } else { 1 };
    let generator = Generator::with_rows(executor, &config, rows)?;
    let mut writer = Writer { executor, generator, tokenizer: &tokenizer, args: &args };
    let Some(prompts) = prompts else {
        if args.interactive {
            return interactive::run(&mut writer);
        }
        // What could not be written, because the disk is full or the reader went away, is told at the end.
        if output::part(&args.prompt).is_break() {
            return Ok(());
        }
        writer.write(encoded, args.seed, |_, part| output::part(part))?;
        outln!("");
        return Ok(());
    };
    writer.write_lines(&prompts, encoded)
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

/// A text that is being written.
struct Text<'a> {
    stream: TextStream,
    stops: Stops<'a>,
    ended: bool,
}

impl Text<'_> {
    /// Hands on what can be told of the text so far.
    fn pass(
        &mut self,
        text: &str,
        mut each: impl FnMut(&str) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (text, has_stopped) = self.stops.push(text);
        self.ended |= each(&text).is_break() || has_stopped;
        if self.ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Writer<'_> {
    /// Goes on with these prompts, each with a seed of its own from `seed` on. Hands on text as it is drawn, with the
    /// index of its prompt, until the text's end, a stop text, or a break of `each`.
    fn write(
        &mut self,
        prompts: Vec<Vec<u32>>,
        seed: u64,
        mut each: impl FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<()> {
        let GenerateArgs { temperature, top_k, top_p, max_tokens, stop, .. } = self.args;
        let mut texts: Vec<Text<'_>> = prompts
            .iter()
            .map(|prompt| Text {
                stream: TextStream::after(self.tokenizer, prompt),
                stops: Stops::at(stop),
                ended: false,
            })
            .collect();
        let sampling =
            |seed| Sampling { temperature: *temperature, top_k: *top_k, top_p: *top_p, seed };
        let prompts = prompts.into_iter().zip(seed..).map(|(it, seed)| (it, sampling(seed)));
        self.generator.generate(
            self.executor,
            prompts.collect(),
            *max_tokens,
            self.tokenizer,
            |index, token| {
                let part = texts[index].stream.push(token);
                texts[index].pass(&part, |part| each(index, part))
            },
        )?;
        for (index, text) in texts.iter_mut().enumerate().filter(|(_, text)| !text.ended) {
            let part = text.stream.finish();
            if text.pass(&part, |part| each(index, part)).is_continue() {
                let _ = each(index, &text.stops.finish());
            }
        }
        Ok(())
    }

    /// Goes on with the prompts of a file, [`ROWS`] at a time, and writes a JSON object a prompt.
    fn write_lines(&mut self, prompts: &[String], encoded: Vec<Vec<u32>>) -> Result<()> {
        let mut encoded = encoded.into_iter();
        for (group, prompts) in prompts.chunks(ROWS).enumerate() {
            let mut texts = vec![String::new(); prompts.len()];
            // Each its own draws, and the same ones whatever else is in the file.
            let seed = self.args.seed + (group * ROWS) as u64;
            self.write(encoded.by_ref().take(ROWS).collect(), seed, |index, part| {
                texts[index] += part;
                ControlFlow::Continue(())
            })?;
            for (prompt, text) in prompts.iter().zip(&texts) {
                outln!("{}", serde_json::to_string(&Continued { prompt, text })?);
            }
        }
        Ok(())
    }
}
