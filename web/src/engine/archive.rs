//! Runs as files: a zip of the folder that `nitp` reads, for download, and the session for the next visit, which
//! contains such a folder for each run, and the experiment.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use nitp_core::config::{BYTE_TOKENIZER, Config, DataConfig};
use nitp_core::data::Tokenizer;
use nitp_core::hugging_face::file;
use nitp_core::train::{Checkpoint, Origin, checkpoint_file};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::corpus::is_built_in;
use super::history::History;
use super::lane::Lane;
use super::pretrained;
use super::session::{Draft, Failure, Past};
use crate::exchange::supported;
use crate::protocol::{self, Experiment, File, Format, Text};

const CONFIG: &str = "config.toml";
const TOKENIZER: &str = "tokenizer.json";
const METRICS: &str = "metrics.jsonl";
const SNAPSHOTS: &str = "snapshots.json";
const EXPERIMENT: &str = "experiment.json";
const TEXT: &str = "text/";

/// Largest number of bytes and files of an unpacked zip. A tab has 4 GiB for the zip, its files and the runs.
const MOST: (usize, usize) = (2 << 30, 10_000);

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A run's files except its tokenizer. The large ones are made one at a time.
fn run_files(lane: &Lane) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let snapshots: Vec<_> = lane.history.snapshots().iter().map(|(_, it)| it).collect();
    let snapshots = serde_json::to_vec(&snapshots).expect("snapshots are plain data");
    let small = [
        (CONFIG, lane.config.to_toml().into_bytes()),
        (METRICS, lane.history.to_jsonl().into_bytes()),
        (SNAPSHOTS, snapshots),
    ];
    let small = small.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    small.chain(lane.kept.iter().flat_map(|checkpoint| {
        let folder = checkpoint_file::folder(checkpoint.state.step);
        let files = checkpoint.to_files();
        files.map(move |(name, bytes)| (format!("checkpoints/{folder}/{name}"), bytes))
    }))
}

/// A visitor's own texts. They are numbered, because their order matters and their names may be equal.
fn text_files(text: &Text) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let own = if let Text::Own(files) = text { files.as_slice() } else { &[] };
    own.iter()
        .enumerate()
        .map(|(index, it)| (format!("{TEXT}{index:03}-{}", it.name), it.bytes.clone()))
}

/// The texts of [`text_files`].
fn texts(files: &mut Files) -> Option<Text> {
    let own = take_within(files, TEXT).into_iter().map(|(path, bytes)| {
        let name = path.split_once('-').map_or(path.as_str(), |(_, name)| name).to_owned();
        File { name, bytes }
    });
    let own: Vec<File> = own.collect();
    (!own.is_empty()).then_some(Text::Own(own))
}

/// A run as a zipped folder.
///
/// # Errors
/// If it has no checkpoint yet, or the format can't hold its model.
pub async fn export(
    experiment: &Experiment,
    tokenizer: &Tokenizer,
    lane: &Lane,
    format: Format,
) -> Result<File, String> {
    let Some(checkpoint) = &lane.kept else {
        return Err("there is no checkpoint yet: pause the run to make one".to_owned());
    };
    let mut name = format!("{}-step-{}", lane.lane.name().to_lowercase(), checkpoint.state.step);
    let zip = |name: &str, files: &mut dyn Iterator<Item = (String, Vec<u8>)>| {
        let inside = files.map(|(path, bytes)| (format!("{name}/{path}"), bytes));
        File { name: format!("{name}.zip"), bytes: pack(inside, size(lane)) }
    };
    Ok(match format {
        Format::Run => {
            let tokenizer = (TOKENIZER.to_owned(), tokenizer.to_json().into_bytes());
            let files = run_files(lane).chain([tokenizer]).chain(text_files(&experiment.text));
            zip(&name, &mut { files })
        }
        Format::Model => {
            name += "-model";
            let weights = checkpoint.to_files().next();
            let (_, weights) = weights.expect("the first file has the weights");
            let files = pretrained::files(tokenizer, lane, checkpoint.state.step, weights).await?;
            zip(&name, &mut files.into_iter().map(|it| (it.name, it.bytes)))
        }
    })
}

/// The session for the next visit.
pub fn session(experiment: &Experiment, lanes: &[Lane]) -> Vec<u8> {
    // The texts are separate files.
    let plain = Experiment { text: Text::Demo, ..experiment.clone() };
    let plain = serde_json::to_vec(&plain).expect("experiments are plain data");
    let runs = lanes.iter().flat_map(|lane| {
        run_files(lane).map(|(path, bytes)| (format!("{}/{path}", lane.lane.name()), bytes))
    });
    let files = [(EXPERIMENT.to_owned(), plain)].into_iter();
    pack(files.chain(text_files(&experiment.text)).chain(runs), lanes.iter().map(size).sum())
}

/// Reads a saved session.
///
/// # Errors
/// The problem in words.
pub fn restore(bytes: &[u8]) -> Result<Draft, Failure> {
    let mut files = unpack(bytes)?;
    let experiment = files.remove(EXPERIMENT).ok_or_else(|| "it names no experiment".to_owned())?;
    let mut experiment: Experiment =
        serde_json::from_slice(&experiment).map_err(|error| error.to_string())?;
    experiment.text = texts(&mut files).unwrap_or_default();
    let mut pasts = Vec::new();
    for lane in &experiment.lanes {
        pasts.push(past(&take_within(&mut files, &format!("{}/", lane.name())))?);
    }
    Draft::with_pasts(experiment, pasts)
}

/// Opens the files of a run's folder or of a model's in Hugging Face's format, or a zip of them. `text` is the training
/// text, unless the files contain it.
///
/// # Errors
/// The missing or invalid part.
pub async fn open(given: Vec<File>, text: Text) -> Result<Draft, Failure> {
    let mut files = Files::new();
    for file in given {
        if file.name.to_lowercase().ends_with(".zip") {
            files.extend(unpack(&file.bytes)?);
        } else {
            files.insert(file.name.replace('\\', "/"), file.bytes);
        }
    }
    // macOS adds a folder to zips.
    files.retain(|path, _| !path.starts_with("__MACOSX/"));
    // The outermost folder with this file.
    let root = |files: &Files, name: &str| {
        let roots = files.keys().filter_map(|path| path.strip_suffix(name));
        let roots = roots.filter(|root| root.is_empty() || root.ends_with('/'));
        roots.min_by_key(|it| it.len()).map(str::to_owned)
    };
    let (run, model) = (root(&files, CONFIG), root(&files, file::CONFIG));
    if let Some(model) = model
        && run.as_ref().is_none_or(|run| model.len() < run.len())
    {
        return pretrained::open(take_within(&mut files, &model), text).await;
    }
    let Some(root) = run else {
        let names: Vec<&str> = files.keys().take(4).map(String::as_str).collect();
        return Err(Failure::Input(format!(
            "this is no run: it has no {CONFIG} (only {}). Choose a run folder of `nitp train`, a \
             model's folder with {}, or a zip of one",
            names.join(", "),
            file::CONFIG
        )));
    };
    let mut files = take_within(&mut files, &root);
    let past = past(&files)?;
    let words =
        |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut config =
        Config::from_toml(&words(CONFIG).unwrap_or_default()).map_err(|error| error.to_string())?;
    let lane = if config.nitp.enabled { protocol::Lane::Nitp } else { protocol::Lane::Ntp };
    let mut tokenizer = words(TOKENIZER);
    if config.data.tokenizer == BYTE_TOKENIZER {
        tokenizer = None;
    } else if tokenizer.as_deref().is_some_and(is_built_in) {
        tokenizer = None;
        config.data.tokenizer = DataConfig::default().tokenizer;
    } else if tokenizer.is_none() {
        return Err(Failure::Input(format!(
            "the run's {TOKENIZER} is missing: choose its whole folder"
        )));
    } else if config.data.tokenizer == DataConfig::default().tokenizer {
        // The name of the built-in tokenizer, but another one.
        config.data.tokenizer = TOKENIZER.to_owned();
    }
    // The paths in the run's configuration are those of another machine.
    config.data.paths = DataConfig::default().paths;
    let text = texts(&mut files).unwrap_or(text);
    let experiment = Experiment { config: config.to_toml(), text, tokenizer, lanes: vec![lane] };
    Draft::with_pasts(experiment, vec![past])
}

/// A run's history and its newest checkpoint, from its files.
fn past(files: &Files) -> Result<Past, String> {
    let text =
        |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let snapshots = files.get(SNAPSHOTS);
    let snapshots = snapshots.and_then(|it| serde_json::from_slice(it).ok()).unwrap_or_default();
    let history = History::from_jsonl(&text(METRICS).unwrap_or_default(), snapshots);
    // A folder with missing files, or with a name that is not of a checkpoint's form, is no checkpoint.
    let folders = files.keys().rev().filter_map(|path| path.strip_suffix(checkpoint_file::TRAINER));
    let mut whole = folders.filter_map(|folder| {
        let name = folder.strip_prefix("checkpoints/")?.strip_suffix('/')?;
        let [model, optimizer, trainer] =
            checkpoint_file::ALL.map(|name| files.get(&format!("{folder}{name}")));
        Some((folder, checkpoint_file::step(name)?, model?, optimizer?, trainer?))
    });
    let Some((folder, step, model, optimizer, trainer)) = whole.next() else {
        return Err("the run has no whole checkpoint: choose its whole folder".to_owned());
    };
    let config = text(CONFIG).ok_or_else(|| format!("{CONFIG} is missing"))?;
    let config = Config::from_toml(&config).map_err(|error| error.to_string())?;
    supported(&config)?;
    let origin = Origin { path: folder.trim_end_matches('/'), step: Some(step) };
    let checkpoint = Checkpoint::from_files(origin, &config, model, optimizer, trainer);
    Ok((history, Some(Box::new(checkpoint.map_err(|error| error.to_string())?))))
}

/// Removes and returns the files below a path.
fn take_within(files: &mut Files, root: &str) -> Files {
    let all = std::mem::take(files);
    let mut below = Files::new();
    for (path, bytes) in all {
        match path.strip_prefix(root) {
            Some(rest) => below.insert(rest.to_owned(), bytes),
            None => files.insert(path, bytes),
        };
    }
    below
}

/// Approximate number of bytes of a run's files.
fn size(lane: &Lane) -> usize {
    let weights = |checkpoint: &Checkpoint| -> usize {
        checkpoint.weights.values().map(|tensor| 4 * tensor.data.len()).sum()
    };
    (1 << 20) + lane.kept.as_ref().map_or(0, |checkpoint| 3 * weights(checkpoint))
}

/// A zip without compression, because weights don't compress.
fn pack(files: impl Iterator<Item = (String, Vec<u8>)>, size: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(size)));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (path, bytes) in files {
        zip.start_file(path, options).expect("a vector takes every byte");
        zip.write_all(&bytes).expect("a vector takes every byte");
    }
    zip.finish().expect("a vector takes every byte").into_inner()
}

fn unpack(bytes: &[u8]) -> Result<Files, String> {
    unpack_within(bytes, MOST)
}

/// Like [`unpack`], with limits on bytes and files: the sizes in a zip's headers may be wrong.
fn unpack_within(bytes: &[u8], (most, most_files): (usize, usize)) -> Result<Files, String> {
    let words = |error: &dyn std::fmt::Display| format!("the zip can't be read: {error}");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| words(&error))?;
    if zip.len() > most_files {
        return Err(format!(
            "the zip has {} files, too many for one run: choose the zip of one run (at most \
             {most_files} files)",
            zip.len()
        ));
    }
    let mut files = Files::new();
    let mut left = most;
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).map_err(|error| words(&error))?;
        if file.is_file() {
            let mut bytes = Vec::new();
            // One byte more than the limit, to detect that it is exceeded.
            let limit = left as u64 + 1;
            file.by_ref().take(limit).read_to_end(&mut bytes).map_err(|error| words(&error))?;
            left = left.checked_sub(bytes.len()).ok_or_else(|| {
                format!(
                    "the zip unpacks to more than the {} MiB available: zip the run with only its \
                     newest checkpoint",
                    most >> 20
                )
            })?;
            let name = file.name().map_err(|error| words(&error))?.into_owned();
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zip of files of zeros, which compress to a thousandth.
    fn bomb(files: usize, size: usize) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for index in 0..files {
            zip.start_file(format!("{index}"), options).unwrap();
            zip.write_all(&vec![0; size]).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn a_zip_that_unpacks_to_too_much_is_refused_in_words() {
        const MIB: usize = 1 << 20;
        let zip = bomb(3, MIB);
        assert!(zip.len() < MIB / 100);
        assert_eq!(unpack_within(&zip, (3 * MIB, 3)).unwrap().len(), 3);
        let error = unpack_within(&zip, (3 * MIB - 1, 3)).unwrap_err();
        assert!(error.contains("more than the 2 MiB"), "{error}");
        let error = unpack_within(&zip, (3 * MIB, 2)).unwrap_err();
        assert!(error.contains("has 3 files") && error.contains("at most 2"), "{error}");
    }
}
