//! Rejects files on which the `tokenizers` crate is known to panic, hang or use all memory. Unknown panics are caught
//! by [`super::safe`], but not on wasm32.

use serde_json::Value;
use tokenizers::utils::SysRegex;

use super::error::TokenizerError;
use super::growth::Pattern;
use super::precompiled;

/// Largest number of bytes that a step may insert at one place.
const MOST_INSERTED: usize = 4096;

/// Longest token of a Unigram model, in bytes: the library's trie has a level for each byte, and is freed by recursion.
const MOST_UNIGRAM_BYTES: usize = 1024;

/// Largest number of characters in a word of WordPiece, whose time grows with the cube of this number.
const MOST_WORD_CHARACTERS: u64 = 1024;

/// Checks the parts of a `tokenizer.json`.
///
/// # Errors
/// [`TokenizerError::Unsafe`] with the part and the problem.
pub fn check(file: &Value) -> Result<(), TokenizerError> {
    for part in ["normalizer", "pre_tokenizer", "decoder"] {
        if let Some(value) = file.get(part) {
            each_step(value, part, &mut check_step)?;
        }
    }
    file.get("model").map_or(Ok(()), check_model)
}

fn wrong(place: &str, reason: impl Into<String>) -> TokenizerError {
    TokenizerError::Unsafe { place: place.to_owned(), reason: reason.into() }
}

/// Calls `check` for each object in `value`, with the keys that lead to it.
fn each_step(
    value: &Value,
    place: &str,
    check: &mut dyn FnMut(&Value, &str) -> Result<(), TokenizerError>,
) -> Result<(), TokenizerError> {
    match value {
        Value::Object(entries) => {
            check(value, place)?;
            entries
                .iter()
                .try_for_each(|(key, inner)| each_step(inner, &format!("{place}.{key}"), check))
        }
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .try_for_each(|(i, inner)| each_step(inner, &format!("{place}[{i}]"), check)),
        _ => Ok(()),
    }
}

/// Checks a step. Steps are recognised by their fields, because the library also reads them without a type.
fn check_step(step: &Value, place: &str) -> Result<(), TokenizerError> {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let number = |key: &str| step.get(key).and_then(Value::as_u64);
    if let (Some(pattern), Some(content)) = (Pattern::of_json(step), text("content")) {
        if matches_nothing(&pattern) {
            return Err(wrong(
                place,
                "its pattern matches the empty text, so it would insert without end; a pattern must \
                 match at least one character",
            ));
        }
        check_inserted(content, place)?;
    }
    if let Some(prepended) = text("prepend") {
        check_inserted(prepended, place)?;
    }
    if let Some(map) = text("precompiled_charsmap") {
        precompiled::check(map).map_err(|reason| wrong(place, reason))?;
    }
    let kind = text("type");
    if kind == Some("Precompiled") && text("precompiled_charsmap").is_none() {
        return Err(wrong(place, "it has no precompiled_charsmap; it must be a text in base64"));
    }
    if kind == Some("FixedLength") && number("length") == Some(0) {
        return Err(wrong(place, "its length is 0; it must be at least 1"));
    }
    if kind == Some("Strip") && number("stop").is_some_and(|stop| stop > 0) {
        return Err(wrong(
            place,
            "it strips the end of tokens (stop above 0), which the library can't do for shorter \
             tokens; stop must be 0",
        ));
    }
    Ok(())
}

fn check_inserted(content: &str, place: &str) -> Result<(), TokenizerError> {
    if content.len() > MOST_INSERTED {
        return Err(wrong(
            place,
            format!("it inserts {} bytes; at most {MOST_INSERTED} are allowed", content.len()),
        ));
    }
    Ok(())
}

/// Whether a pattern matches an empty text somewhere.
fn matches_nothing(pattern: &Pattern) -> bool {
    /// Texts with places at which look-arounds and anchors may match.
    const PLACES: [&str; 8] = ["", "a", " ", "a b", "1\n2", "\u{e9}\u{6f6e}", "\r\n\t", "_-.'\""];
    match pattern {
        Pattern::Text(text) => text.is_empty(),
        Pattern::Expression(pattern) => {
            if let Ok(expression) = regex_syntax::parse(pattern) {
                return expression.properties().minimum_len() == Some(0);
            }
            // Has look-arounds or back references, which this parser doesn't support.
            let Ok(expression) = SysRegex::new(pattern) else { return false };
            PLACES.iter().any(|text| expression.find_iter(text).any(|(start, end)| start == end))
        }
    }
}

fn check_model(model: &Value) -> Result<(), TokenizerError> {
    // Unigram's vocabulary is a list, the others' are objects.
    if let Some(Value::Array(vocabulary)) = model.get("vocab") {
        let tokens = vocabulary.iter().filter_map(|entry| entry.get(0)?.as_str());
        if let Some(long) = tokens.map(str::len).find(|&bytes| bytes > MOST_UNIGRAM_BYTES) {
            return Err(wrong(
                "model.vocab",
                format!("a token has {long} bytes; at most {MOST_UNIGRAM_BYTES} are allowed"),
            ));
        }
    }
    if let Some(most) = model.get("max_input_chars_per_word").and_then(Value::as_u64)
        && most > MOST_WORD_CHARACTERS
    {
        return Err(wrong(
            "model.max_input_chars_per_word",
            format!("{most} is too many; at most {MOST_WORD_CHARACTERS} are allowed"),
        ));
    }
    check_merges(model)
}

/// Checks merges. The library copies both parts of a merge to a buffer as long as the longest token, after it removed
/// the prefix of the second part, and looks up the result only then.
fn check_merges(model: &Value) -> Result<(), TokenizerError> {
    let Some(vocabulary) = model.get("vocab").and_then(Value::as_object) else { return Ok(()) };
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
    for merge in model.get("merges").and_then(Value::as_array).into_iter().flatten() {
        let parts = match merge {
            // The first line of older files with merges.
            Value::String(line) if line.starts_with("#version") => continue,
            Value::String(both) => both.split_once(' '),
            pair => pair.get(0).and_then(Value::as_str).zip(pair.get(1).and_then(Value::as_str)),
        };
        // The library reports entries that are no pairs.
        let Some((first, second)) = parts else { continue };
        let reason = match second.strip_prefix(prefix) {
            None => format!("doesn't begin with continuing_subword_prefix = {prefix:?}"),
            Some(rest) if !vocabulary.contains_key(&format!("{first}{rest}")) => {
                format!(
                    "makes {:?} of {first:?}, which is not in the vocabulary",
                    first.to_owned() + rest
                )
            }
            Some(_) => continue,
        };
        return Err(wrong(
            "model.merges",
            format!("the second part {second:?} of a merge {reason}"),
        ));
    }
    Ok(())
}
