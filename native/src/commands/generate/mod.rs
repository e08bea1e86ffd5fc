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

/// Texts of a file that are written side by side. The number is fixed, so that the text of a dense model does not depend
/// on how many prompts there are. (An expert's tokens are multiplied together, so a mixture's numbers may differ in their
/// last bits.)
const ROWS: usize = 8;

/// Writes text as it is drawn; of a file of prompts, a line a prompt.
pub fn run(args: GenerateArgs) -> Result<()> {
    ensure!(
        args.stop.iter().all(|stop| !stop.is_empty()),
        "--stop \"\": an empty text is everywhere, so nothing would be written"
    );
    let prompts = args.prompts.as_deref().map(read_prompts).transpose()?;
    let Model { config, tokenizer, weights, .. } = Model::open(&args.run, Heads::None)?;
    let context = config.train.context_length;
    let encoded = match &prompts {
        // What is typed is not known yet.
        None if args.interactive => Vec::new(),
        None => vec![encode(&tokenizer, &args.prompt, context)?],
        Some(prompts) => (1..)
            .zip(prompts)
            .map(|(line, prompt)| {
                encode(&tokenizer, prompt, context).with_context(|| format!("prompt {line}"))
            })
            .collect::<Result<_>>()?,
    };
    let mut executor = device::choose(&args.device)?.device.executor(&config)?;
    write_weights(executor.as_mut(), &config, &weights)?;
    let executor = executor.as_mut();
    let rows = if prompts.is_some() { ROWS } else { 1 };
    let generator = Generator::with_rows(executor, &config, rows)?;
    let mut writer = Writer { executor, generator, tokenizer: &tokenizer, args: &args };
    if args.interactive {
        return interactive::run(&mut writer, context);
    }
    if let Some(prompts) = prompts {
        return writer.write_lines(&prompts, encoded);
    }
    // What could not be written, because the disk is full or the reader went away, is told at the end.
    if output::part(&args.prompt).is_break() {
        return Ok(());
    }
    writer.write(encoded, args.seed, |_, told| {
        told.part.map_or(ControlFlow::Continue(()), output::part)
    })?;
    outln!("");
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

/// The tokens of a prompt; a warning tells of text that the model will not see.
fn encode(tokenizer: &Tokenizer, prompt: &str, context: usize) -> Result<Vec<u32>> {
    let tokens = tokenizer.encode_prompt(prompt)?;
    let unknown = tokens.iter().filter(|&&token| Some(token) == tokenizer.unknown()).count();
    if unknown > 0 {
        errln!(
            "warning: {unknown} of the prompt's {} tokens are the unknown token: the model doesn't \
             see that text",
            tokens.len()
        );
    }
    if tokens.len() > context {
        errln!(
            "warning: the prompt has {} tokens, and the model sees at most {context} \
             (train.context_length): it will not see the beginning",
            tokens.len()
        );
    }
    ensure!(
        !tokens.is_empty() || tokenizer.end_of_text().is_some(),
        "the tokenizer has no token that begins a text: give a prompt"
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

/// News of a text.
struct Told<'a> {
    /// The token that was drawn; none at the end of the text.
    token: Option<u32>,
    /// What can be shown of the text now; nothing more after a stop text.
    part: Option<&'a str>,
}

/// A text that is being written.
struct Text<'a> {
    stream: TextStream,
    stops: Stops<'a>,
    has_stopped: bool,
}

impl Text<'_> {
    /// What can be shown after this token, or at the end.
    fn push(&mut self, token: Option<u32>) -> Option<String> {
        if self.has_stopped {
            return None;
        }
        let text = match token {
            Some(token) => self.stream.push(token),
            None => self.stream.finish(),
        };
        let (mut part, has_stopped) = self.stops.push(&text);
        self.has_stopped = has_stopped;
        if token.is_none() && !has_stopped {
            part += &self.stops.finish();
        }
        Some(part)
    }
}

impl Writer<'_> {
    /// Goes on with these prompts, each with a seed of its own from `seed` on, until its end, a stop text, or a break of
    /// `each`, which gets the index of a prompt with its news. A break at the end of a text ends all.
    fn write(
        &mut self,
        prompts: Vec<Vec<u32>>,
        seed: u64,
        mut each: impl FnMut(usize, Told<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let GenerateArgs { temperature, top_k, top_p, max_tokens, stop, .. } = self.args;
        let mut texts: Vec<Text<'_>> = prompts
            .iter()
            .map(|prompt| Text {
                stream: TextStream::after(self.tokenizer, prompt),
                stops: Stops::at(stop),
                has_stopped: false,
            })
            .collect();
        let prompts = (0..).zip(prompts).map(|(index, prompt)| {
            let seed = seed.wrapping_add(index);
            let sampling =
                Sampling { temperature: *temperature, top_k: *top_k, top_p: *top_p, seed };
            (prompt, sampling)
        });
        self.generator.generate(
            self.executor,
            prompts.collect(),
            *max_tokens,
            self.tokenizer,
            |index, token| {
                let text = &mut texts[index];
                let part = text.push(token);
                let flow = each(index, Told { token, part: part.as_deref() });
                // At the end, a stop text ends no other text.
                if text.has_stopped && token.is_some() { ControlFlow::Break(()) } else { flow }
            },
        )?;
        Ok(())
    }

    /// Goes on with the prompts of a file, and writes a JSON object a prompt, in the order of the file.
    fn write_lines(&mut self, prompts: &[String], encoded: Vec<Vec<u32>>) -> Result<()> {
        let mut texts: Vec<(String, bool)> = vec![Default::default(); prompts.len()];
        let mut written = 0;
        // Each its own draws, and the same ones whatever else is in the file.
        self.write(encoded, self.args.seed, |index, Told { token, part }| {
            let (text, has_ended) = &mut texts[index];
            text.push_str(part.unwrap_or_default());
            *has_ended = token.is_none();
            while let Some((text, true)) = texts.get(written) {
                let line = Continued { prompt: &prompts[written], text };
                let line = serde_json::to_string(&line).expect("two texts are JSON");
                // Nobody reads what comes after a line that could not be written.
                output::part(&(line + "\n"))?;
                written += 1;
            }
            ControlFlow::Continue(())
        })
    }
}
