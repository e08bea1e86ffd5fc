//! Runs as files: the folder that `nitp` reads, zipped for download, and the session that is kept
//! for the next visit, which is the same for each run and the experiment beside them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use nitp_core::config::{BYTE_TOKENIZER, Config, DataConfig};
use nitp_core::data::Tokenizer;
use nitp_core::model::parameters;
use nitp_core::train::{Checkpoint, checkpoint_file};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::device::Device;
use super::history::History;
use super::lane::Lane;
use super::session::{Past, Session};
use crate::protocol::{self, Experiment, File, Text};

const CONFIG: &str = "config.toml";
const TOKENIZER: &str = "tokenizer.json";
const METRICS: &str = "metrics.jsonl";
const SNAPSHOTS: &str = "snapshots.json";
const EXPERIMENT: &str = "experiment.json";
const TEXT: &str = "text/";

/// Files by path.
type Files = BTreeMap<String, Vec<u8>>;

/// A run's files but for its tokenizer.
fn run_files(lane: &Lane) -> Files {
    let mut files = Files::new();
    files.insert(CONFIG.to_owned(), lane.config.to_toml().into_bytes());
    files.insert(METRICS.to_owned(), lane.history.to_jsonl().into_bytes());
    let snapshots: Vec<_> = lane.history.snapshots().iter().map(|(_, it)| it).collect();
    let snapshots = serde_json::to_vec(&snapshots).expect("snapshots are plain data");
    files.insert(SNAPSHOTS.to_owned(), snapshots);
    if let Some(checkpoint) = &lane.kept {
        let folder = checkpoint_file::folder(checkpoint.state.step);
        for (name, bytes) in checkpoint.to_files() {
            files.insert(format!("checkpoints/{folder}/{name}"), bytes);
        }
    }
    files
}

/// A run as a zipped folder.
///
/// # Errors
/// If it has no checkpoint yet.
pub fn export(experiment: &Experiment, tokenizer: &Tokenizer, lane: &Lane) -> Result<File, String> {
    let Some(checkpoint) = &lane.kept else {
        return Err("there is no checkpoint yet: pause the run, and one is made".to_owned());
    };
    let name = format!("{}-step-{}", lane.lane.name().to_lowercase(), checkpoint.state.step);
    let mut files = run_files(lane);
    files.insert(TOKENIZER.to_owned(), tokenizer.to_json().into_bytes());
    if let Text::Own(texts) = &experiment.text {
        files.extend(texts.iter().map(|it| (format!("{TEXT}{}", it.name), it.bytes.clone())));
    }
    let inside = files.into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes));
    Ok(File { name: format!("{name}.zip"), bytes: pack(inside.collect()) })
}

/// What is kept for the next visit.
pub fn session(experiment: &Experiment, lanes: &[Lane]) -> Vec<u8> {
    let mut files = Files::new();
    let experiment = serde_json::to_vec(experiment).expect("experiments are plain data");
    files.insert(EXPERIMENT.to_owned(), experiment);
    for lane in lanes {
        let name = lane.lane.name();
        files.extend(run_files(lane).into_iter().map(|(path, it)| (format!("{name}/{path}"), it)));
    }
    pack(files)
}

/// A session that was kept.
///
/// # Errors
/// In words.
pub fn restore(bytes: &[u8], device: &Device) -> Result<Session, String> {
    let files = unpack(bytes)?;
    let experiment = files.get(EXPERIMENT).ok_or("it names no experiment")?;
    let experiment: Experiment =
        serde_json::from_slice(experiment).map_err(|error| error.to_string())?;
    let mut pasts = Vec::new();
    for lane in &experiment.lanes {
        pasts.push(past(&within(&files, &format!("{}/", lane.name())))?);
    }
    Session::with_pasts(experiment, device, pasts).map_err(|error| error.to_string())
}

/// A run folder's files, or a zip of them.
///
/// # Errors
/// What is missing or doesn't fit.
pub fn open(given: Vec<File>, device: &Device) -> Result<Session, String> {
    let mut files = Files::new();
    for file in given {
        if file.name.to_lowercase().ends_with(".zip") {
            files.extend(unpack(&file.bytes)?);
        } else {
            files.insert(file.name.replace('\\', "/"), file.bytes);
        }
    }
    let Some(root) = files.keys().find_map(|path| path.strip_suffix(CONFIG)).map(str::to_owned)
    else {
        let names: Vec<&str> = files.keys().take(4).map(String::as_str).collect();
        return Err(format!(
            "that is no run: it has no {CONFIG} (only {}). Choose the folder that `nitp train` \
             made, or a zip of it",
            names.join(", ")
        ));
    };
    let files = within(&files, &root);
    let text =
        |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut config =
        Config::from_toml(&text(CONFIG).unwrap_or_default()).map_err(|error| error.to_string())?;
    let past = past(&files)?;
    let lane = if config.nitp.enabled { protocol::Lane::Nitp } else { protocol::Lane::Ntp };
    let own = within(&files, TEXT);
    let own: Vec<File> = own.into_iter().map(|(name, bytes)| File { name, bytes }).collect();
    let built_in = config.data.tokenizer == BYTE_TOKENIZER;
    let tokenizer = if built_in { None } else { text(TOKENIZER) };
    if !built_in && tokenizer.is_none() {
        return Err(format!("the run's {TOKENIZER} is missing: choose its whole folder"));
    }
    // A run's own paths are those of another machine.
    config.data.paths = DataConfig::default().paths;
    let experiment = Experiment {
        config: config.to_toml(),
        text: if own.is_empty() { Text::Demo } else { Text::Own(own) },
        tokenizer,
        lanes: vec![lane],
    };
    Session::with_pasts(experiment, device, vec![past]).map_err(|error| error.to_string())
}

/// A run's past from its files, with its newest checkpoint.
fn past(files: &Files) -> Result<Past, String> {
    let text =
        |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let snapshots = files.get(SNAPSHOTS);
    let snapshots = snapshots.and_then(|it| serde_json::from_slice(it).ok()).unwrap_or_default();
    let history = History::from_jsonl(&text(METRICS).unwrap_or_default(), snapshots);
    let newest = files
        .keys()
        .rfind(|path| path.starts_with("checkpoints/") && path.ends_with(checkpoint_file::TRAINER));
    let Some(folder) = newest.and_then(|path| path.strip_suffix(checkpoint_file::TRAINER)) else {
        return Err("the run has no checkpoint: choose its whole folder".to_owned());
    };
    let part = |name: &str| {
        files.get(&format!("{folder}{name}")).ok_or_else(|| format!("{folder}{name} is missing"))
    };
    let config = text(CONFIG).ok_or_else(|| format!("{CONFIG} is missing"))?;
    let config = Config::from_toml(&config).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::from_files(
        folder.trim_end_matches('/'),
        &parameters(&config),
        part(checkpoint_file::MODEL)?,
        part(checkpoint_file::OPTIMIZER)?,
        part(checkpoint_file::TRAINER)?,
    );
    Ok((history, Some(Box::new(checkpoint.map_err(|error| error.to_string())?))))
}

/// The files below a path.
fn within(files: &Files, root: &str) -> Files {
    let below = |(path, bytes): (&String, &Vec<u8>)| {
        Some((path.strip_prefix(root)?.to_owned(), bytes.clone()))
    };
    files.iter().filter_map(below).collect()
}

/// A zip without compression: weights don't compress.
fn pack(files: Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (path, bytes) in files {
        zip.start_file(path, options).expect("a vector takes every byte");
        zip.write_all(&bytes).expect("a vector takes every byte");
    }
    zip.finish().expect("a vector takes every byte").into_inner()
}

fn unpack(bytes: &[u8]) -> Result<Files, String> {
    let words = |error: &dyn std::fmt::Display| format!("the zip can't be read: {error}");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| words(&error))?;
    let mut files = Files::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).map_err(|error| words(&error))?;
        if file.is_file() {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|error| words(&error))?;
            let name = file.name().map_err(|error| words(&error))?.into_owned();
            files.insert(name, bytes);
        }
    }
    Ok(files)
}
