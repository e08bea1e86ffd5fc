//! A corpus from files: tokenised once, kept on disk, mapped into memory from then on.
//!
//! A cache file is named by the digest of the texts and the tokenizer, so a stale one can't be
//! met: magic, counts of tokens and documents, starts of the documents (u64), tokens (u32), all
//! little-endian.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use memmap2::Mmap;
use nitp_core::data::{CorpusBuilder, Fingerprint, TokenCorpus, Tokenizer};

use crate::{cache, documents, whole_file};

const MAGIC: [u8; 8] = *b"nitptok1";

/// Bytes before the starts: the magic and the two counts.
const HEADER: usize = 24;

/// The tokens of all text behind `paths`, from the cache where it has them.
///
/// `warn` hears of a cache that can't be written: the run goes on without.
///
/// # Errors
/// What [`documents`] says of files that can't be read, and the tokenizer of their text.
pub fn corpus(
    paths: &[String],
    tokenizer: &Tokenizer,
    mut warn: impl FnMut(String),
) -> Result<TokenCorpus> {
    let files = documents::files(paths)?;
    let mut fingerprint = Fingerprint::new(tokenizer);
    for path in &files {
        fingerprint.add(&path.display().to_string(), &documents::read(path)?);
    }
    let fingerprint = fingerprint.finish();
    let cached = cache::folder().join(format!("{fingerprint}.tokens"));
    if let Some(corpus) = open(&cached, tokenizer, &fingerprint) {
        return Ok(corpus);
    }
    let (tokens, starts) = tokenize(&files, tokenizer)?;
    match write(&cached, &tokens, &starts) {
        Ok(()) => {
            if let Some(corpus) = open(&cached, tokenizer, &fingerprint) {
                return Ok(corpus);
            }
        }
        Err(error) => warn(format!(
            "the tokens could not be cached and stay in memory ({error:#}); set NITP_CACHE_DIR to \
             a folder that can be written"
        )),
    }
    Ok(TokenCorpus::new(tokens, starts, tokenizer.end_of_text(), fingerprint))
}

fn tokenize(files: &[PathBuf], tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u64>)> {
    let mut builder = CorpusBuilder::new(tokenizer.end_of_text());
    for path in files {
        let texts = documents::parse(path, documents::read(path)?)?;
        let encoded = tokenizer
            .encode_all(&texts)
            .with_context(|| format!("tokenising {}", path.display()))?;
        encoded.iter().for_each(|tokens| builder.push(tokens));
    }
    Ok(builder.finish())
}

fn write(path: &Path, tokens: &[u32], starts: &[u64]) -> Result<()> {
    let folder = path.parent().context("a cache file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    whole_file::write_with(path, |file| {
        file.write_all(&MAGIC)?;
        for number in [tokens.len() as u64, starts.len() as u64].iter().chain(starts) {
            file.write_all(&number.to_le_bytes())?;
        }
        tokens.iter().try_for_each(|token| file.write_all(&token.to_le_bytes()))
    })
}

/// The tokens of a mapped cache file.
struct Mapped {
    file: Mmap,
    first: usize,
    tokens: usize,
}

impl AsRef<[u32]> for Mapped {
    fn as_ref(&self) -> &[u32] {
        // A file maps at a page, and what precedes the tokens is a multiple of 8 bytes.
        bytemuck::cast_slice(&self.file[self.first..self.first + 4 * self.tokens])
    }
}

/// `None` for a file that isn't there or isn't what [`write()`] writes: it is made anew.
fn open(path: &Path, tokenizer: &Tokenizer, fingerprint: &str) -> Option<TokenCorpus> {
    if cfg!(target_endian = "big") {
        return None;
    }
    let file = File::open(path).ok()?;
    // SAFETY: cache files are only ever replaced whole by renaming, never written in place.
    let file = unsafe { Mmap::map(&file) }.ok()?;
    let number = |at: usize| {
        let bytes = file.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let (tokens, documents) =
        (usize::try_from(number(8)?).ok()?, usize::try_from(number(16)?).ok()?);
    let first = HEADER.checked_add(documents.checked_mul(8)?)?;
    let whole = first.checked_add(tokens.checked_mul(4)?)?;
    if file.get(..8)? != MAGIC || file.len() != whole {
        return None;
    }
    let starts: Vec<u64> = bytemuck::pod_collect_to_vec(&file[HEADER..first]);
    let rising = starts.windows(2).all(|pair| pair[0] < pair[1]);
    let within = starts.last().is_none_or(|&last| (last as usize) < tokens);
    let mapped = Mapped { file, first, tokens };
    let known = mapped.as_ref().iter().all(|&token| (token as usize) < tokenizer.vocab_size());
    (rising && within && starts.first().is_none_or(|&start| start == 0) && known)
        .then(|| TokenCorpus::new(mapped, starts, tokenizer.end_of_text(), fingerprint.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_broken_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tokens");
        let tokenizer = Tokenizer::new("byte", 257).unwrap();
        let (tokens, starts) = (vec![1, 2, 256, 3, 256], vec![0, 3]);
        write(&path, &tokens, &starts).unwrap();
        let corpus = open(&path, &tokenizer, "print").unwrap();
        assert_eq!(corpus.tokens(), tokens);
        assert_eq!((corpus.documents(), corpus.document(1)), (2, 3..5));
        let whole = fs::read(&path).unwrap();
        for broken in
            [&whole[..whole.len() - 1], &whole[..9], &[], b"other bytes than those of a cache"]
        {
            fs::write(&path, broken).unwrap();
            assert!(open(&path, &tokenizer, "print").is_none());
        }
        let mut large = whole.clone();
        let last = large.len() - 4;
        large[last..].copy_from_slice(&400u32.to_le_bytes());
        fs::write(&path, large).unwrap();
        assert!(open(&path, &tokenizer, "print").is_none());
    }
}
