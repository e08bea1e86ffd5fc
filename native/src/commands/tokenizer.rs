//! `nitp tokenizer`.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use indicatif::HumanCount;
use nitp_core::data::Tokenizer;
use nitp_core::data::tokenizer_training::train_bpe;
use npyz::WriterBuilder;

use crate::args::{TextArgs, TokenizerCommand};
use crate::output::{errln, outln, quoted};
use crate::progress::thousands;
use nitp_files::documents::{self, Named, Part};
use nitp_files::whole_file;

/// Trains a tokenizer, or uses one.
pub fn run(command: TokenizerCommand) -> Result<()> {
    match command {
        TokenizerCommand::Train { text, vocab_size, out } => train(&text, vocab_size, &out),
        TokenizerCommand::Encode { tokenizer, text, out } => {
            encode(&tokenizer, &text, out.as_deref())
        }
    }
}

fn train(text: &TextArgs, vocab_size: usize, out: &Path) -> Result<()> {
    check_absent(out, "and runs may use it")?;
    let texts = read(text)?;
    let json = train_bpe(texts.iter().map(String::as_str), vocab_size)?;
    whole_file::write(out, json.as_bytes())?;
    let encoded = Tokenizer::from_json(&json)?.encode_all(&texts)?;
    outln!(
        "{}: {} tokens; the text's {}.",
        out.display(),
        thousands(vocab_size as f64),
        lengths(&texts, &encoded)
    );
    outln!(
        "Train with it: --set data.tokenizer={} --set model.vocab_size={vocab_size}",
        quoted(out)
    );
    Ok(())
}

fn encode(tokenizer: &Path, text: &TextArgs, out: Option<&Path>) -> Result<()> {
    if let Some(out) = out {
        check_absent(out, "and is not overwritten")?;
    }
    let tokenizer = super::data::tokenizer(tokenizer)?;
    let texts = read(text)?;
    let encoded = tokenizer.encode_all(&texts)?;
    warn_of_loss(&tokenizer, &texts, &encoded);
    let documents = HumanCount(texts.len() as u64);
    let (s, its) = if texts.len() == 1 { ("", "its") } else { ("s", "their") };
    outln!("{documents} document{s}; {its} {}.", lengths(&texts, &encoded));
    if let Some(out) = out {
        let ids = encoded.concat();
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(&[ids.len() as u64]);
        let mut array = options.writer(&mut bytes).begin_nd()?;
        array.extend(ids)?;
        array.finish()?;
        whole_file::write(out, &bytes)?;
    }
    Ok(())
}

/// Tells of text that no token holds.
fn warn_of_loss(tokenizer: &Tokenizer, texts: &[String], encoded: &[Vec<u32>]) {
    let unknown = encoded.iter().flatten().filter(|&&id| Some(id) == tokenizer.unknown()).count();
    if unknown > 0 {
        errln!("warning: {} of the tokens are the unknown token", HumanCount(unknown as u64));
    }
    let left_out: u64 = texts.iter().flat_map(|text| tokenizer.left_out(text).into_values()).sum();
    if left_out > 0 {
        errln!(
            "warning: {} characters of the text have no token, and were left out",
            HumanCount(left_out)
        );
    }
}

/// Checks that nothing exists at `out`; `why` says what is wrong with an existing file.
fn check_absent(out: &Path, why: &str) -> Result<()> {
    ensure!(!out.exists(), "{} exists already, {why}: give another --out", out.display());
    Ok(())
}

/// Every document of these files and folders.
fn read(TextArgs { data, text_column }: &TextArgs) -> Result<Vec<String>> {
    let mut texts: Vec<String> = Vec::new();
    let warn = |text: String| errln!("warning: {text}");
    let found = documents::find(data, Named::Now)?;
    found.notes.into_iter().for_each(warn);
    for source in found.sources {
        // Whether the last text goes on.
        let mut is_open = false;
        let keep = |part| match part {
            Part::Texts { texts: some, continues } => {
                let mut some = some.into_iter();
                if std::mem::replace(&mut is_open, continues)
                    && let (Some(text), Some(next)) = (texts.last_mut(), some.next())
                {
                    *text += &next;
                }
                texts.extend(some);
                Ok(())
            }
            Part::Tokens { .. } => {
                bail!("{} holds token ids: give the text itself", source.name())
            }
        };
        let (_, changes) = documents::read(&source, text_column.as_deref(), keep)?;
        changes.told().for_each(warn);
    }
    Ok(texts)
}

/// How long the texts are, in bytes and in tokens.
fn lengths(texts: &[String], encoded: &[Vec<u32>]) -> String {
    let bytes: usize = texts.iter().map(String::len).sum();
    let tokens: usize = encoded.iter().map(Vec::len).sum();
    format!(
        "{} bytes become {} ({:.2} bytes a token)",
        thousands(bytes as f64),
        thousands(tokens as f64),
        bytes as f64 / tokens.max(1) as f64
    )
}
