//! Times `prepared::prepare` against the `tokenizers` crate alone, which encodes the same documents in batches that are
//! in memory already: in turns, on the same cores. The text is the given files' documents, repeated up to a size.
//!
//! cargo run --release -p nitp-files --example prepare_speed -- --tokenizer tokenizer.json --megabytes 1000 FILE...

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use nitp_core::data::Tokenizer;
use nitp_files::documents::{self, Named, Part};
use nitp_files::prepared::{Options, prepare};

/// Times the preparation of text.
#[derive(Parser)]
struct Args {
    /// Files of text
    #[arg(required = true)]
    text: Vec<PathBuf>,
    /// A tokenizer.json
    #[arg(long)]
    tokenizer: PathBuf,
    /// Size of the text
    #[arg(long, default_value_t = 100)]
    megabytes: usize,
    /// Divide the texts into documents of about this many bytes, at line breaks
    #[arg(long, default_value_t = 4000)]
    document: usize,
    /// Number of timings of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let json = std::fs::read_to_string(&args.tokenizer)?;
    let tokenizer = Tokenizer::from_json(&json)?;
    let alone: tokenizers::Tokenizer = json.parse().map_err(|error| anyhow!("{error}"))?;
    let documents = documents(&args)?;
    let mut bytes = 0;
    let repeated: Vec<&str> = documents
        .iter()
        .map(String::as_str)
        .cycle()
        .take_while(|document| {
            bytes += document.len();
            bytes <= args.megabytes * 1_000_000
        })
        .collect();
    let bytes: usize = repeated.iter().map(|it| it.len()).sum();
    println!("{} documents, {:.1} MB", repeated.len(), bytes as f64 / 1e6);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("text.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    for document in &repeated {
        serde_json::to_writer(&mut file, &serde_json::json!({ "text": document }))?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    let options = Options {
        tokenizer: &tokenizer,
        keep_tokenizer: true,
        text_column: None,
        shard_tokens: 1 << 24,
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let begun = Instant::now();
        let mut count = 0;
        // Each batch is dropped, so that memory does not hold all encodings.
        for batch in repeated.chunks(1000) {
            let encoded = alone.encode_batch_fast(batch.to_vec(), false);
            let encoded = encoded.map_err(|error| anyhow!("{error}"))?;
            count += encoded.iter().map(|it| it.get_ids().len() as u64).sum::<u64>();
        }
        theirs.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let sources = documents::find(&[&path], Named::Now)?.sources;
        let out = folder.path().join(format!("tokens-{round}"));
        let index = prepare(&sources, &out, &options, |_| {}, |_| {})?;
        ours.push(begun.elapsed().as_secs_f64());
        let ends = if index.end_of_text.is_some() { index.documents } else { 0 };
        ensure!(index.tokens == count + ends, "{} tokens, not {}", index.tokens, count + ends);
        std::fs::remove_dir_all(&out).context("removing the shards")?;
        let speed = |seconds: &[f64]| bytes as f64 / 1e6 / seconds[round];
        println!(
            "round {round}: tokenizers alone {:.2} MB/s, prepare {:.2} MB/s, ratio {:.3}",
            speed(&theirs),
            speed(&ours),
            speed(&ours) / speed(&theirs)
        );
    }
    println!("median of {}: ratio {:.3}", args.rounds, median(theirs) / median(ours));
    Ok(())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn documents(args: &Args) -> Result<Vec<String>> {
    let mut documents = Vec::new();
    for source in &documents::find(&args.text, Named::Now)?.sources {
        documents::read(source, None, |part| {
            if let Part::Texts { texts, .. } = part {
                documents.extend(texts.iter().flat_map(|text| divided(text, args.document)));
            }
            Ok(())
        })?;
    }
    Ok(documents)
}

fn divided(text: &str, size: usize) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if documents.last().is_some_and(|last| last.len() >= size) {
            documents.push(String::new());
        }
        documents.last_mut().expect("there is one").push_str(line);
    }
    documents
}
