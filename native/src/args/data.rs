//! Options of `data`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::TextArgs;

const PREPARE: &str = "\
Example:
  nitp data prepare --data texts/ --tokenizer tokenizer.json --out tokens
  nitp train --data tokens --set data.tokenizer=tokens/tokenizer.json --set model.vocab_size=32000

A preparation that was stopped goes on where it stopped, with the same command.";

/// Commands for the text of runs.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Tokenise texts of any size into a folder of token shards, which `train --data` maps into memory
    #[command(after_help = PREPARE)]
    Prepare(PrepareArgs),
    /// Check a prepared folder against its digests, and show its counts
    Info {
        /// The prepared folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Print the index, a JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Options of `data prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The text
    #[command(flatten)]
    pub text: TextArgs,
    /// A tokenizer.json, or the word `byte`
    #[arg(long, value_name = "tokenizer.json")]
    pub tokenizer: PathBuf,
    /// The token that ends a document, by its content; `auto` takes the special token with a usual name, `none` no token
    #[arg(long, value_name = "TOKEN", default_value = "auto")]
    pub end_of_text: String,
    /// The folder for the shards: new, empty, or of a preparation that was stopped
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Tokens of a shard
    #[arg(long, value_name = "N", default_value_t = 1 << 24, value_parser = shard_tokens)]
    pub shard_tokens: usize,
}

fn shard_tokens(text: &str) -> Result<usize, String> {
    /// Below, shards are more work than text; above, they take much memory.
    const POSSIBLE: RangeInclusive<usize> = 1000..=1 << 28;
    match text.parse() {
        Ok(tokens) if POSSIBLE.contains(&tokens) => Ok(tokens),
        _ => Err(format!("it must be a number from {} to {}", POSSIBLE.start(), POSSIBLE.end())),
    }
}
