//! Folders of models as transformers keeps them.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::hugging_face::{Described, Shards, describe, file, import};
use nitp_core::train::Tensors;

use crate::run_folder::read_tokenizer;

/// Context and rows that an imported model is measured and trained with, where no other is asked for: a published
/// model's own context may be more than a machine has memory for.
const CONTEXT: usize = 1024;
const BATCH_SIZE: usize = 4;

/// Files that have no place in a run, and go with the model wherever it goes.
const KEPT: [&str; 11] = [
    file::CONFIG,
    file::GENERATION_CONFIG,
    file::TOKENIZER_CONFIG,
    file::SPECIAL_TOKENS,
    file::CARD,
    "chat_template.jinja",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "LICENSE",
];

/// A file by name.
pub type NamedFile = (String, Vec<u8>);

/// A model from such a folder.
#[derive(Debug)]
pub struct Pretrained {
    /// The model, with a recipe to train it by, NITP included.
    pub config: Config,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its weights.
    pub weights: Tensors,
    /// What goes with it.
    pub kept: Vec<NamedFile>,
}

/// Whether a path is such a folder, and no run.
pub fn is_folder(path: &Path) -> bool {
    path.join(file::CONFIG).is_file() && !path.join("config.toml").is_file()
}

impl Pretrained {
    /// Reads the model in a folder.
    ///
    /// # Errors
    /// What is missing, broken or not supported, by file and key or tensor.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(file::CONFIG);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut config = config(folder, describe(&path.display().to_string(), &text)?)?;
        config.validate().with_context(|| format!("the model in {}", path.display()))?;
        let tokenizer_file = folder.join(file::TOKENIZER);
        ensure!(
            tokenizer_file.is_file(),
            "{} has no {}. Make one with transformers: \
             AutoTokenizer.from_pretrained(\"{0}\").save_pretrained(\"{0}\")",
            folder.display(),
            file::TOKENIZER,
        );
        let tokenizer = read_tokenizer(Some(&tokenizer_file), &config)?;
        let files = weight_files(folder)?;
        let weights = import(&folder.display().to_string(), &mut config, &files)?;
        Ok(Self { config, tokenizer, weights, kept: kept(folder)? })
    }
}

fn config(folder: &Path, described: Described) -> Result<Config> {
    let Described { model, max_position_embeddings } = described;
    let mut config = Config { model, ..Config::default() };
    let blocks = config.model.num_hidden_layers;
    // A fifth of the depth, the paper's best.
    config.nitp.target_layer =
        (blocks as f64 / 5.0).round().max(1.0).min(blocks as f64 - 1.0) as usize;
    config.train.context_length = max_position_embeddings.clamp(1, CONTEXT);
    config.train.batch_size = BATCH_SIZE;
    config.data.paths.clear();
    let tokenizer = std::path::absolute(folder.join(file::TOKENIZER))?;
    let tokenizer = tokenizer.to_str().context("its path is not UTF-8: config.toml can't hold it");
    config.data.tokenizer = tokenizer.with_context(|| folder.display().to_string())?.to_owned();
    Ok(config)
}

/// The bytes of each file of weights.
fn weight_files(folder: &Path) -> Result<Vec<NamedFile>> {
    let index = folder.join(file::INDEX);
    let names = if index.is_file() {
        let text =
            fs::read_to_string(&index).with_context(|| format!("reading {}", index.display()))?;
        Shards::of_index(&index.display().to_string(), &text)?.files
    } else if folder.join(file::WEIGHTS).is_file() {
        vec![file::WEIGHTS.to_owned()]
    } else if folder.join("pytorch_model.bin").is_file()
        || folder.join("pytorch_model.bin.index.json").is_file()
    {
        bail!(
            "{} holds its weights as pytorch_model.bin, and safetensors files are read. Convert it with transformers: \
             AutoModelForCausalLM.from_pretrained(\"{0}\").save_pretrained(\"OTHER\")",
            folder.display()
        )
    } else {
        bail!("{} holds neither {} nor {}", folder.display(), file::WEIGHTS, file::INDEX)
    };
    let count = names.len();
    names
        .into_iter()
        .map(|name| {
            let path = folder.join(&name);
            let bytes = fs::read(&path).with_context(|| {
                let of = if count > 1 {
                    format!(", one of {count} files of weights")
                } else {
                    String::new()
                };
                format!("reading {}{of}", path.display())
            })?;
            ensure!(
                !bytes.starts_with(b"version https://git-lfs"),
                "{} is only a pointer of Git LFS: fetch the file itself with `git lfs pull`",
                path.display()
            );
            Ok((name, bytes))
        })
        .collect()
}

/// The files that go with the model.
fn kept(folder: &Path) -> Result<Vec<NamedFile>> {
    /// Larger ones are not of the kind that is meant.
    const LARGEST: u64 = 64 << 20;
    let mut kept = Vec::new();
    for name in KEPT {
        let path = folder.join(name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            file => file.with_context(|| format!("reading {}", path.display()))?,
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= LARGEST, "{} has more than 64 MiB", path.display());
        kept.push((name.to_owned(), bytes));
    }
    Ok(kept)
}
