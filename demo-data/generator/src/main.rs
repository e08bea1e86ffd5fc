//! `cargo xtask demo-data` runs this: the corpus of Tarnmouth, its tokenizer and its tasks, the same bytes from the same
//! seed.

mod corpus;
mod mentions;
mod moods;
mod people;
mod places;
mod plots;
mod polish;
mod scene;
mod senses;
mod statistics;
mod tasks;
mod template;
#[cfg(test)]
mod tests;
mod voice;

use std::path::PathBuf;

use anyhow::{Context, Result};
use nitp_core::data::tokenizer_training::train_bpe;

/// Entries of the committed tokenizer, `<|endoftext|>` included.
const VOCAB_SIZE: usize = 1024;

/// What the command writes, as text.
struct DemoData {
    corpus: String,
    tokenizer: String,
    tasks: Vec<tasks::Task>,
    /// A Markdown section that the README of demo-data holds word for word.
    statistics: String,
}

impl DemoData {
    fn generate(seed: u64) -> Result<Self> {
        let records = corpus::generate(seed)?;
        let corpus = corpus::to_jsonl(&records)?;
        let texts = records.iter().map(|record| record.text.clone());
        let tokenizer = train_bpe(texts, VOCAB_SIZE).context("training the demo tokenizer")?;
        let tasks = tasks::generate(records.iter().map(|record| record.text.as_str()))?;
        let statistics =
            statistics::markdown(&records, &corpus, &tokenizer)? + &statistics::of_tasks(&tasks)?;
        Ok(Self { corpus, tokenizer, tasks, statistics })
    }
}

/// The folder demo-data.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes `corpus.jsonl`, `tokenizer.json` and `tasks`, and renews the measured section of the README.
fn main() -> Result<()> {
    let data = DemoData::generate(corpus::SEED)?;
    let write = |name: &str, text: &str| {
        let path = folder().join(name);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("writing {}", path.display()))
    };
    write("corpus.jsonl", &data.corpus)?;
    write("tokenizer.json", &data.tokenizer)?;
    for task in &data.tasks {
        write(&format!("tasks/{}.jsonl", task.name), &task.to_jsonl()?)?;
    }
    let readme = folder().join("README.md");
    let text = std::fs::read_to_string(&readme)
        .with_context(|| format!("reading {}", readme.display()))?;
    write("README.md", &statistics::replace_section(&text, &data.statistics)?)?;
    println!("{}", data.statistics);
    Ok(())
}
