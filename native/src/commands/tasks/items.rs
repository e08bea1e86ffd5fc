//! Files of tasks: JSONL with one item per line, of multiple choice or cloze.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::output::errln;

/// The text between a question and its continuation: the harness' `target_delimiter`.
const DELIMITER: &str = " ";

/// An item of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// File and line, for messages.
    pub place: String,
    /// The question; may be empty.
    pub question: String,
    /// The continuations: several choices, or one.
    pub continuations: Vec<String>,
    /// The text before each continuation.
    pub delimiter: String,
    /// Index of the right continuation; none in a cloze, which has only one.
    pub answer: Option<usize>,
}

/// Items that are scored together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The items: all of multiple choice, or all cloze.
    pub items: Vec<Item>,
}

impl Task {
    /// Whether its items have one continuation each.
    pub fn is_cloze(&self) -> bool {
        self.items.iter().all(|item| item.answer.is_none())
    }
}

/// The fields of an item. Other fields are ignored.
#[derive(Deserialize)]
struct Line {
    task: Option<Value>,
    question: Option<Value>,
    choices: Option<Value>,
    answer: Option<Value>,
    continuation: Option<Value>,
    delimiter: Option<Value>,
}

/// Reads task files. An item belongs to the task named by its `task`, or else by its file's name.
///
/// # Errors
/// A file that can't be read or has no item, or an invalid line, with its number.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut doubles = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path)
            .with_context(|| format!("reading {}: a task is lines of JSON", path.display()))?;
        let stem =
            path.file_stem().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
        let mut is_empty = true;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (index, line) in lines {
            let place = place(path, index);
            let (name, item) = parse(line, &place).with_context(|| place.clone())?;
            let name = name.unwrap_or_else(|| stem.clone());
            if (1..item.continuations.len())
                .any(|at| item.continuations[..at].contains(&item.continuations[at]))
            {
                doubles.push(place.clone());
            }
            put(&mut tasks, name, item).context(place)?;
            is_empty = false;
        }
        ensure!(
            !is_empty,
            "{} holds no item: a line is like {{\"question\": \"...\", \"choices\": [\"...\", \"...\"], \
             \"answer\": 0}} or {{\"question\": \"...\", \"continuation\": \"...\"}}",
            path.display()
        );
    }
    if let Some(first) = doubles.first() {
        errln!(
            "warning: {} of the items have equal choices, the first on {first}: the first of equal choices is taken",
            doubles.len()
        );
    }
    Ok(tasks)
}

fn place(path: &Path, index: usize) -> String {
    format!("line {} of {}", index + 1, path.display())
}

fn put(tasks: &mut Vec<Task>, name: String, item: Item) -> Result<()> {
    let Some(task) = tasks.iter_mut().find(|task| task.name == name) else {
        tasks.push(Task { name, items: vec![item] });
        return Ok(());
    };
    let first = &task.items[0];
    ensure!(
        first.answer.is_some() == item.answer.is_some(),
        "the task `{name}` has `choices` on one of this line and {}, and `continuation` on the other. \
        The two kinds are scored differently. Give each kind its own `task`",
        first.place
    );
    task.items.push(item);
    Ok(())
}

/// The task that a line names, and its item.
fn parse(line: &str, place: &str) -> Result<(Option<String>, Item)> {
    let fields: Map<String, Value> =
        serde_json::from_str(line).context("each line must be a JSON object")?;
    let line: Line = serde_json::from_value(Value::Object(fields))?;
    let name = line.task.map(|it| string("task", it)).transpose()?;
    let question = string("question", line.question.context("it has no `question`")?)?;
    let delimiter = match line.delimiter {
        Some(delimiter) => string("delimiter", delimiter)?,
        None => DELIMITER.to_owned(),
    };
    let (continuations, answer) = match (line.choices, line.continuation) {
        (Some(choices), None) => choices_of(choices, line.answer)?,
        (None, Some(continuation)) => {
            ensure!(line.answer.is_none(), "`answer` goes with `choices`, not with `continuation`");
            let continuation = string("continuation", continuation)?;
            ensure!(!continuation.is_empty(), "`continuation` is empty: there is nothing to score");
            (vec![continuation], None)
        }
        (Some(_), Some(_)) => bail!("it has `choices` and `continuation`: give one of the two"),
        (None, None) => bail!("it has neither `choices` nor a `continuation`"),
    };
    Ok((name, Item { place: place.to_owned(), question, continuations, delimiter, answer }))
}

fn choices_of(choices: Value, answer: Option<Value>) -> Result<(Vec<String>, Option<usize>)> {
    let Value::Array(choices) = choices else {
        bail!("`choices` has to be a list of strings");
    };
    let count = choices.len();
    ensure!(
        count > 1,
        "`choices` has {count} entr{}; there must be two or more (an item without alternatives has a \
         `continuation` instead)",
        if count == 1 { "y" } else { "ies" }
    );
    let choices =
        choices.into_iter().map(|it| string("choices", it)).collect::<Result<Vec<_>>>()?;
    if let Some(at) = choices.iter().position(String::is_empty) {
        bail!("choice {at} (counted from 0) is empty: there is nothing to score");
    }
    let answer = answer.context("it has `choices` and no `answer`")?;
    let index = answer.as_u64().and_then(|it| usize::try_from(it).ok()).filter(|it| *it < count);
    let index = index.with_context(|| {
        format!(
            "`answer` is {answer}, and has to be the number of one of the {count} choices, from 0 to {}",
            count - 1
        )
    })?;
    Ok((choices, Some(index)))
}

fn string(name: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => bail!("`{name}` has {other} where a string has to be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Task>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sea.jsonl");
        fs::write(&path, text).unwrap();
        read(&[path])
    }

    #[test]
    fn items_are_grouped_by_task_or_file() {
        let text = r#"{"question":"a","choices":["b","c"],"answer":1,"note":"left alone"}

{"question":"","continuation":"d","delimiter":"","task":"last word"}
{"question":"e","choices":["f","g","h"],"answer":0}"#;
        let tasks = read_text(text).unwrap();
        let names: Vec<&str> = tasks.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["sea", "last word"]);
        assert_eq!((tasks[0].items.len(), tasks[0].is_cloze()), (2, false));
        assert_eq!((tasks[1].items.len(), tasks[1].is_cloze()), (1, true));
        assert_eq!(tasks[0].items[0].delimiter, " ");
        assert_eq!((tasks[1].items[0].delimiter.as_str(), tasks[1].items[0].answer), ("", None));
        assert!(tasks[0].items[1].place.starts_with("line 4 of "));
    }

    #[test]
    fn bad_lines_are_named() {
        let fine = r#"{"question":"a","choices":["b","c"],"answer":1}"#;
        for (line, why) in [
            ("{", "JSON object"),
            ("[1]", "JSON object"),
            (r#"{"choices":["b","c"],"answer":1}"#, "no `question`"),
            (r#"{"question":"a"}"#, "neither `choices`"),
            (r#"{"question":"a","choices":[],"answer":0}"#, "has 0 entries"),
            (r#"{"question":"a","choices":["b"],"answer":0}"#, "has 1 entry"),
            (r#"{"question":"a","choices":"b","answer":0}"#, "list of strings"),
            (r#"{"question":"a","choices":["b",2],"answer":0}"#, "`choices` has 2"),
            (r#"{"question":"a","choices":["b",""],"answer":0}"#, "choice 1 (counted from 0)"),
            (r#"{"question":"a","choices":["b","c"]}"#, "no `answer`"),
            (r#"{"question":"a","choices":["b","c"],"answer":2}"#, "from 0 to 1"),
            (r#"{"question":"a","choices":["b","c"],"answer":-1}"#, "`answer` is -1"),
            (r#"{"question":"a","choices":["b","c"],"answer":"A"}"#, "`answer` is \"A\""),
            (r#"{"question":"a","continuation":""}"#, "nothing to score"),
            (r#"{"question":"a","continuation":"b","answer":0}"#, "goes with `choices`"),
            (r#"{"question":"a","continuation":"b","choices":["c"]}"#, "one of the two"),
            (r#"{"question":"a","continuation":"b"}"#, "its own `task`"),
        ] {
            let error = format!("{:#}", read_text(&format!("{fine}\n{line}")).unwrap_err());
            assert!(error.contains("line 2 of") && error.contains(why), "{line}: {error}");
        }
        for empty in ["", "\n \n"] {
            let error = read_text(empty).unwrap_err().to_string();
            assert!(error.contains("sea.jsonl holds no item"), "{error}");
        }
    }
}
