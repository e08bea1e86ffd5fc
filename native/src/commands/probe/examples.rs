//! Labelled examples for probes: JSONL with a `text` and labels, or with `text_a`, `text_b` and a `score`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Fields that are never labels.
const NO_LABELS: [&str; 6] = ["text", "text_a", "text_b", "score", "pair", "senses"];

/// A labelled document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its text.
    pub text: String,
    /// Labels by name: every field with a string.
    pub labels: BTreeMap<String, String>,
    /// Number of a pair: two documents with the same number are paraphrases.
    pub pair: Option<u64>,
    /// Words with known senses.
    pub senses: Vec<Sense>,
}

/// A word with its sense in a document.
#[derive(Clone, Debug, Deserialize)]
pub struct Sense {
    /// The word in its dictionary form.
    pub word: String,
    /// Its sense.
    pub sense: String,
    /// Byte offset of the word in the text.
    pub start: usize,
}

/// Two texts, and people's rating of their similarity.
#[derive(Clone, Debug)]
pub struct Similar {
    /// Both texts.
    pub texts: [String; 2],
    /// The rating; higher is more similar.
    pub score: f64,
}

/// The contents of the files.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Lines with a `text`.
    pub documents: Vec<Document>,
    /// Lines with two texts.
    pub similar: Vec<Similar>,
    /// Number of documents without text, which are left out.
    pub empty: usize,
}

impl Examples {
    /// Reads JSONL files.
    ///
    /// # Errors
    /// A file that can't be read, or a line of neither kind, with its number.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut examples = Self::default();
        for path in paths {
            let text = fs::read_to_string(path).with_context(|| {
                format!("reading {}: labelled examples are lines of JSON", path.display())
            })?;
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            for (index, line) in lines {
                examples.take(line).with_context(|| place(path, index))?;
            }
        }
        ensure!(
            !examples.documents.is_empty() || !examples.similar.is_empty(),
            "the files hold no example: a line is like {{\"text\": \"...\", \"label\": \"...\"}} or \
             {{\"text_a\": \"...\", \"text_b\": \"...\", \"score\": 1}}"
        );
        Ok(examples)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let Value::Object(mut fields) = serde_json::from_str(line)? else {
            bail!("it is no JSON object");
        };
        let mut string = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Ok(Some(text)),
            None => Ok(None),
            Some(other) => bail!("`{name}` is {other}, and has to be a string"),
        };
        if let (Some(a), Some(b)) = (string("text_a")?, string("text_b")?) {
            let score = fields.get("score").cloned().unwrap_or(Value::Null);
            let number = score.as_f64().filter(|it| it.is_finite());
            let score =
                number.with_context(|| format!("`score` is {score}, and has to be a number"))?;
            self.similar.push(Similar { texts: [a, b], score });
            return Ok(());
        }
        let text = string("text")?.context("it has neither `text` nor `text_a` and `text_b`")?;
        if text.trim().is_empty() {
            self.empty += 1;
            return Ok(());
        }
        let pair = fields.get("pair").and_then(Value::as_u64);
        let senses: Vec<Sense> = match fields.remove("senses") {
            Some(senses) => serde_json::from_value(senses).context("`senses`")?,
            None => Vec::new(),
        };
        for sense in &senses {
            ensure!(
                text.is_char_boundary(sense.start) && sense.start < text.len(),
                "`senses`: {} begins at byte {}, where the text has no character",
                sense.word,
                sense.start
            );
        }
        let labels = fields.into_iter().filter(|(name, _)| !NO_LABELS.contains(&name.as_str()));
        let labels = labels.filter_map(|(name, value)| match value {
            Value::String(label) => Some((name, label)),
            Value::Bool(_) | Value::Number(_) => Some((name, value.to_string())),
            _ => None,
        });
        let labels = labels.collect();
        self.documents.push(Document { text, labels, pair, senses });
        Ok(())
    }

    /// Whether there is anything to score a probe on.
    pub fn has_labels(&self) -> bool {
        let is_labelled =
            |it: &Document| !it.labels.is_empty() || it.pair.is_some() || !it.senses.is_empty();
        !self.similar.is_empty() || self.documents.iter().any(is_labelled)
    }

    /// Names of all labels, in order.
    pub fn label_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.documents.iter().flat_map(|it| it.labels.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn place(path: &Path, index: usize) -> String {
    format!("line {} of {}", index + 1, path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Examples> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Examples::read(&[file.path().to_owned()])
    }

    #[test]
    fn both_kinds_of_lines_are_read() {
        let text = r#"{"text":"a b","label":"x","stars":4,"pair":1,"senses":[{"word":"b","sense":"c","start":2}]}
{"text":" ","label":"x"}

{"text_a":"a","text_b":"b","score":0.5}"#;
        let examples = read(text).unwrap();
        assert_eq!((examples.documents.len(), examples.similar.len(), examples.empty), (1, 1, 1));
        assert_eq!(examples.label_names(), ["label", "stars"]);
        assert_eq!(examples.documents[0].senses[0].start, 2);
    }

    #[test]
    fn bad_lines_are_named() {
        for (line, why) in [
            ("{\"text\":1}", "has to be a string"),
            ("{\"text_a\":\"a\",\"text_b\":\"b\",\"score\":\"much\"}", "has to be a number"),
            ("{\"title\":\"a\"}", "neither"),
            ("[1]", "no JSON object"),
            (
                "{\"text\":\"a\",\"senses\":[{\"word\":\"a\",\"sense\":\"b\",\"start\":7}]}",
                "byte 7",
            ),
            ("{", "EOF"),
        ] {
            let error = format!("{:#}", read(&format!("{{\"text\":\"a\"}}\n{line}")).unwrap_err());
            assert!(error.contains("line 2 of") && error.contains(why), "{error}");
        }
        assert!(read("\n").unwrap_err().to_string().contains("no example"));
    }
}
