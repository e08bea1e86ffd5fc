//! Folders of models in transformers' format.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::hugging_face::{Described, describe, file, import, indexed_files};
use nitp_core::train::Tensors;

use crate::run_folder::read_tokenizer;

/// Files that a run does not use, but keeps for an export.
const KEPT: [&str; 14] = [
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
    "LICENSE.txt",
    "NOTICE",
    "USE_POLICY.md",
];

/// A file by name.
pub type NamedFile = (String, Vec<u8>);

/// A model from such a folder, without its weights.
#[derive(Debug)]
pub struct Pretrained {
    /// The model, with a training recipe that includes NITP.
    pub config: Config,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Files that are kept with it.
    pub kept: Vec<NamedFile>,
    folder: PathBuf,
}

/// Whether a path is such a folder, and not a run.
pub fn is_folder(path: &Path) -> bool {
    path.join(file::CONFIG).is_file() && !path.join("config.toml").is_file()
}

impl Pretrained {
    /// Reads the description of a folder's model.
    ///
    /// # Errors
    /// Missing, broken or unsupported parts, by file and key.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(file::CONFIG);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let described = describe(&path.display().to_string(), &text)?;
        let end_of_text = described.end_of_text;
        let mut config = config(folder, described)?;
        config.validate().with_context(|| format!("the model in {}", path.display()))?;
        let tokenizer_file = folder.join(file::TOKENIZER);
        ensure!(
            tokenizer_file.is_file(),
            "{} has no {}. Make one with transformers: \
             AutoTokenizer.from_pretrained(\"{0}\").save_pretrained(\"{0}\")",
            folder.display(),
            file::TOKENIZER,
        );
        let mut tokenizer = read_tokenizer(Some(&tokenizer_file), &config)?;
        if let Some(content) = end_of_text.and_then(|id| tokenizer.token(id)) {
            config.data.end_of_text = content;
            tokenizer = tokenizer.with_end_of_text(&config.data.end_of_text)?;
        }
        Ok(Self { config, tokenizer, kept: kept(folder)?, folder: folder.to_owned() })
    }

    /// Bytes of the largest file of weights. A missing file counts as 0: it is an error only when it is read.
    ///
    /// # Errors
    /// If the folder has no files of weights, or a broken index of them.
    pub fn largest_file(&self) -> Result<u64> {
        let files = weight_files(&self.folder)?;
        let size = |name: &String| fs::metadata(self.folder.join(name)).map_or(0, |it| it.len());
        Ok(files.iter().map(size).max().unwrap_or(0))
    }

    /// Reads the weights. `config` is of the same model; shared experts whose weights are all zero may be removed from
    /// it.
    ///
    /// # Errors
    /// Files that are missing or broken, and tensors that don't fit the model.
    pub fn weights(&self, config: &mut Config) -> Result<Tensors> {
        let folder = &self.folder;
        let files = weight_files(folder)?;
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| match files.len() {
                1 => format!("reading {}", path.display()),
                count => format!("reading {}, one of {count} files of weights", path.display()),
            })
        };
        import(&folder.display().to_string(), config, &files, read)
    }
}

fn config(folder: &Path, described: Described) -> Result<Config> {
    let mut config = described.recipe();
    let tokenizer = std::path::absolute(folder.join(file::TOKENIZER))?;
    let tokenizer = tokenizer.to_str().context("its path is not UTF-8: config.toml can't hold it");
    config.data.tokenizer = tokenizer.with_context(|| folder.display().to_string())?.to_owned();
    Ok(config)
}

/// The names of the files of weights, in the order in which transformers looks for them.
fn weight_files(folder: &Path) -> Result<Vec<String>> {
    if folder.join(file::WEIGHTS).is_file() {
        return Ok(vec![file::WEIGHTS.to_owned()]);
    }
    let index = folder.join(file::INDEX);
    if index.is_file() {
        let text =
            fs::read_to_string(&index).with_context(|| format!("reading {}", index.display()))?;
        return Ok(indexed_files(&index.display().to_string(), &text)?);
    }
    if folder.join("pytorch_model.bin").is_file()
        || folder.join("pytorch_model.bin.index.json").is_file()
    {
        bail!(
            "{} holds its weights as pytorch_model.bin; only safetensors files can be read. Convert it \
             with transformers: \
             AutoModelForCausalLM.from_pretrained(\"{0}\").save_pretrained(\"OTHER\")",
            folder.display()
        )
    }
    bail!("{} holds neither {} nor {}", folder.display(), file::WEIGHTS, file::INDEX)
}

/// The files of a folder that are kept with the model.
///
/// # Errors
/// Errors of the file system, and files that are too large for their kind.
pub fn kept(folder: &Path) -> Result<Vec<NamedFile>> {
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

/// Whether a folder holds only files that are kept with a model.
pub fn holds_kept_alone(folder: &Path) -> bool {
    let is_kept = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|it| KEPT.contains(&&*it.file_name().to_string_lossy()))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_kept))
}
