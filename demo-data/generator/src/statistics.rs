//! What the corpus is like, in numbers, as the README shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context, Result, anyhow};
use flate2::{Compression, write::GzEncoder};

use super::corpus::{Record, overlap};
use super::tasks::Task;

/// The lines of the README between which the measured section stands.
const BEGIN: &str = "<!-- measured: begin (written by cargo xtask demo-data) -->";
const END: &str = "<!-- measured: end -->";

/// The README with its measured section renewed.
pub fn replace_section(readme: &str, section: &str) -> Result<String> {
    let (before, rest) = readme
        .split_once(BEGIN)
        .with_context(|| format!("demo-data/README.md has lost its line {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("demo-data/README.md has lost its line {END}"))?;
    Ok(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// Size, variety and label counts as Markdown.
pub fn markdown(records: &[Record], corpus: &str, tokenizer: &str) -> Result<String> {
    let texts: Vec<&str> = records.iter().map(|r| r.text.as_str()).collect();
    let text = texts.join("\n");
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphabetic() && c != '\'')
        .map(|word| word.trim_matches('\'').to_ascii_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let sentences: Vec<&str> = texts.iter().flat_map(|text| sentences(text)).collect();
    let distinct_words = words.iter().collect::<BTreeSet<_>>().len();
    let distinct_sentences = sentences.iter().collect::<BTreeSet<_>>().len();
    let openings: BTreeSet<String> =
        texts.iter().map(|text| text.split(' ').take(5).collect::<Vec<_>>().join(" ")).collect();
    let gzip = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes())?;
        encoder.finish()?.len()
    };
    let tokens = {
        let tokenizer: tokenizers::Tokenizer = tokenizer.parse().map_err(|e| anyhow!("{e}"))?;
        let encodings = tokenizer.encode_batch(texts.clone(), false).map_err(|e| anyhow!("{e}"))?;
        encodings.iter().map(|e| e.len()).sum::<usize>()
    };
    let overlaps = pair_overlaps(records);

    let mut out = String::new();
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
    writeln!(out, "| | |\n| --- | --- |")?;
    writeln!(out, "| scenes | {} |", records.len())?;
    writeln!(out, "| bytes of corpus.jsonl | {} |", corpus.len())?;
    writeln!(out, "| bytes of text | {} |", text.len())?;
    writeln!(out, "| words | {}, {distinct_words} of them distinct |", words.len())?;
    writeln!(
        out,
        "| sentences | {}, {distinct_sentences} of them distinct ({:.0}%) |",
        sentences.len(),
        percent(distinct_sentences, sentences.len())
    )?;
    writeln!(out, "| distinct first five words | {} |", openings.len())?;
    writeln!(
        out,
        "| gzip -9 of the text | {:.2} bits a byte |",
        8.0 * gzip as f64 / text.len() as f64
    )?;
    writeln!(
        out,
        "| tokens of tokenizer.json | {tokens}, {:.2} bytes each |",
        text.len() as f64 / tokens as f64
    )?;
    writeln!(
        out,
        "| paraphrase pairs | {}, sharing {:.0}% of their word bigrams on average |",
        overlaps.len(),
        100.0 * overlaps.iter().sum::<f64>() / overlaps.len() as f64
    )?;
    writeln!(out, "\n| label | values with their counts |\n| --- | --- |")?;
    type Label = (&'static str, fn(&Record) -> &String);
    let labels: [Label; 6] = [
        ("topic", |r| &r.topic),
        ("mood", |r| &r.mood),
        ("speaker", |r| &r.speaker),
        ("place", |r| &r.place),
        ("season", |r| &r.season),
        ("weather", |r| &r.weather),
    ];
    for (name, label) in labels {
        writeln!(out, "| {name} | {} |", counts(records.iter().map(label)))?;
    }
    let senses = records.iter().flat_map(|r| &r.senses);
    let senses: Vec<String> = senses.map(|s| format!("{} ({})", s.word, s.sense)).collect();
    writeln!(out, "| senses | {} |", counts(senses.iter()))?;
    Ok(out)
}

/// Size and baselines of each task as Markdown.
pub fn of_tasks(tasks: &[Task]) -> Result<String> {
    let mut out = "\n| task | items | choices | chance | majority | bytes |\n".to_owned();
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
    for task in tasks {
        let items = &task.items;
        let choices = items[0].choices.len();
        let at = |place: usize| items.iter().filter(|it| it.answer == place).count();
        let most = (0..choices).map(at).max().unwrap_or(0);
        writeln!(
            out,
            "| {} | {} | {choices} | {:.1} % | {:.1} % | {} |",
            task.name,
            items.len(),
            100.0 / choices as f64,
            100.0 * most as f64 / items.len() as f64,
            task.to_jsonl()?.len()
        )?;
    }
    Ok(out)
}

fn counts<'a>(values: impl Iterator<Item = &'a String>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let rows: Vec<String> = counts.iter().map(|(value, n)| format!("{value} {n}")).collect();
    rows.join(", ")
}

/// The sentences of a text, closing quotation marks included.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(' ') {
        let before = text[start..at].trim_end_matches('"');
        if before.ends_with(['.', '!', '?'])
            && text[at + 1..].starts_with(|c: char| c.is_uppercase() || c == '"')
        {
            sentences.push(&text[start..at]);
            start = at + 1;
        }
    }
    sentences.push(&text[start..]);
    sentences
}

/// The overlap of each paraphrase pair.
pub fn pair_overlaps(records: &[Record]) -> Vec<f64> {
    let mut first: BTreeMap<usize, &str> = BTreeMap::new();
    let mut overlaps = Vec::new();
    for record in records {
        let Some(pair) = record.pair else { continue };
        match first.insert(pair, &record.text) {
            None => {}
            Some(other) => overlaps.push(overlap(other, &record.text)),
        }
    }
    overlaps
}
