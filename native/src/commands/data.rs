//! `nitp data`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressStyle};
use nitp_core::config::BYTE_TOKENIZER;
use nitp_core::data::Tokenizer;
use nitp_files::documents::{self, Named, Source};
use nitp_files::prepared::{self, Index, Options, Progress, TOKENIZER};

use crate::args::{DataCommand, PrepareArgs, TextArgs};
use crate::output::{errln, outln, quoted};
use crate::progress::{short, thousands};

/// Most files of a text that are listed.
const MOST_SOURCES: usize = 20;

/// Prepares text, or describes prepared text.
pub fn run(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Prepare(args) => prepare(&args),
        DataCommand::Info { folder, json } => info(&folder, json),
    }
}

fn prepare(args: &PrepareArgs) -> Result<()> {
    let TextArgs { data, text_column } = &args.text;
    let tokenizer = tokenizer(&args.tokenizer)?.with_end_of_text(&args.end_of_text)?;
    let found = documents::find(data, Named::Now)?;
    found.notes.iter().for_each(|note| errln!("warning: {note}"));
    let options = Options {
        tokenizer: &tokenizer,
        keep_tokenizer: !is_byte(&args.tokenizer),
        text_column: text_column.as_deref(),
        shard_tokens: args.shard_tokens,
    };
    let sizes: Vec<u64> = found.sources.iter().map(Source::size).collect::<Result<_>>()?;
    let size = sizes.iter().sum();
    let bar = bar(size);
    let begun = Instant::now();
    let told = |Progress { bytes, tokens }| {
        // Some pages are read twice.
        bar.set_position(bytes.min(size));
        bar.set_message(format!("{} tokens", short(tokens as f64)));
    };
    let warn = |note: String| bar.suspend(|| errln!("warning: {note}"));
    let index = prepared::prepare(&found.sources, &args.out, &options, told, warn);
    bar.finish_and_clear();
    let index = index?;
    index.notes.iter().for_each(|note| errln!("warning: {note}"));
    let out = quoted(&args.out);
    outln!(
        "{}: {}, in {}.\n",
        args.out.display(),
        counts(&index),
        HumanDuration(begun.elapsed().max(Duration::from_secs(1)))
    );
    let tokenizer = match options.keep_tokenizer {
        true => quoted(&args.out.join(TOKENIZER)),
        false => BYTE_TOKENIZER.to_owned(),
    };
    let end_of_text = match args.end_of_text.as_str() {
        "auto" => String::new(),
        other => format!(" --set data.end_of_text={}", quoted(Path::new(other))),
    };
    outln!(
        "Train on them: nitp train --data {out} --set data.tokenizer={tokenizer}{end_of_text} \\"
    );
    outln!("    --set model.vocab_size={}", index.vocab_size);
    Ok(())
}

fn is_byte(tokenizer: &Path) -> bool {
    tokenizer.as_os_str() == BYTE_TOKENIZER
}

/// The tokenizer of an option: `byte`, or a file.
pub fn tokenizer(path: &Path) -> Result<Tokenizer> {
    if is_byte(path) {
        return Ok(Tokenizer::new(BYTE_TOKENIZER, usize::MAX)?);
    }
    let named = || format!("reading {}", path.display());
    let json = fs::read_to_string(path).with_context(named)?;
    Tokenizer::from_json(&json).with_context(named)
}

fn bar(bytes: u64) -> ProgressBar {
    let template = "{bar:24.cyan/dim} {decimal_bytes} of {decimal_total_bytes}  \
                    {decimal_bytes_per_sec}  {msg}  ETA {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    let bar = ProgressBar::new(bytes).with_style(style.progress_chars("━╸─"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn counts(index: &Index) -> String {
    let plural = |count: u64, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", thousands(count as f64)),
    };
    format!(
        "{} in {}, in {}",
        plural(index.tokens, "token"),
        plural(index.documents, "document"),
        plural(index.shards.len() as u64, "shard")
    )
}

fn info(folder: &Path, json: bool) -> Result<()> {
    let index = prepared::check(folder)?;
    if json {
        outln!("{}", serde_json::to_string_pretty(&index)?);
        return Ok(());
    }
    let bytes: u64 = index.shards.iter().map(|shard| shard.bytes).sum();
    outln!("{}: {}, {}\n", folder.display(), counts(&index), DecimalBytes(bytes));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["file", "text", "tokens", "documents"]);
    for source in index.sources.iter().take(MOST_SOURCES) {
        table.add_row([
            source.name.clone(),
            DecimalBytes(source.text_bytes).to_string(),
            thousands(source.tokens as f64),
            thousands(source.documents as f64),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    outln!("{table}");
    if index.sources.len() > MOST_SOURCES {
        outln!("... and {} more files", index.sources.len() - MOST_SOURCES);
    }
    index.notes.iter().for_each(|note| outln!("\nnote: {note}"));
    outln!("\nEvery shard agrees with its digest. The vocabulary has {} tokens.", index.vocab_size);
    Ok(())
}
