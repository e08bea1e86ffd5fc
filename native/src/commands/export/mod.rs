//! `nitp export`: a model in transformers' format.

mod card;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::Config;
use nitp_core::hugging_face::{ElementType, Export, describe, file};
use serde_json::{Value, json};

use crate::args::{ExportArgs, WeightType};
use crate::model::{Heads, Model};
use crate::output::{outln, quoted};
use crate::progress::{short, with_prefix};

/// Writes a model.
///
/// # Errors
/// A run that can't be read, a folder that is not empty, errors of the file system.
pub fn run(args: &ExportArgs) -> Result<()> {
    check_new_or_empty(&args.run, &args.out)?;
    let model = Model::open(&args.run, Heads::None)?;
    let element_type = match args.dtype {
        WeightType::F32 => ElementType::F32,
        WeightType::F16 => ElementType::F16,
        WeightType::Bf16 => ElementType::Bf16,
    };
    let card = card::card(&args.run, &model)?;
    let Model { config, tokenizer, weights, kept, state, .. } = model;
    let is_trained = state.is_some_and(|state| state.step > 0);
    let export = Export::new(&config, weights, element_type)?;
    let shards = export.shards(usize::try_from(args.shard_size.saturating_mul(1_000_000))?);
    let end_of_text = tokenizer.end_of_text();
    let content = end_of_text.and_then(|id| tokenizer.token(id));
    let texts = export.texts(&shards, end_of_text.zip(content.as_deref()));

    // Written under a temporary name next to its place, so that it appears whole or not at all.
    let parent = args.out.parent().filter(|it| !it.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let beside = tempfile::Builder::new().prefix(".nitp-export-").tempdir_in(parent);
    let beside = beside.with_context(|| format!("writing in {}", parent.display()))?;
    // In a new folder within the temporary one, so that it has the permissions of new folders.
    let written = beside.path().join("model");
    fs::create_dir(&written)?;
    let mut bytes = 0;
    let mut write = |name: &str, content: &[u8]| {
        bytes += content.len();
        fs::write(written.join(name), content)
            .with_context(|| format!("writing {name} of {}", args.out.display()))
    };
    write(file::TOKENIZER, tokenizer.to_json().as_bytes())?;
    write(file::CARD, card.as_bytes())?;
    for (name, text) in &texts {
        // A model that was imported without such a file does not need it.
        if kept.is_empty() || [file::CONFIG, file::INDEX].contains(name) {
            write(name, text.as_bytes())?;
        }
    }
    for (name, content) in &kept {
        match name.as_str() {
            file::CONFIG => {
                if let Some(text) = kept_config(content, &config, element_type)? {
                    write(name, text.as_bytes())?;
                }
            }
            // The imported card does not describe a model that was trained afterwards.
            file::CARD if is_trained => {}
            _ => write(name, content)?,
        }
    }
    for shard in &shards {
        write(&shard.file, &export.bytes(shard))?;
    }
    publish(&written, &args.out)?;

    let out = quoted(&args.out);
    outln!(
        "{} weights, {}B in {} file{} of {}\n",
        short(export.weights() as f64),
        with_prefix(bytes as f64),
        shards.len(),
        if shards.len() == 1 { "" } else { "s" },
        args.out.display()
    );
    outln!("  from transformers import pipeline");
    outln!(
        "  pipeline(\"text-generation\", {:?})(\"Once upon a time\")",
        args.out.display().to_string()
    );
    outln!("\n  nitp generate {out} --prompt \"Once upon a time\"");
    Ok(())
}

/// Checks that `out` is new or empty, and not within the run.
fn check_new_or_empty(run: &Path, out: &Path) -> Result<()> {
    let absolute = std::path::absolute(out)?;
    ensure!(
        !absolute.starts_with(std::path::absolute(run)?),
        "{} lies in {}, a folder that `nitp` writes itself: give another --out",
        out.display(),
        run.display()
    );
    match fs::read_dir(out) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} is no folder", out.display())),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                bail!("{} exists already, and is not empty: give another --out", out.display())
            }
        },
    }
}

/// Renames the folder to its final name. If an empty folder of this name exists, moves the files into it.
fn publish(written: &Path, out: &Path) -> Result<()> {
    let naming = || format!("naming {}", out.display());
    if !out.exists() {
        return fs::rename(written, out).with_context(naming);
    }
    for entry in fs::read_dir(written)? {
        let entry = entry?;
        fs::rename(entry.path(), out.join(entry.file_name())).with_context(naming)?;
    }
    Ok(())
}

/// The imported model's `config.json`, with this type of weights, if it still describes the model.
fn kept_config(
    content: &[u8],
    config: &Config,
    element_type: ElementType,
) -> Result<Option<String>> {
    let text = String::from_utf8_lossy(content).into_owned();
    let described = describe(file::CONFIG, &text)?;
    if !described.is_of(&config.model) {
        return Ok(None);
    }
    let mut value: Value = serde_json::from_str(&text)?;
    let Value::Object(table) = &mut value else { return Ok(None) };
    let key = if table.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    let dtype = json!(element_type.name());
    let context = config.train.context_length.max(described.max_position_embeddings);
    let is_same = table.get(key) == Some(&dtype) && context == described.max_position_embeddings;
    if is_same {
        return Ok(Some(text));
    }
    table.insert(key.to_owned(), dtype);
    table.insert("max_position_embeddings".to_owned(), json!(context));
    Ok(Some(serde_json::to_string_pretty(&value)? + "\n"))
}
