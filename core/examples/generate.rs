//! Loads what the example `train` saved, and goes on with a text.
//!
//! ```sh
//! cargo run --release -p nitp-core --example generate -- trained "The "
//! ```

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};
use nitp_core::config::Config;
use nitp_core::cpu::CpuExecutor;
use nitp_core::data::{TextStream, Tokenizer};
use nitp_core::model::{parameter_layout, parameters};
use nitp_core::plan::Limits;
use nitp_core::train::{Generator, Sampling, initialize, read_weights};

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("usage: generate FOLDER PROMPT")?);
    let prompt = arguments.next().context("usage: generate FOLDER PROMPT")?;

    let config = Config::from_toml(&fs::read_to_string(folder.join("config.toml"))?)?;
    let bytes = fs::read(folder.join("model.safetensors"))?;
    let weights = read_weights("model.safetensors", &config, &bytes)?;
    let mut executor = CpuExecutor::fast(parameter_layout(&config, Limits::NONE)?);
    initialize(&mut executor, &parameters(&config), 0, &weights)?;

    let tokenizer = Tokenizer::new("byte", config.model.vocab_size)?;
    let tokens = tokenizer.encode_prompt(&prompt)?;
    // Characters may be several tokens: text is shown as soon as it is whole.
    let mut stream = TextStream::after(&tokenizer, &tokens);
    let mut generator = Generator::new(&mut executor, &config)?;
    print!("{prompt}");
    let prompts = vec![(tokens, Sampling::default())];
    generator.generate(&mut executor, prompts, 200, &tokenizer, |_, token| {
        let text = match token {
            Some(token) => stream.push(token),
            None => stream.finish(),
        };
        print!("{text}");
        match io::stdout().flush() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    println!();
    Ok(())
}
