use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use nitp_core::config::DataConfig;
use nitp_core::data::tokenizer_training::train_bpe;
use nitp_core::data::{TokenCorpus, Tokenizer};
use tempfile::TempDir;

use super::index::file_name;
use super::*;
use crate::documents::{self, Named, Source};
use crate::token_cache;

/// Files of several kinds: small documents, a document of many shards, token ids, and a document within them that
/// repeats.
struct Text {
    folder: TempDir,
    paths: Vec<String>,
    tokenizer: Tokenizer,
}

impl Text {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words =
            ["tide ", "and\n\n", "time, ", "wait  for ", "no_one. ", "42 boats\n", "né 😀 "];
        let long: String = (0..40_000usize).map(|i| words[i * i % 97 % 7]).collect();
        let lines: String = (0..3000)
            .map(|i| format!("{{\"text\": \"line {} of {}\"}}\n", i % 700, words[i % 3].trim()))
            .collect();
        let ids: Vec<u8> = (0..5000u16).flat_map(|i| (i * 7 % 280).to_le_bytes()).collect();
        let files = [("a.jsonl", lines.as_bytes()), ("b.txt", long.as_bytes()), ("c.bin", &ids)];
        let paths = files.map(|(name, bytes)| {
            fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name).display().to_string()
        });
        let json = train_bpe(std::iter::once(long.as_str()), 280).unwrap();
        Self { folder, paths: paths.into(), tokenizer: Tokenizer::from_json(&json).unwrap() }
    }

    fn sources(&self) -> Vec<Source> {
        documents::find(&self.paths, Named::Now).unwrap().sources
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, shard_tokens: usize) -> Options<'_> {
        Options {
            tokenizer: &self.tokenizer,
            keep_tokenizer: true,
            text_column: None,
            shard_tokens,
        }
    }

    fn prepare(&self, name: &str, shard_tokens: usize) -> Result<Index> {
        prepare(&self.sources(), &self.out(name), &self.options(shard_tokens), |_| {}, |_| {})
    }

    fn corpus(&self, paths: &[String]) -> Result<TokenCorpus> {
        let data = DataConfig { paths: paths.to_vec(), ..DataConfig::default() };
        token_cache::corpus(&data, Named::Now, &self.tokenizer, |_| {})
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_prepared_text_is_the_text() {
    let text = Text::new();
    let expected = text.corpus(&text.paths).unwrap();
    for shard_tokens in [1000, 4096, 1 << 20] {
        let name = format!("tokens-{shard_tokens}");
        let index = text.prepare(&name, shard_tokens).unwrap();
        assert_eq!(index.shards.len(), expected.len().div_ceil(shard_tokens));
        let folder = text.out(&name).display().to_string();
        let corpus = text.corpus(std::slice::from_ref(&folder)).unwrap();
        assert_eq!(corpus.tokens(0..corpus.len()), expected.tokens(0..expected.len()));
        assert_eq!(corpus.fingerprint(), expected.fingerprint());
        assert_eq!(corpus.documents(), expected.documents());
        assert!((0..corpus.documents()).all(|i| corpus.document(i) == expected.document(i)));
        let sums = |count: fn(&SourceEntry) -> u64| index.sources.iter().map(count).sum::<u64>();
        assert_eq!(sums(|it| it.tokens), expected.len() as u64);
        assert_eq!(sums(|it| it.documents), expected.documents() as u64);
        assert_eq!(index.sources[0].documents, 3000);
        assert_eq!(
            fs::read_to_string(text.out(&name).join(TOKENIZER)).unwrap(),
            text.tokenizer.to_json()
        );
        let error = text.corpus(&[folder, text.paths[0].clone()]).unwrap_err().to_string();
        assert!(error.contains("not joined with other text"), "{error}");
    }
}

#[test]
fn a_stopped_preparation_goes_on_and_ends_with_the_same_files() {
    let text = Text::new();
    let whole = text.prepare("whole", 4000).unwrap();
    let expected = files(&text.out("whole"));
    let again = text.prepare("whole", 4000).unwrap_err().to_string();
    assert!(again.contains("is prepared already"), "{again}");
    // As if the process had been killed after each of the shards, in turn.
    for shards in (0..whole.shards.len()).step_by(3) {
        let out = text.out("stopped");
        let mut left: Vec<_> = expected.clone();
        left.retain(|(name, _)| name == TOKENIZER || name < &file_name(shards));
        let stopped = stop_after(&text, shards);
        assert!(stopped.fingerprint.is_none() && stopped.shards.len() == shards);
        let error = format!("{:#}", open(&out, &text.tokenizer).unwrap_err());
        assert!(error.contains("has not ended"), "{error}");
        let index = text.prepare("stopped", 4000).unwrap();
        assert_eq!(index, whole, "{shards}");
        assert!(files(&out) == expected, "{shards}");
        fs::remove_dir_all(out).unwrap();
    }
}

/// Prepares the text into "stopped" until it has this many shards.
fn stop_after(text: &Text, shards: usize) -> Index {
    let out = text.out("stopped");
    // The name of the next shard is taken by a folder, which no file can replace.
    fs::create_dir_all(&out).unwrap();
    Index::new(&text.tokenizer, 4000).write(&out).unwrap();
    fs::write(out.join(TOKENIZER), text.tokenizer.to_json()).unwrap();
    let blocked = out.join(file_name(shards));
    fs::create_dir(&blocked).unwrap();
    let error = format!("{:#}", text.prepare("stopped", 4000).unwrap_err());
    assert!(error.contains(&file_name(shards)), "{error}");
    assert!(error.contains("the same `nitp data prepare` goes on where it stopped"), "{error}");
    fs::remove_dir(&blocked).unwrap();
    Index::read(&out).unwrap().unwrap()
}

#[test]
fn another_text_or_other_options_do_not_go_on() {
    let text = Text::new();
    stop_after(&text, 10);
    let error = text.prepare("stopped", 999).unwrap_err().to_string();
    assert!(error.contains("begun with --shard-tokens 4000"), "{error}");
    let other = Tokenizer::new("byte", 257).unwrap();
    let options = Options { tokenizer: &other, ..text.options(4000) };
    let out = text.out("stopped");
    let result = prepare(&text.sources(), &out, &options, |_| {}, |_| {});
    assert!(result.unwrap_err().to_string().contains("begun with another tokenizer"));
    fs::write(&text.paths[0], "{\"text\": \"another\"}\n").unwrap();
    let before = files(&out);
    let error = text.prepare("stopped", 4000).unwrap_err().to_string();
    assert!(error.contains("the text has changed"), "{error}");
    assert!(files(&out) == before);
    // Text of the document in which the shards end, and so not before the place at which it goes on.
    fs::remove_dir_all(&out).unwrap();
    let text = Text::new();
    let (long, out) = (fs::read_to_string(&text.paths[1]).unwrap(), text.out("stopped"));
    stop_after(&text, 15);
    fs::write(&text.paths[1], long.replacen("time", "Time", 1)).unwrap();
    let before = files(&out);
    let error = text.prepare("stopped", 4000).unwrap_err().to_string();
    assert!(error.contains("the text has changed"), "{error}");
    assert!(files(&out) == before);
    fs::write(&text.paths[1], long).unwrap();
    assert!(text.prepare("stopped", 4000).unwrap().fingerprint.is_some());
    fs::create_dir(text.out("tokenizers")).unwrap();
    fs::write(text.out("tokenizers").join(TOKENIZER), "mine").unwrap();
    let error = text.prepare("tokenizers", 1000).unwrap_err().to_string();
    assert!(error.contains("holds other files (tokenizer.json)"), "{error}");
    fs::write(text.out("other"), "x").unwrap();
    fs::create_dir(text.out("used")).unwrap();
    fs::write(text.out("used").join("notes.txt"), "mine").unwrap();
    let error = text.prepare("used", 1000).unwrap_err().to_string();
    assert!(error.contains("holds other files (notes.txt)"), "{error}");
    let error = format!("{:#}", text.prepare("other", 1000).unwrap_err());
    assert!(error.contains("creating"), "{error}");
    // Held by another preparation.
    fs::create_dir(text.out("held")).unwrap();
    let lock = fs::File::create(text.out("held").join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = text.prepare("held", 1000).unwrap_err().to_string();
    assert!(error.contains("another process prepares"), "{error}");
}

#[test]
fn bad_text_leaves_the_shards_before_it() {
    let text = Text::new();
    fs::write(&text.paths[2], 60_000u16.to_le_bytes()).unwrap();
    let error = format!("{:#}", text.prepare("bad", 4000).unwrap_err());
    assert!(error.contains("c.bin") && error.contains("60000"), "{error}");
    let index = Index::read(&text.out("bad")).unwrap().unwrap();
    assert!(index.shards.len() > 10 && index.fingerprint.is_none());
    // Mended, it goes on.
    fs::write(&text.paths[2], 200u16.to_le_bytes()).unwrap();
    assert!(text.prepare("bad", 4000).unwrap().fingerprint.is_some());
    // An error of `told` can't happen; that of the text comes before a half-filled shard is written.
    fs::write(&text.paths[0], "{\"text\": 3}\n").unwrap();
    let calls = Cell::new(0);
    let told = |_| calls.set(calls.get() + 1);
    let out = text.out("bad-line");
    let error = prepare(&text.sources(), &out, &text.options(1000), told, |_| {}).unwrap_err();
    assert!(format!("{error:#}").contains("line 1"), "{error:#}");
    assert_eq!((calls.get(), Index::read(&out).unwrap().unwrap().shards.len()), (0, 0));
}

#[test]
fn damaged_folders_are_named() {
    let text = Text::new();
    text.prepare("whole", 10_000).unwrap();
    let folder = text.out("whole");
    let open = || open(&folder, &text.tokenizer).map_err(|error| anyhow!("{error:#}"));
    let fails = |expected: &str| {
        let error = open().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    open().unwrap();
    let shard = folder.join(file_name(1));
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() / 2]).unwrap();
    fails("tokens-00001.safetensors has");
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&shard, other).unwrap();
    fails("tokens-00001.safetensors is damaged: its SHA-256");
    fs::remove_file(&shard).unwrap();
    fails("opening the shard");
    fs::write(&shard, &whole).unwrap();
    let other = Tokenizer::new("byte", 257).unwrap();
    let error = super::open(&folder, &other).unwrap_err().to_string();
    assert!(error.contains("another tokenizer") && error.contains("tokenizer.json"), "{error}");
    let index = fs::read_to_string(folder.join(INDEX)).unwrap();
    let first = file_name(0);
    for (from, to, expected) in [
        ("\"version\": 1", "\"version\": 2", "version 2"),
        (first.as_str(), "../elsewhere", "elsewhere"),
        ("\"shard_tokens\": 10000", "\"shard_tokens\": 0", "no tokens"),
        ("\"shard_tokens\": 10000", "\"shard_tokens\": 9999", "each shard has 9999"),
        ("\"documents\"", "\"papers\"", "is damaged"),
        ("nitp-tokens", "others", "no index of token shards"),
        ("{", "", "index.json is damaged"),
        ("\"shards\"", "\"shards", "index.json is damaged"),
    ] {
        fs::write(folder.join(INDEX), index.replacen(from, to, 1)).unwrap();
        fails(expected);
    }
    fs::remove_file(folder.join(INDEX)).unwrap();
    fails("holds no prepared tokens");
}

#[test]
fn a_text_that_lost_its_end_does_not_go_on() {
    let text = Text::new();
    stop_after(&text, 15);
    let whole = fs::read_to_string(&text.paths[1]).unwrap();
    let fails = |sources: &[Source]| {
        let out = text.out("stopped");
        let before = files(&out);
        let error = prepare(sources, &out, &text.options(4000), |_| {}, |_| {}).unwrap_err();
        assert!(error.to_string().contains("the text has changed"), "{error}");
        assert!(files(&out) == before);
    };
    // The last files, and the end of the file in which the shards end.
    fails(&text.sources()[..1]);
    fs::write(&text.paths[1], &whole[..whole.len() / 10]).unwrap();
    fails(&text.sources()[..2]);
    // The same bytes in other files.
    fs::write(&text.paths[1], &whole).unwrap();
    let lines = fs::read_to_string(&text.paths[0]).unwrap();
    let (first, second) =
        lines.split_at(lines.len() / 2 + lines[lines.len() / 2..].find('\n').unwrap() + 1);
    for (name, part) in [("a.jsonl", first), ("a2.jsonl", second)] {
        fs::write(text.folder.path().join(name), part).unwrap();
    }
    let paths = [&text.paths[..1], &[text.out("a2.jsonl").display().to_string()], &text.paths[1..]];
    fails(&documents::find(&paths.concat(), Named::Now).unwrap().sources);
    // Renamed, it is the same text.
    fs::write(&text.paths[0], &lines).unwrap();
    let renamed = text.out("renamed.jsonl");
    fs::rename(&text.paths[0], &renamed).unwrap();
    let paths = [&[renamed.display().to_string()], &text.paths[1..]].concat();
    let sources = documents::find(&paths, Named::Now).unwrap().sources;
    let index =
        prepare(&sources, &text.out("stopped"), &text.options(4000), |_| {}, |_| {}).unwrap();
    assert_eq!(index.sources[0].name, paths[0]);
    assert_eq!(index.sources[0].documents, 3000);
}

#[test]
fn an_index_whose_counts_disagree_is_damaged() {
    let text = Text::new();
    let index = text.prepare("whole", 10_000).unwrap();
    let folder = text.out("whole");
    let mut other = index.clone();
    other.sources[0].tokens += 1;
    other.write(&folder).unwrap();
    let error = format!("{:#}", Index::read(&folder).unwrap_err());
    assert!(error.contains("not the sums of those of the text's files"), "{error}");
}
