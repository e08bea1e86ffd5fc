//! Trains a small model on a text file, and saves it.
//!
//! ```sh
//! cargo run --release -p nitp-core --example train -- book.txt trained
//! ```

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};
use nitp_core::config::{load, preset};
use nitp_core::cpu::CpuExecutor;
use nitp_core::data::{Dataset, TokenCorpus, Tokenizer};
use nitp_core::model::parameter_layout;
use nitp_core::plan::Limits;
use nitp_core::train::{Event, Start, Trainer};

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let text = arguments.next().context("usage: train TEXT-FILE FOLDER")?;
    let folder = PathBuf::from(arguments.next().context("usage: train TEXT-FILE FOLDER")?);
    let config = load(preset("nano")?, None, &["train.steps=200".to_owned()])?;

    // Bytes as tokens, and one document.
    let tokenizer = Tokenizer::new("byte", config.model.vocab_size)?;
    let text = fs::read_to_string(&text).with_context(|| format!("reading {text}"))?;
    let corpus = TokenCorpus::from_texts(&tokenizer, [text.as_str()])?;
    let dataset = Dataset::new(&config, &tokenizer, corpus)?;

    let executor = CpuExecutor::fast(parameter_layout(&config, Limits::NONE)?);
    let mut trainer = Trainer::new(&config, Box::new(executor), Box::new(dataset), Start::Seed)?;
    let mut newest = None;
    trainer.run(|_, event| {
        match event {
            Event::Evaluation(it) => {
                println!("step {:4}: held-out loss {:.3}", it.step, it.val_loss)
            }
            Event::Checkpoint(it) => newest = Some(it.checkpoint),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;

    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), config.to_toml())?;
    for (name, bytes) in newest.context("a run ends with a checkpoint")?.to_files() {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
