//! A line of JSONL as a document, as Python's `json.loads` would read it.

use serde::Deserialize;
use serde_json::Value;

/// Most fields that a message names.
const MOST_FIELDS: usize = 5;

/// Most characters of a field's name that a message shows.
const LONGEST_FIELD: usize = 40;

/// A document.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub text: String,
    /// Whether half of a surrogate pair in it became U+FFFD.
    pub lone_surrogate: bool,
}

/// A line that is no document.
#[derive(Debug, PartialEq)]
pub(super) struct LineError {
    pub reason: String,
    /// Whether it is the beginning of JSON.
    pub incomplete: bool,
}

/// The one field that is read.
#[derive(Deserialize)]
struct Record {
    text: String,
}

/// The text of a line.
///
/// Python's `json.dumps` writes some things that are no JSON: `NaN` and `Infinity`, which don't
/// matter in fields that aren't read, and halves of surrogate pairs, which stand for bytes that
/// were no UTF-8. Such a half becomes U+FFFD, as in a text that is decoded leniently.
pub(super) fn parse(line: &str) -> Result<Line, LineError> {
    if let Some(text) = record(line) {
        return Ok(Line { text, lone_surrogate: false });
    }
    let (line, halves) = lenient(line);
    let of = |text: String| Line { lone_surrogate: halves && text.contains('\u{fffd}'), text };
    if let Some(text) = record(&line) {
        return Ok(of(text));
    }
    let error = |reason| LineError { reason, incomplete: false };
    match serde_json::from_str(&line) {
        Ok(Value::Object(fields)) => match fields.get("text") {
            // There are two fields `text`: the last counts.
            Some(Value::String(text)) => Ok(of(text.clone())),
            Some(other) => Err(error(format!("the field `text` is {}", kind(other)))),
            None => Err(error(without_text(fields.keys()))),
        },
        Ok(other) => Err(error(format!("the line is {}", kind(&other)))),
        Err(error) => {
            // It is always in line 1 of this line.
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.strip_suffix(&place).unwrap_or("this is no JSON");
            let reason = format!("{message} at column {}", error.column());
            Err(LineError { reason, incomplete: error.is_eof() })
        }
    }
}

fn record(line: &str) -> Option<String> {
    // An array of the fields' values would do as well for serde.
    let is_object = line.trim_start().starts_with('{');
    is_object.then(|| serde_json::from_str(line).ok()).flatten().map(|Record { text }| text)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn without_text<'a>(fields: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = fields.len();
    let names: Vec<String> = fields
        .take(MOST_FIELDS)
        .map(|name| format!("{:?}", name.chars().take(LONGEST_FIELD).collect::<String>()))
        .collect();
    match count {
        0 => "the object is empty".to_owned(),
        _ => {
            let more = if count > MOST_FIELDS { ", …" } else { "" };
            format!("the object has no field `text`, but {}{more}", names.join(", "))
        }
    }
}

/// A line with numbers in the place of `NaN` and `Infinity`, and U+FFFD in the place of halves of
/// surrogate pairs (and whether there were any); places stay as they are.
fn lenient(line: &str) -> (String, bool) {
    let mut bytes = line.as_bytes().to_vec();
    let mut halves = false;
    let mut in_string = false;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (len, new): (usize, &[u8]) = match rest[0] {
            b'"' => {
                in_string = !in_string;
                (1, b"")
            }
            b'\\' if in_string => match (surrogate(rest), surrogate(&rest[rest.len().min(6)..])) {
                (Some(Half::First), Some(Half::Second)) => (12, b""),
                (Some(_), _) => {
                    halves = true;
                    (6, br"\ufffd")
                }
                (None, _) => (2, b""),
            },
            first if !in_string && first.is_ascii_alphabetic() => {
                let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                match &rest[..word] {
                    b"NaN" => (word, b"0  "),
                    b"Infinity" => (word, b"0       "),
                    _ => (word, b""),
                }
            }
            _ => (1, b""),
        };
        bytes[at..at + new.len()].copy_from_slice(new);
        at += len;
    }
    let line = String::from_utf8(bytes).expect("ASCII took the place of ASCII");
    (line, halves)
}

enum Half {
    First,
    Second,
}

/// The half of a surrogate pair that the escape at the front of `bytes` is.
fn surrogate(bytes: &[u8]) -> Option<Half> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    match code {
        0xd800..0xdc00 => Some(Half::First),
        0xdc00..0xe000 => Some(Half::Second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> (String, bool) {
        let line = parse(line).unwrap();
        (line.text, line.lone_surrogate)
    }

    fn reason(line: &str) -> String {
        parse(line).unwrap_err().reason
    }

    #[test]
    fn fields_that_are_not_read_may_hold_anything() {
        for other in [
            "NaN",
            "[-Infinity, Infinity, NaN]",
            r#""\ud800""#,
            "1e999",
            r#""NaN \\ud800 \" Infinity""#,
            r#"{"text": NaN}"#,
        ] {
            let line = format!(r#"{{"score": {other}, "text": "NaN, Infinity", "x": {other}}}"#);
            assert_eq!(text(&line), ("NaN, Infinity".to_owned(), false), "{line}");
        }
        assert_eq!(text(r#"{"text": "a", "text": "b"}"#).0, "b");
    }

    #[test]
    fn half_of_a_surrogate_pair_is_replaced_and_told() {
        let replaced = |line: &str| {
            let (text, told) = text(line);
            assert!(told, "{line}");
            text
        };
        assert_eq!(replaced(r#"{"text": "a\ud800b"}"#), "a\u{fffd}b");
        assert_eq!(replaced(r#"{"text": "\udcff\ud83d\ude00\ud83d"}"#), "\u{fffd}😀\u{fffd}");
        assert_eq!(replaced(r#"{"text": "\ud83d\ud83d\ude00", "x": NaN}"#), "\u{fffd}😀");
        assert_eq!(text(r#"{"text": "\ud83d\ude00 \\ud800"}"#), ("😀 \\ud800".to_owned(), false));
    }

    #[test]
    fn what_is_no_document_is_told_shortly_and_with_one_place() {
        assert_eq!(reason(r#"{"text": ["a"]}"#), "the field `text` is an array");
        assert_eq!(reason(r#"{"text": 3}"#), "the field `text` is a number");
        assert_eq!(reason(r#"{"text": null}"#), "the field `text` is null");
        assert_eq!(reason(r#"["a"]"#), "the line is an array");
        assert_eq!(reason(r#""a""#), "the line is a string");
        assert_eq!(reason("{}"), "the object is empty");
        assert!(reason(r#"{"body": 1, "id": 2}"#).ends_with(r#"but "body", "id""#));
        assert_eq!(reason(r#"{"text": "a"} x"#), "trailing characters at column 15");
        assert!(reason(r#"{"text": nan}"#).contains("at column"));
        let cut = parse(r#"{"text": "a"#).unwrap_err();
        assert!(cut.incomplete && !cut.reason.contains("line"), "{}", cut.reason);
        let long = "x".repeat(100_000);
        for line in [
            format!(r#"["{long}"]"#),
            format!(r#""{long}""#),
            format!(r#"{{"{long}": 1}}"#),
            format!(r#"{{"text": "{long}}}"#),
            format!(r#"{{"text": {{"{long}": 1}}}}"#),
            long.clone(),
        ] {
            assert!(reason(&line).len() < 300);
        }
    }
}
