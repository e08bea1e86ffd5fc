//! A corpus from files: tokenised once, and cached on disk.
//! The name of a cache file is the digest of the texts and the tokenizer, so it is never out of date. It contains, in
//! little-endian order: magic; the numbers of tokens, documents and bytes of notes; the SHA-256 of the rest; the starts
//! of the documents (u64); the tokens (u32); the notes about the texts (a JSON list). The file is read into memory, not
//! mapped: the check reads all of it anyway, and a mapped file that another process truncates would kill this process.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytemuck::NoUninit;
use nitp_core::config::{Config, DataConfig};
use nitp_core::data::{
    CorpusBuilder, Dataset, Fingerprint, TextDigest, TokenCorpus, Tokenised, Tokenizer,
    fingerprint_of,
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::documents::{self, Changes, Found, Named, Part, Source};
use crate::{cache, prepared, whole_file};

const MAGIC: [u8; 8] = *b"nitptok3";

/// Magics of older files without a digest or without notes, which are made again.
const OLD_MAGICS: [[u8; 8]; 2] = [*b"nitptok1", *b"nitptok2"];

/// Bytes before the starts: the magic, the three counts, the digest.
const HEADER: usize = 64;

/// Bytes of a block. Each block has a digest, and the digest of the file is computed from them.
const BLOCK: usize = 4 << 20;

/// The tokens of all text behind the paths of `data`, from the cache if possible.
///
/// `warn` gets notes about the text, and about a cache that can't be used or written. The run then continues without
/// it.
///
/// # Errors
/// Errors of [`documents`] about files, and of the tokenizer about their text.
pub fn corpus(
    data: &DataConfig,
    named: Named<'_>,
    tokenizer: &Tokenizer,
    warn: impl FnMut(String),
) -> Result<TokenCorpus> {
    Ok(corpus_and_digests(data, named, tokenizer, warn)?.0)
}

/// Like [`corpus`], with the digest of each file; none of prepared text.
fn corpus_and_digests(
    data: &DataConfig,
    named: Named<'_>,
    tokenizer: &Tokenizer,
    mut warn: impl FnMut(String),
) -> Result<(TokenCorpus, Vec<(String, TextDigest)>)> {
    if let Some(folder) = prepared_folder(&data.paths)? {
        return Ok((prepared::open(folder, tokenizer)?, Vec::new()));
    }
    whole_file::clear_abandoned(&cache::folder());
    let Found { sources, notes } = documents::find(&data.paths, named)?;
    notes.into_iter().for_each(&mut warn);
    let column = data.text_column.as_deref();
    let digests: Vec<TextDigest> =
        sources.par_iter().map(|source| source.digest(column)).collect::<Result<_>>()?;
    documents::equal_texts(&sources, &digests).into_iter().for_each(&mut warn);
    let names: Vec<String> = sources.iter().map(Source::name).collect();
    let mut fingerprint = fingerprint(tokenizer, &digests);
    let path = |fingerprint: &str| cache::folder().join(format!("{fingerprint}.tokens"));
    match open(&path(&fingerprint), tokenizer, &fingerprint) {
        Ok(Some(corpus)) => return Ok((corpus, names.into_iter().zip(digests).collect())),
        Ok(None) => {}
        Err(error) => warn(format!("the token cache is made anew: {error:#}")),
    }
    let mut builder = CorpusBuilder::new(tokenizer.end_of_text());
    let (read, changes) = tokenize(sources, column, tokenizer, &mut builder)?;
    if read != digests {
        // The name must belong to the text that was tokenised, even if the files have changed since.
        fingerprint = self::fingerprint(tokenizer, &read);
        warn(
            "the data changed during reading: the run trains on the last version read, and can \
            continue only with this version"
                .to_owned(),
        );
    }
    let mut tokenised = builder.finish();
    // The notes contain no file names, because the cache also serves other files with the same text.
    tokenised.notes.extend(changes.told());
    if let Err(error) = write(&path(&fingerprint), &tokenised) {
        warn(format!(
            "the tokens could not be cached and stay in memory ({error:#}); set NITP_CACHE_DIR to a writable folder"
        ));
    }
    let corpus = TokenCorpus::new(tokenised, tokenizer.end_of_text(), fingerprint);
    Ok((corpus, names.into_iter().zip(read).collect()))
}

/// The corpora of `data`: one for each path if `data.weights` mixes them, or one of all paths.
///
/// # Errors
/// As [`corpus`].
fn corpora(
    data: &DataConfig,
    named: Named<'_>,
    tokenizer: &Tokenizer,
    mut warn: impl FnMut(String),
) -> Result<Vec<TokenCorpus>> {
    if data.weights.is_empty() {
        return Ok(vec![corpus(data, named, tokenizer, warn)?]);
    }
    let (mut corpora, mut known) = (Vec::new(), HashMap::new());
    for (number, path) in data.paths.iter().enumerate() {
        let one = DataConfig { paths: vec![path.clone()], ..data.clone() };
        let (corpus, files) = corpus_and_digests(&one, named, tokenizer, &mut warn)?;
        corpora.push(corpus);
        for (name, digest) in files {
            let (first, of) = known.entry(digest).or_insert_with(|| (name.clone(), number));
            if *of != number {
                warn(format!(
                    "{first} and {name} hold the same text, and belong to two texts of the mixture. Some of it may be \
                     held out in one and trained on in the other: give it once, with a larger weight"
                ));
            }
        }
    }
    Ok(corpora)
}

/// The text of a configuration.
#[derive(Debug)]
pub struct Text {
    corpora: Vec<TokenCorpus>,
    fingerprint: String,
}

impl Text {
    /// Reads it; `warn` gets notes about it.
    ///
    /// # Errors
    /// As [`corpus`].
    pub fn read(
        data: &DataConfig,
        named: Named<'_>,
        tokenizer: &Tokenizer,
        mut warn: impl FnMut(String),
    ) -> Result<Self> {
        let corpora = corpora(data, named, tokenizer, &mut warn)?;
        corpora.iter().flat_map(|corpus| tokenizer.check_corpus(corpus)).for_each(warn);
        let fingerprint = fingerprint_of(corpora.iter(), &data.weights);
        Ok(Self { corpora, fingerprint })
    }

    /// The digest by which a run recognises it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Its batches.
    ///
    /// # Errors
    /// If it is too short.
    pub fn dataset(mut self, config: &Config, tokenizer: &Tokenizer) -> Result<Dataset> {
        let single = if config.data.weights.is_empty() { self.corpora.pop() } else { None };
        Ok(match single {
            Some(corpus) => Dataset::new(config, tokenizer, corpus)?,
            None => Dataset::mixed(config, tokenizer, self.corpora)?,
        })
    }
}

/// Batches of the text of a configuration; `warn` gets notes about the text.
///
/// # Errors
/// As [`corpus`], and text that is too short.
pub fn dataset(
    config: &Config,
    named: Named<'_>,
    tokenizer: &Tokenizer,
    warn: impl FnMut(String),
) -> Result<Dataset> {
    Text::read(&config.data, named, tokenizer, warn)?.dataset(config, tokenizer)
}

/// The prepared folder among the paths, which is then the only one.
fn prepared_folder(paths: &[String]) -> Result<Option<&Path>> {
    let mut paths = paths.iter().map(Path::new);
    let Some(folder) = paths.clone().find(|path| prepared::is_prepared(path)) else {
        return Ok(None);
    };
    let other = paths.find(|&path| path != folder);
    ensure!(
        other.is_none(),
        "{} holds prepared tokens, which are not joined with other text ({}): give one of them, or prepare all \
         of the text together",
        folder.display(),
        other.unwrap_or(folder).display()
    );
    Ok(Some(folder))
}

fn fingerprint(tokenizer: &Tokenizer, digests: &[TextDigest]) -> String {
    let mut fingerprint = Fingerprint::new(tokenizer);
    digests.iter().for_each(|digest| fingerprint.add(digest));
    fingerprint.finish()
}

/// Tokenises all sources and gives the digests of exactly the text that was tokenised.
fn tokenize(
    sources: Vec<Source>,
    column: Option<&str>,
    tokenizer: &Tokenizer,
    builder: &mut CorpusBuilder,
) -> Result<(Vec<TextDigest>, Changes)> {
    let (mut digests, mut changes) = (Vec::with_capacity(sources.len()), Changes::default());
    for source in sources {
        let push = |part| match part {
            Part::Texts { texts, continues } => builder
                .push_texts(tokenizer, texts, continues)
                .with_context(|| format!("tokenising {}", source.name())),
            Part::Tokens { ids, first } => {
                check_ids(&ids, first, &source, tokenizer)?;
                builder.push_ids(&ids);
                Ok(())
            }
        };
        let (digest, of_source) = documents::read(&source, column, push)?;
        builder.end_ids();
        digests.push(digest);
        changes = changes.and(of_source);
    }
    Ok((digests, changes))
}

/// Checks that the tokenizer has all ids, of which `first` come before these.
pub(crate) fn check_ids(
    ids: &[u32],
    first: u64,
    source: &Source,
    tokenizer: &Tokenizer,
) -> Result<()> {
    let vocab_size = tokenizer.vocab_size();
    if let Some(place) = ids.iter().position(|&id| id as usize >= vocab_size) {
        bail!(
            "{}: the id {} at position {} is not below {vocab_size}, the vocabulary of \
             data.tokenizer: give the tokenizer that made the ids. Files without llm.c's header \
             hold ids of 16 bits",
            source.name(),
            ids[place],
            first + place as u64
        );
    }
    Ok(())
}

fn write(path: &Path, tokenised: &Tokenised) -> Result<()> {
    let Tokenised { tokens, starts, notes } = tokenised;
    let folder = path.parent().context("a cache file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let (starts, tokens) = (little_endian(starts, u64::to_le), little_endian(tokens, u32::to_le));
    let notes = serde_json::to_vec(notes)?;
    whole_file::write_with(path, |file| {
        file.write_all(&MAGIC)?;
        for count in [tokens.len() / 4, starts.len() / 8, notes.len()] {
            file.write_all(&(count as u64).to_le_bytes())?;
        }
        file.write_all(&digest([&starts, &tokens, &notes]))?;
        file.write_all(&starts)?;
        file.write_all(&tokens)?;
        file.write_all(&notes)
    })
}

/// Opens a cache file; `None` if it does not exist, or is of an earlier version.
///
/// # Errors
/// If the file differs from the output of [`write()`], or can't be read.
fn open(path: &Path, tokenizer: &Tokenizer, fingerprint: &str) -> Result<Option<TokenCorpus>> {
    let mut file = match File::open(path) {
        // NotADirectory if a file has the name of the folder; the error is reported when the cache is written.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.with_context(|| format!("reading {}", path.display()))?,
    };
    let damaged = || format!("{} is damaged", path.display());
    let mut header = [0; HEADER];
    file.read_exact(&mut header).with_context(damaged)?;
    if OLD_MAGICS.iter().any(|magic| header.starts_with(magic)) {
        return Ok(None);
    }
    ensure!(header.starts_with(&MAGIC), damaged());
    let count = |at: usize| -> Option<usize> {
        u64::from_le_bytes(header[at..at + 8].try_into().ok()?).try_into().ok()
    };
    // The length is checked before memory is allocated.
    let counts = (|| {
        let (tokens, starts, notes) = (count(8)?, count(16)?, count(24)?);
        let parts = [tokens.checked_mul(4)?, starts.checked_mul(8)?, notes];
        let bytes = parts.into_iter().try_fold(HEADER, usize::checked_add)?;
        Some((tokens, starts, notes, bytes as u64))
    })();
    let whole = file.metadata().with_context(damaged)?.len();
    let (tokens, starts, notes) = match counts {
        Some((tokens, starts, notes, bytes)) if bytes == whole => (tokens, starts, notes),
        _ => bail!(damaged()),
    };
    let (mut starts, mut tokens) = (vec![0u64; starts], vec![0u32; tokens]);
    let mut notes = vec![0u8; notes];
    file.read_exact(bytemuck::cast_slice_mut(&mut starts)).with_context(damaged)?;
    file.read_exact(bytemuck::cast_slice_mut(&mut tokens)).with_context(damaged)?;
    file.read_exact(&mut notes).with_context(damaged)?;
    let found = digest([bytemuck::cast_slice(&starts), bytemuck::cast_slice(&tokens), &notes]);
    ensure!(header[32..] == found, damaged());
    let notes = serde_json::from_slice(&notes).with_context(damaged)?;
    starts.iter_mut().for_each(|start| *start = u64::from_le(*start));
    tokens.iter_mut().for_each(|token| *token = u32::from_le(*token));
    let rising = starts.windows(2).all(|pair| pair[0] < pair[1]);
    let within = starts.last().is_none_or(|&last| (last as usize) < tokens.len());
    let known = tokens.iter().all(|&token| (token as usize) < tokenizer.vocab_size());
    ensure!(rising && within && known && starts.first().is_none_or(|&first| first == 0), damaged());
    let tokenised = Tokenised { tokens, starts, notes };
    Ok(Some(TokenCorpus::new(tokenised, tokenizer.end_of_text(), fingerprint.to_owned())))
}

fn little_endian<T: NoUninit>(numbers: &[T], to_le: fn(T) -> T) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytemuck::cast_slice(numbers));
    }
    let bytes = numbers.iter().flat_map(|&number| bytemuck::bytes_of(&to_le(number)).to_vec());
    Cow::Owned(bytes.collect())
}

/// SHA-256 over each part's length and the SHA-256 of each of its blocks, which are computed in parallel.
fn digest(parts: [&[u8]; 3]) -> [u8; 32] {
    let mut whole = Sha256::new();
    for part in parts {
        whole.update((part.len() as u64).to_le_bytes());
        let blocks: Vec<_> = part.par_chunks(BLOCK).map(Sha256::digest).collect();
        blocks.iter().for_each(|block| whole.update(block));
    }
    whole.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_no_bit_may_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tokens");
        let tokenizer = Tokenizer::new("byte", 257).unwrap();
        let open = || open(&path, &tokenizer, "print");
        assert!(open().unwrap().is_none());
        let notes = vec!["3 characters were left out".to_owned()];
        let tokenised = Tokenised { tokens: vec![1, 2, 256, 3, 256], starts: vec![0, 3], notes };
        write(&path, &tokenised).unwrap();
        let corpus = open().unwrap().unwrap();
        assert_eq!(*corpus.tokens(0..corpus.len()), *tokenised.tokens);
        assert_eq!(corpus.notes(), tokenised.notes);
        assert_eq!((corpus.documents(), corpus.document(1)), (2, 3..5));
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let error = format!("{:#}", open().unwrap_err());
            assert!(error.contains("x.tokens is damaged"), "{error}");
        }
        for bit in 0..8 * whole.len() {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &other).unwrap();
            // One bit may turn the new magic into an old one.
            assert!(
                open().is_err() || OLD_MAGICS.iter().any(|it| other.starts_with(it)),
                "bit {bit}"
            );
        }
        let zeroed = [&whole[..whole.len() - 20], &[0; 20]].concat();
        let longer = [&whole[..], &[0; 4]].concat();
        let huge = [&MAGIC[..], &[0xff; 56]].concat();
        for broken in [zeroed, longer, huge, b"other bytes than those of a cache".repeat(9)] {
            fs::write(&path, broken).unwrap();
            assert!(open().is_err());
        }
        fs::write(&path, [&OLD_MAGICS[0][..], &[0; 64]].concat()).unwrap();
        assert!(open().unwrap().is_none());
        // A valid file, but of another tokenizer.
        write(&path, &Tokenised { tokens: vec![400], starts: vec![0], notes: vec![] }).unwrap();
        assert!(open().is_err());
    }

    #[test]
    fn the_fingerprint_is_that_of_what_was_tokenised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let tokenizer = Tokenizer::new("byte", 257).unwrap();
        fs::write(&path, "before").unwrap();
        let source = Source::File(path.clone());
        let before = source.digest(None).unwrap();
        fs::write(&path, "after").unwrap();
        let mut builder = CorpusBuilder::new(None);
        let (read, _) = tokenize(vec![source], None, &tokenizer, &mut builder).unwrap();
        assert_ne!(read, [before]);
        assert_eq!(read, [Source::File(path).digest(None).unwrap()]);
        assert_eq!(builder.finish().tokens, b"after".map(u32::from));
    }
}
