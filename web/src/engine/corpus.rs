//! The text of an experiment: tokens, the held-out tokens that are shown, and their labels.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use nitp_core::config::{BYTE_TOKENIZER, Config, DataConfig};
use nitp_core::data::{Dataset, Fingerprint, TokenCorpus, Tokenizer, documents};
use serde_json::Value;

use crate::protocol::{Experiment, Label, Points, Text};

/// A text of the project. In a browser it is a separate file, which is loaded when it is first needed.
pub struct Loaded {
    text: OnceLock<String>,
    /// Its file beside the page.
    pub file: &'static str,
    #[cfg(not(target_arch = "wasm32"))]
    included: &'static str,
}

/// The demo corpus.
pub static DEMO: Loaded = Loaded {
    text: OnceLock::new(),
    file: "./corpus.jsonl",
    #[cfg(not(target_arch = "wasm32"))]
    included: include_str!("../../../demo-data/corpus.jsonl"),
};

/// The built-in tokenizer.
pub static DEMO_TOKENIZER: Loaded = Loaded {
    text: OnceLock::new(),
    file: "./tokenizer.json",
    #[cfg(not(target_arch = "wasm32"))]
    included: include_str!("../../../demo-data/tokenizer.json"),
};

/// Fields of the demo corpus that label a document.
const LABELS: [&str; 6] = ["topic", "mood", "speaker", "place", "season", "weather"];

/// Largest number of tokens that are shown.
const MOST_POINTS: usize = 512;

impl Loaded {
    /// Sets the text after it was loaded.
    pub fn set(&self, text: String) {
        // A second load has the same text.
        let _ = self.text.set(text);
    }

    /// The text; an error in words if it could not be loaded.
    ///
    /// # Errors
    /// If it is not loaded.
    pub fn get(&self) -> Result<&str, String> {
        #[cfg(not(target_arch = "wasm32"))]
        self.text.get_or_init(|| self.included.to_owned());
        let text = self.text.get().map(String::as_str);
        text.ok_or_else(|| {
            format!("{} could not be loaded: check the connection, and start again", self.file)
        })
    }
}

/// A tokenised text.
pub struct Corpus {
    /// Batches.
    pub dataset: Arc<Dataset>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its name.
    pub name: String,
    /// Warnings about it, such as the share of unknown tokens.
    pub warnings: Vec<String>,
    /// Labels by document: name, values, value of each document.
    labels: Vec<(String, Vec<String>, Vec<u16>)>,
}

impl Corpus {
    /// Tokenises an experiment's text.
    ///
    /// # Errors
    /// The problem with the text or the tokenizer, and advice, in words.
    pub fn new(config: &Config, experiment: &Experiment) -> Result<Self, String> {
        let tokenizer = tokenizer(config, experiment)?;
        let mut fingerprint = Fingerprint::new(&tokenizer);
        let (name, texts, labels) = match &experiment.text {
            Text::Demo => {
                let text = DEMO.get()?;
                let (texts, digest) = documents("corpus.jsonl", text.as_bytes())
                    .map_err(|error| error.to_string())?;
                fingerprint.add(&digest);
                ("the demo corpus".to_owned(), texts, demo_labels(text))
            }
            Text::Own(files) => {
                let mut texts = Vec::new();
                for file in files {
                    let (found, digest) =
                        documents(&file.name, &file.bytes).map_err(|error| error.to_string())?;
                    fingerprint.add(&digest);
                    texts.extend(found);
                }
                let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
                (names.join(", "), texts, Vec::new())
            }
            Text::Same => return Err("there is no run to take the text from".to_owned()),
        };
        let texts = texts.iter().map(String::as_str);
        let corpus = TokenCorpus::from_texts(&tokenizer, texts)
            .map_err(|error| error.to_string())?
            .with_fingerprint(fingerprint.finish());
        let warnings = tokenizer.check_corpus(&corpus);
        // Labels are used only if every text is one document: a divided or dropped text would shift them.
        let labels = labels
            .into_iter()
            .filter(|(_, _, of): &(_, _, Vec<u16>)| of.len() == corpus.documents())
            .collect();
        let dataset =
            Dataset::new(config, &tokenizer, corpus).map_err(|error| error.to_string())?;
        Ok(Self { dataset: Arc::new(dataset), tokenizer, name, warnings, labels })
    }

    /// The held-out tokens that are shown: the first of the first evaluation batch.
    pub fn points(&self, context: usize) -> Points {
        if self.dataset.validation_batches() == 0 {
            return Points::default();
        }
        let windows = self.dataset.validation_windows(0);
        let (mut tokens, mut of) = (Vec::new(), Vec::<usize>::new());
        for window in &windows {
            tokens.extend(&window.tokens[..context]);
            of.extend(&window.documents[..context]);
        }
        tokens.truncate(MOST_POINTS);
        of.truncate(MOST_POINTS);
        let labels = self.labels.iter().map(|(name, values, documents)| Label {
            name: name.clone(),
            values: values.clone(),
            of: of.iter().map(|&document| documents[document]).collect(),
        });
        Points { tokens, context, labels: labels.collect() }
    }

    /// Strings of all tokens.
    pub fn vocabulary(&self) -> Vec<String> {
        let special = self.tokenizer.end_of_text();
        let text = |id| match special {
            Some(end) if end == id => "<end>".to_owned(),
            _ => readable(&self.tokenizer.decode(&[id])),
        };
        (0..self.tokenizer.vocab_size() as u32).map(text).collect()
    }
}

/// Replaces U+FFFD, which stands for a part of a character, by a character that the fonts have.
pub fn readable(text: &str) -> String {
    text.replace('\u{fffd}', "□")
}

/// Whether a `tokenizer.json` is the built-in one.
pub fn is_built_in(json: &str) -> bool {
    let read = |json| serde_json::from_str::<Value>(json).ok();
    DEMO_TOKENIZER.get().is_ok_and(|built_in| read(json) == read(built_in))
}

fn tokenizer(config: &Config, experiment: &Experiment) -> Result<Tokenizer, String> {
    let source = match (&experiment.tokenizer, config.data.tokenizer.as_str()) {
        (_, BYTE_TOKENIZER) => BYTE_TOKENIZER,
        (_, name) if name == DataConfig::default().tokenizer => DEMO_TOKENIZER.get()?,
        (Some(json), _) => json,
        (None, name) => {
            return Err(format!(
                "the tokenizer {name} is not here: choose \"byte\" or the built-in one, or open \
                 the run's whole folder"
            ));
        }
    };
    Tokenizer::new(source, config.model.vocab_size)
        .and_then(|it| it.with_end_of_text(&config.data.end_of_text))
        .map_err(|error| error.to_string())
}

/// Labels of the demo corpus by document.
fn demo_labels(text: &str) -> Vec<(String, Vec<String>, Vec<u16>)> {
    let records: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let column = |name: &&str| {
        let of = |record: &Value| record[*name].as_str().unwrap_or("none").to_owned();
        let all: Vec<String> = records.iter().map(of).collect();
        let mut values = BTreeMap::new();
        for value in &all {
            let next = values.len() as u16;
            values.entry(value.clone()).or_insert(next);
        }
        let mut names = vec![String::new(); values.len()];
        values.iter().for_each(|(value, &index)| names[index as usize] = value.clone());
        let of = all.iter().map(|value| values[value]).collect();
        ((*name).to_owned(), names, of)
    };
    LABELS.iter().map(column).collect()
}
