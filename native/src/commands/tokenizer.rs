//! `nitp tokenizer train`.

use anyhow::{Result, bail, ensure};
use nitp_core::data::Tokenizer;
use nitp_core::data::tokenizer_training::train_bpe;

use crate::args::TokenizerCommand;
use crate::documents::{self, Named, Part};
use crate::output::{outln, quoted};
use crate::progress::thousands;
use crate::whole_file;

/// Trains a tokenizer.
pub fn run(command: TokenizerCommand) -> Result<()> {
    let TokenizerCommand::Train { data, text_column, vocab_size, out } = command;
    ensure!(
        !out.exists(),
        "{} exists already, and runs may use it: give another --out",
        out.display()
    );
    let mut texts: Vec<String> = Vec::new();
    let warn = |text: String| crate::output::errln!("warning: {text}");
    let found = documents::find(&data, Named::Now)?;
    found.notes.into_iter().for_each(warn);
    for source in found.sources {
        let keep = |part| match part {
            Part::Texts(some) => {
                texts.extend(some);
                Ok(())
            }
            Part::Tokens { .. } => bail!(
                "{} holds token ids, and a tokenizer is trained on text: give the text itself",
                source.name()
            ),
        };
        let (_, changes) = documents::read(&source, text_column.as_deref(), keep)?;
        changes.told().for_each(warn);
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let json = train_bpe(texts.iter().map(String::as_str), vocab_size)?;
    whole_file::write(&out, json.as_bytes())?;
    let encoded = Tokenizer::from_json(&json)?.encode_all(&texts)?;
    let tokens: usize = encoded.iter().map(Vec::len).sum();
    outln!(
        "{}: {} tokens; the text's {} bytes become {} ({:.2} bytes a token).",
        out.display(),
        thousands(vocab_size as f64),
        thousands(bytes as f64),
        thousands(tokens as f64),
        bytes as f64 / tokens as f64
    );
    outln!(
        "Train with it: --set data.tokenizer={} --set model.vocab_size={vocab_size}",
        quoted(&out)
    );
    Ok(())
}
